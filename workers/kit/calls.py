"""What NNCF refuses, in the farm's words."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import nncf
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from ovfarm.recipes import Compress, IgnoredScope, Quantize
from workers.kit import graph
from workers.kit.attention import attention_layers
from workers.kit.contiguous import contiguous_constants
from workers.protocol import StepFailed, failed


def scope(ignored: IgnoredScope) -> nncf.IgnoredScope | None:
    """Return NNCF's ignored scope, or None when nothing is ignored."""
    if not (ignored.names or ignored.patterns or ignored.types):
        return None
    return nncf.IgnoredScope(
        names=list(ignored.names),
        patterns=list(ignored.patterns),
        types=list(ignored.types),
        validate=ignored.must_match,
    )


def preset(params: Quantize) -> nncf.QuantizationPreset | None:
    """Return NNCF's preset, or None where the choice is NNCF's: FP8 has one, which may not be named."""
    if params.mode != "int8" or params.preset == "auto":
        return None
    return nncf.QuantizationPreset[params.preset.upper()]


def model_type(params: Quantize, model: ov.Model) -> nncf.ModelType | None:
    """Return NNCF's model type: as asked, or found out by looking for attention."""
    found = params.model_type == "auto" and attention_layers(model)
    return nncf.ModelType.TRANSFORMER if found or params.model_type == "transformer" else None


@contextmanager
def refusals(params: Quantize | Compress) -> Iterator[None]:
    """Turn what NNCF raises about the parameters of a step into failures that name them.

    What is raised by the farm's own code passes: it is a crash, and somebody has to hear of it. The
    constants that NNCF writes meanwhile are as it meant them.
    """
    try:
        with contiguous_constants():
            yield
    except nncf.ValidationError as refused:
        raise _invalid(refused) from refused
    except (nncf.ParameterNotSupportedError, nncf.UnsupportedModelError) as refused:
        raise failed(
            FailureClass.USER,
            FailureCode.PARAMETER_REFUSED,
            f"NNCF refused it: {str(refused)[:300]}",
            evidence=str(refused),
        ) from refused
    except nncf.InvalidGroupSizeError:
        raise
    except NotImplementedError as refused:
        raise _unfinished(refused) from refused
    except RuntimeError as refused:
        raise _of_the_model(refused) from refused
    except (nncf.InternalError, nncf.StatisticsCacheError) as refused:
        raise _cannot(refused) from refused
    except _STUMBLES as stumbled:
        if (refusal := _stumbled(stumbled, params)) is None:
            raise
        raise refusal from stumbled


# How NNCF's code ends on parameters that it takes and does not check.
_STUMBLES = (TypeError, ValueError, AttributeError, LookupError, AssertionError, ArithmeticError)
_OURS = ("workers", "ovfarm")


def _invalid(refused: Exception) -> StepFailed:
    about_scope = "ignored" in str(refused).lower()
    return failed(
        FailureClass.USER,
        FailureCode.IGNORED_SCOPE if about_scope else FailureCode.PARAMETER_REFUSED,
        f"ignored_scope names nodes or types that this model does not have{_ignored(refused)}"
        if about_scope
        else "NNCF refused a parameter",
        hint="see the names in the model's graph; with ignored_scope.validate=false what a network does not "
        "have is passed over"
        if about_scope
        else None,
        evidence=str(refused),
    )


def _ignored(refused: Exception) -> str:
    """Return what NNCF did not find, as it lists it."""
    found = "; ".join(re.findall(r"that matches (.+) were not found", str(refused)))
    return f": {found[:1000]}" if found else ""


def _unfinished(refused: NotImplementedError) -> Exception:
    """Name the one thing that NNCF says it has not: slow bias correction beside If."""
    if "If operation" not in str(refused):
        return _of_the_model(refused)
    return failed(
        FailureClass.USER,
        FailureCode.PARAMETER_REFUSED,
        "fast_bias_correction false does not work on a model with an If operation",
        hint="leave fast_bias_correction at true",
        evidence=str(refused),
        patches=(
            Patch(
                why="the bias correction that works inside If",
                overrides={"quantize.fast_bias_correction": True},
            ),
        ),
    )


def _stumbled(error: Exception, params: Quantize | Compress) -> StepFailed | None:
    """Return what NNCF's own code stumbled over, if it was its code and was given more than defaults."""
    if isinstance(error, ValueError) and "HW" in str(error):
        return failed(
            FailureClass.USER,
            FailureCode.PARAMETER_REFUSED,
            "the target device cannot compute with these quantizers",
            hint="leave num_bits, mode and per_channel to NNCF, or take another target_device",
            evidence=" ".join(str(error).split()),
        )
    if _raised_by(error) != "nncf" or not _asked(params):
        return None
    return _cannot(error, f" with {', '.join(_asked(params))}")


def _raised_by(error: BaseException) -> str | None:
    """Return whose code raised: the innermost frame of NNCF or of the farm, below which are libraries."""
    found = None
    for frame, _line in traceback.walk_tb(error.__traceback__):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        found = package if package in {"nncf", *_OURS} else found
    return found


def _asked(params: Quantize | Compress) -> list[str]:
    """Return the parameters of the method that are not at their defaults."""
    fields = type(params).model_fields
    beside = {"kind", "name", "model", "after", "unless", "mode", "subset_size"}
    return [
        name
        for name, field in fields.items()
        if name not in beside and getattr(params, name) != field.default
    ]


def _of_the_model(refused: RuntimeError) -> Exception:
    """Say whether a model could not compute, or NNCF could not do to it what was asked."""
    words = str(refused)
    if "alloc" in words:
        return refused
    if "infer_request" in words or "src/plugins" in words:
        return graph.cannot_infer(words)
    return _cannot(refused)


def _cannot(refused: Exception, asked: str = "") -> StepFailed:
    last = (str(refused).strip().splitlines() or [type(refused).__name__])[-1]
    return failed(
        FailureClass.USER,
        FailureCode.TOOL_REFUSED,
        f"NNCF cannot do this to the model{asked}: {last[:300]}",
        hint="leave out the options that are not the default, one by one",
        evidence=f"{type(refused).__name__}: {refused}",
    )
