"""``convert_local``: a model becomes IR in the process that has it, and the farm gets the IR alone.

OpenVINO is imported when the function is called, PyTorch never: the caller has it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, overload

from pydantic import TypeAdapter, ValidationError

from ovfarm import signatures
from ovfarm.catalog import ModelView
from ovfarm.client import Client
from ovfarm.errors import InvalidInput, Unavailable
from ovfarm.tuning import Shape

Shapes = Mapping[str, Shape]
_SHAPES: TypeAdapter[dict[str, Shape]] = TypeAdapter(dict[str, Shape])
_SHAPES_HINT = 'give the sizes by input, for example shapes={"x": ("?", 3, 224, 224)}; "?" is any size'


@overload
def convert_local(
    module: object,
    example_input: object = None,
    *,
    client: Client,
    shapes: Shapes | None = None,
    name: str = "model",
    folder: Path | str | None = None,
) -> ModelView: ...
@overload
def convert_local(
    module: object,
    example_input: object = None,
    *,
    folder: Path | str,
    shapes: Shapes | None = None,
    name: str = "model",
    client: None = None,
) -> Path: ...
def convert_local(
    module: object,
    example_input: object = None,
    *,
    client: Client | None = None,
    shapes: Shapes | None = None,
    name: str = "model",
    folder: Path | str | None = None,
) -> ModelView | Path:
    """Convert a model in this process, write FP32 IR, and register it with ``client`` if there is one.

    ``module`` is what ``openvino.convert_model`` takes as an object: a ``torch.nn.Module`` (with an
    ``example_input``: a tensor, a tuple of them, or a dict by argument), a ``ScriptModule``, an
    ``ExportedProgram``, or a model of Keras or TensorFlow. ``shapes`` are by input; without them the sizes
    are the program's own, or the example's with its first dimension free.

    Returns the registered model, or without a client the path of ``model.xml`` in ``folder``. Raises
    InvalidInput for what cannot be converted, Unavailable where OpenVINO is not installed, and what the
    client raises.
    """
    if folder is None:
        if client is None:
            raise InvalidInput(
                "there is neither a client nor a folder", hint="give client=Client(url), or folder=Path(…)"
            )
        with TemporaryDirectory(prefix="ovfarm-") as temporary:
            return _registered(client, name, _written(module, example_input, shapes, Path(temporary)))
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = _written(module, example_input, shapes, Path(folder))
    return _registered(client, name, path) if client else path


def _registered(client: Client, name: str, path: Path) -> ModelView:
    weights = path.with_suffix(".bin")
    return client.register_model(name, {path.name: path, weights.name: weights})


def _written(module: object, example: object, shapes: Shapes | None, folder: Path) -> Path:
    if isinstance(module, str | os.PathLike):
        raise InvalidInput(
            "this is a path, and a model is wanted",
            hint="load it here, where you trust it, and give the object",
        )
    if isinstance(module, Mapping):
        raise InvalidInput(
            "these are weights by name (a state_dict), and a model is wanted",
            hint="load them into their module, module.load_state_dict(weights), and give the module",
        )
    asked = _checked(shapes or {})
    try:
        import openvino as ov  # noqa: PLC0415 - heavy, and users of the client need not have it
    except ImportError as missing:
        raise Unavailable(
            f"OpenVINO cannot be imported: {missing}", code="toolchain", hint="pip install openvino"
        ) from missing
    given = {"example_input": example} if example is not None else {}
    try:
        with _as_it_was(module):
            model = ov.convert_model(module, **given)
    except Exception as refused:
        raise InvalidInput(
            f"OpenVINO cannot convert this {type(module).__name__}: {str(refused).strip()[:1000]}",
            hint="give an example_input as forward takes it; replace operations that are named here",
        ) from refused
    _settle(model, module, example, asked)
    path = folder / "model.xml"
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def _checked(shapes: Shapes) -> dict[str, Shape]:
    try:
        return _SHAPES.validate_python(dict(shapes))
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        raise InvalidInput(f"shapes: {first['loc'][0]!r}: {first['msg']}", hint=_SHAPES_HINT) from None


@contextmanager
def _as_it_was(module: object) -> Iterator[None]:
    """Give a module's parts their modes back: OpenVINO puts all of them into that of evaluation."""
    parts = module.modules() if hasattr(module, "modules") and hasattr(module, "training") else ()
    modes = [(part, part.training) for part in parts]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _settle(model: Any, module: object, example: object, asked: Mapping[str, Shape]) -> None:
    """Name the inputs as the module does, and give them the types and sizes that are asked for, or known."""
    known = signatures.inputs(module)
    if len(known) == len(model.inputs):
        for port, given in zip(model.inputs, known, strict=True):
            port.get_tensor().set_names({given.name})
    names = [port.get_any_name() for port in model.inputs]
    if strange := set(asked) - set(names):
        raise InvalidInput(f"shapes: there is no input {min(strange)!r}; there are: {', '.join(names)}")
    told = (*signatures.of_example(example, names), *known)
    shapes = {given.name: given.shape for given in told if given.shape is not None} | dict(asked)
    types = {given.name: given.element_type for given in told if given.element_type}
    try:
        _give(model, shapes, types)
    except RuntimeError as refused:
        listed = ", ".join(f"{name} {signatures.text(shape)}" for name, shape in shapes.items())
        raise InvalidInput(f"the model cannot take these inputs: {listed}", hint=_SHAPES_HINT) from refused
    unknown = [port.get_any_name() for port in model.inputs if _unknown(port)]
    if unknown:
        raise InvalidInput(
            f"nothing tells the type and the number of dimensions of {', '.join(unknown)}",
            hint="give an example_input as forward takes it",
        )


def _give(model: Any, shapes: Mapping[str, Shape], types: Mapping[str, str]) -> None:
    from openvino import PartialShape, Type  # noqa: PLC0415 - it is imported already

    for port in model.inputs:
        name, node = port.get_any_name(), port.get_node()
        if name in types:
            node.set_element_type(getattr(Type, types[name]))
        if name in shapes:
            node.set_partial_shape(PartialShape(signatures.text(shapes[name])))
    model.validate_nodes_and_infer_types()


def _unknown(port: Any) -> bool:
    return bool(port.get_element_type().is_dynamic() or port.get_partial_shape().rank.is_dynamic)
