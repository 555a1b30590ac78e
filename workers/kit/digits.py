"""The demo's model, built on the spot: ``python -m workers.kit.digits FOLDER``.

A convolutional network on scikit-learn's bundled digits (Alpaydin and Kaynak 1998). The filters are
random and fixed, and only the head is fitted, by ridge regression in closed form: that takes a few
seconds, needs neither a download nor a training framework, and is right on 97 % of unseen digits.
"""

import json
import sys
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from sklearn.datasets import load_digits

from workers.kit.data import Array

SIDE, CLASSES = 32, 10
_TRAINING_ROWS, _CALIBRATION_ROWS = 1200, 300
_RIDGE = 300.0
# Features that hardly vary would be blown up by their own scale, which INT8 does not survive.
_FAINT = 1e-2


def images() -> tuple[Array, Array]:
    """Return all digits, enlarged to 32 x 32 and scaled to 0…1, in a fixed random order, with labels."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    large = np.kron(digits.images[order] / 16.0, np.ones((SIDE // 8, SIDE // 8)))
    return large[:, None].astype(np.float32), digits.target[order].astype(np.int64)


def _convolution(source: ov.Node, channels_in: int, channels: int, dice: np.random.Generator) -> ov.Node:
    scale = np.sqrt(2.0 / (channels_in * 9))
    weights = dice.normal(0, scale, (channels, channels_in, 3, 3)).astype(np.float32)
    bias = dice.normal(0, 0.05, (1, channels, 1, 1)).astype(np.float32)
    convolved = ops.convolution(source, ops.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
    return ops.relu(ops.add(convolved, ops.constant(bias)))


def _pooled(source: ov.Node, size: int) -> ov.Node:
    return ops.avg_pool(source, [size, size], [0, 0], [0, 0], [size, size], exclude_pad=True)


def _features(image: ov.Node) -> ov.Node:
    """Return 128 x 4 x 4 features of an image: three convolutions, about 80 MFLOP."""
    dice = np.random.default_rng(1)
    first = _convolution(image, 1, 32, dice)
    second = _pooled(_convolution(first, 32, 64, dice), 2)
    third = _pooled(_convolution(second, 64, 128, dice), 4)
    return ops.reshape(third, ops.constant(np.array([0, -1], np.int64)), special_zero=True)


def _image() -> ov.Node:
    return ops.parameter(ov.PartialShape([-1, 1, SIDE, SIDE]), ov.Type.f32, name="image")


def _fitted(features: Array, labels: Array) -> tuple[Array, Array]:
    """Return weights and bias of the head: ridge regression on standardised features."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > _FAINT, 1 / np.maximum(deviation, _FAINT), 0.0)
    centred = (features - mean) * scale
    targets = np.eye(CLASSES)[labels] - 1 / CLASSES
    gram = centred.T @ centred + _RIDGE * np.eye(centred.shape[1])
    weights = np.linalg.solve(gram, centred.T @ targets) * scale[:, None]
    return weights.astype(np.float32), (1 / CLASSES - mean @ weights).astype(np.float32)


def build() -> ov.Model:
    """Return the fitted network: ``image`` [?,1,32,32] in, ``scores`` [?,10] out."""
    inputs, labels = images()
    image = _image()
    extractor = ov.Core().compile_model(
        ov.Model([_features(image)], [image]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    rows = inputs[:_TRAINING_ROWS]
    parts = [extractor(rows[at : at + 100])[0].copy() for at in range(0, len(rows), 100)]
    weights, bias = _fitted(np.concatenate(parts).astype(np.float64), labels[:_TRAINING_ROWS])
    image = _image()
    product = ops.matmul(_features(image), ops.constant(weights), False, False)
    scores = ops.add(product, ops.constant(bias[None]))
    scores.output(0).get_tensor().set_names({"scores"})
    image.output(0).get_tensor().set_names({"image"})
    return ov.Model([ops.result(scores)], [image], "digits")


def write(folder: Path) -> dict[str, list[str] | str]:
    """Write model, calibration and evaluation data into ``folder``; returns their names by role."""
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(build(), folder / "digits.xml", compress_to_fp16=False)
    inputs, labels = images()
    np.savez(folder / "calibration.npz", image=inputs[:_CALIBRATION_ROWS])
    np.savez(folder / "evaluation.npz", image=inputs[_TRAINING_ROWS:], labels=labels[_TRAINING_ROWS:])
    return {
        "model": ["digits.xml", "digits.bin"],
        "calibration": "calibration.npz",
        "evaluation": "evaluation.npz",
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(write(Path(sys.argv[1]))) + "\n")
