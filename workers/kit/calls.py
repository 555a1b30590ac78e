"""What NNCF refuses, in the farm's words."""

from collections.abc import Iterator
from contextlib import contextmanager

import nncf
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import IgnoredScope, Quantize
from workers.kit import graph
from workers.protocol import failed


def scope(ignored: IgnoredScope) -> nncf.IgnoredScope | None:
    """Return NNCF's ignored scope, or None when nothing is ignored."""
    if not (ignored.names or ignored.patterns or ignored.types):
        return None
    return nncf.IgnoredScope(
        names=list(ignored.names), patterns=list(ignored.patterns), types=list(ignored.types)
    )


def model_type(params: Quantize, model: ov.Model) -> nncf.ModelType | None:
    """Return NNCF's model type: as asked, or found out by looking for attention."""
    found = params.model_type == "auto" and graph.attention_layers(model)
    return nncf.ModelType.TRANSFORMER if found or params.model_type == "transformer" else None


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what NNCF raises about its parameters into failures that name them."""
    try:
        yield
    except nncf.ValidationError as refused:
        about_scope = "ignored" in str(refused).lower()
        raise failed(
            FailureClass.USER,
            FailureCode.IGNORED_SCOPE if about_scope else FailureCode.PARAMETER_REFUSED,
            "ignored_scope names nodes or types that this model does not have"
            if about_scope
            else "NNCF refused a parameter",
            hint="see the names in the model's graph" if about_scope else None,
            evidence=str(refused),
        ) from refused
    except (nncf.ParameterNotSupportedError, nncf.UnsupportedModelError) as refused:
        raise failed(
            FailureClass.USER,
            FailureCode.PARAMETER_REFUSED,
            f"NNCF refused it: {str(refused)[:300]}",
            evidence=str(refused),
        ) from refused
    except nncf.InvalidGroupSizeError:
        raise
    except ValueError as refused:
        if "HW" not in str(refused):
            raise
        raise failed(
            FailureClass.USER,
            FailureCode.PARAMETER_REFUSED,
            "the target device cannot compute with these quantizers",
            hint="leave num_bits, mode and per_channel to NNCF, or take another target_device",
            evidence=" ".join(str(refused).split()),
        ) from refused
    except RuntimeError as refused:
        raise _of_the_model(refused) from refused


def _of_the_model(refused: RuntimeError) -> Exception:
    """Say whether a model could not compute, or NNCF could not do to it what was asked."""
    words = str(refused)
    if "alloc" in words:
        return refused
    if "infer_request" in words or "src/plugins" in words:
        return graph.cannot_infer(words)
    return failed(
        FailureClass.USER,
        FailureCode.TOOL_REFUSED,
        f"NNCF cannot do this to the model: {words.strip().splitlines()[-1][:300]}",
        hint="leave out the options that are not the default, one by one",
        evidence=words,
    )
