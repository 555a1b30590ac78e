"""The Python client: the farm's verbs over HTTP."""

from ovfarm.client.client import Client

__all__ = ["Client"]
