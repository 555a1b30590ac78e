"""Compiles the little programs that NNCF compresses weights with once, not once for each weight.

NNCF 3 turns its own cache of them off where it writes compressed weights, because a result may share its
memory with the request that computed it (``openvino_backend._create_compression_subgraph``). A program
that is shared and a request for each weight are as safe, and a model of ten million parameters is
compressed in less than half the time.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import openvino as ov
from nncf.openvino.optimized_functions import models

Key = tuple[object, ...]


@contextmanager
def compiled_once() -> Iterator[dict[Key, ov.CompiledModel]]:
    """Let the calls inside share compiled programs; yields those that there are."""
    programs: dict[Key, ov.CompiledModel] = {}
    compile_model = models._compile_ov_model  # noqa: SLF001 - the one place where NNCF compiles them

    def shared(model: ov.Model, device_name: str, config: Mapping[str, object]) -> ov.CompiledModel:
        key = (device_name, repr(sorted(config.items())), *_structure(model))
        if key not in programs:
            programs[key] = compile_model(model, device_name, config)
        # A handle of its own makes a request of its own: what another has computed stays as it is.
        return ov.CompiledModel(programs[key])

    models._compile_ov_model = shared  # noqa: SLF001
    try:
        yield programs
    finally:
        models._compile_ov_model = compile_model  # noqa: SLF001


def _structure(model: ov.Model) -> Iterator[object]:
    """Yield what tells one graph from another: operations, attributes, edges, constants, names of inputs."""
    places: dict[str, int] = {}
    for place, op in enumerate(model.get_ordered_ops()):
        kind = op.get_type_name()
        places[op.get_friendly_name()] = place
        given = [(places[s.get_node().get_friendly_name()], s.get_index()) for s in op.input_values()]
        made = [
            (o.get_element_type().get_type_name(), o.get_partial_shape().to_string()) for o in op.outputs()
        ]
        yield kind, repr(given), repr(made), repr(sorted(op.get_attributes().items(), key=str))
        if kind == "Constant":
            yield op.data.tobytes()
        if kind == "Parameter":
            yield op.get_friendly_name()
