"""Shapes that a model could be given in place of its free ones, as patches of the recipe."""

from collections.abc import Iterable

import openvino as ov

from ovfarm.patches import Patch

_IMAGE, _SIZES = 224, (128, 32, 1)
Wanted = list[int | str]


def one_row(inputs: Iterable[ov.Output]) -> tuple[Patch, ...]:
    """Return the patch that fixes the batch at 1, for inputs whose first dimension is free; else none."""
    shapes = {port.get_any_name(): _told(port.get_partial_shape()) for port in inputs}
    if not shapes or any(not shape or shape[0] == 1 for shape in shapes.values()):
        return ()
    fixed = {name: [1, *shape[1:]] for name, shape in shapes.items()}
    return (Patch(why="one row at a time, with the batch fixed at 1", overrides={"convert.shapes": fixed}),)


def sized(model: ov.Model) -> tuple[Patch, ...]:
    """Return the patch that gives every free dimension but the first a size that the graph takes, or none."""
    for size in (_IMAGE, *_SIZES):
        shapes = {port.get_any_name(): _filled(port.get_partial_shape(), size) for port in model.inputs}
        if all(shapes.values()) and _taken(model, shapes):
            words = f"give the free dimensions a size ({size} is a guess: write yours)"
            return (Patch(why=words, overrides={"convert.shapes": shapes}),)
    return ()


def _taken(model: ov.Model, shapes: dict[str, Wanted]) -> bool:
    trial = model.clone()
    wanted = {
        port: ov.PartialShape([-1 if size == "?" else size for size in shapes[port.get_any_name()]])
        for port in trial.inputs
    }
    try:
        trial.reshape(wanted)
    except RuntimeError:
        return False
    return True


def _filled(shape: ov.PartialShape, size: int) -> Wanted:
    """Return a shape with sizes behind the batch; a size for images is only for what may be one."""
    told = _told(shape)
    if size == _IMAGE and len(told) != 4:
        return []
    bounds = [dimension.get_max_length() for dimension in shape] if told else []
    behind = [
        wanted if isinstance(wanted, int) else min(size, bound) if bound > 0 else size
        for wanted, bound in zip(told[1:], bounds[1:], strict=True)
    ]
    return [told[0] if isinstance(told[0], int) else "?", *behind] if told else []


def _told(shape: ov.PartialShape) -> Wanted:
    """Return a shape as ``convert.shapes`` takes it; nothing when not even its rank is known."""
    if shape.rank.is_dynamic:
        return []
    return [dimension.get_length() if dimension.is_static else _range(dimension) for dimension in shape]


def _range(dimension: ov.Dimension) -> str:
    low, high = dimension.get_min_length(), dimension.get_max_length()
    return f"{low}..{high}" if 0 < high < 10**9 else "?"
