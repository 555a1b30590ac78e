"""Datasets: opened in a child, read batch by batch, bound to a model's inputs, and checked on the way."""

from workers.kit.data.loading import load
from workers.kit.data.rows import Array, Feed
from workers.kit.data.samples import Batch, Samples, batch_size, drawn

__all__ = ["Array", "Batch", "Feed", "Samples", "batch_size", "drawn", "load"]
