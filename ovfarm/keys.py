"""The same work on the same bytes has the same name.

A step's key covers its kind and version, its parameters, the digests of its inputs by role, the tools
that do the work, and the place, as far as the place changes the outcome.
"""

import hashlib
import json
from collections.abc import Mapping

from pydantic import JsonValue

from ovfarm.hardware import Offer
from ovfarm.jobs import JobSpec
from ovfarm.recipes import Compress, Convert, Evaluate, Kind, Quantize, StepParams
from ovfarm.results import Manifest
from ovfarm.shapes import Document

_EDGES = {"name", "model", "reference", "after", "unless", "statistics"}


def canonical_json(value: JsonValue) -> bytes:
    """Return the one spelling of a JSON value: sorted keys, no white space, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_of(value: JsonValue) -> str:
    """Return the sha256 of a JSON value's canonical spelling."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def manifest_digest(manifest: Manifest) -> str:
    """Return the digest of a set of files: names and contents."""
    return digest_of({name: entry.digest for name, entry in manifest.files.items()})


def normalised(params: StepParams) -> dict[str, JsonValue]:
    """Return the parameters that change the outcome; names of steps do not."""
    return {k: v for k, v in params.model_dump(mode="json").items() if k not in _EDGES}


def works_by_names(params: StepParams) -> bool:
    """Tell whether a step finds the nodes of its model by names, which a canonical digest leaves out.

    Measured activations are kept by the names of nodes as well, and so are optimum-intel's scopes.
    """
    if not isinstance(params, Quantize | Compress):
        return False
    scope = params.ignored_scope
    named = bool(scope.names or scope.patterns)
    if isinstance(params, Quantize):
        return named
    return named or params.mode == "auto" or params.keep_statistics or params.statistics is not None


def document_digest(document: Document) -> str:
    """Return the digest of a document's canonical spelling."""
    return digest_of(document.model_dump(mode="json"))


def fingerprint(spec: JobSpec) -> str:
    """Return the digest of what a job works on and does: its limits, priority and title do not count."""
    asked = spec.model_dump(mode="json", include={"model", "data", "recipe", "overrides", "targets"})
    return digest_of(asked)


def _tools(params: StepParams, offer: Offer) -> dict[str, JsonValue]:
    versions = offer.versions
    if isinstance(params, Compress) and params.mode == "auto":
        return {
            "openvino": versions.openvino,
            "nncf": versions.nncf,
            "optimum_intel": versions.optimum_intel,
        }
    if params.kind in {Kind.QUANTIZE, Kind.COMPRESS, Kind.PACKAGE}:
        return {"openvino": versions.openvino, "nncf": versions.nncf}
    if isinstance(params, Convert) and params.task:
        return {
            "openvino": versions.openvino,
            "openvino_tokenizers": versions.openvino_tokenizers,
            "optimum_intel": versions.optimum_intel,
            "transformers": versions.transformers,
            "torch": versions.torch,
        }
    return {"openvino": versions.openvino}


def _place(params: StepParams, offer: Offer) -> JsonValue:
    """Return what of the node changes the outcome of this step."""
    isa: list[JsonValue] = [str(feature) for feature in sorted(offer.isa)]
    match params.kind:
        case Kind.CONVERT | Kind.CHOOSE | Kind.PACKAGE:
            return None
        case Kind.QUANTIZE | Kind.COMPRESS:
            return {"architecture": offer.architecture, "isa": isa}
        case Kind.EVALUATE:
            pinned = isinstance(params, Evaluate) and params.precision == "f32"
            precision = "f32" if pinned else offer.default_precision
            return {"device": offer.device_name, "isa": isa, "precision": precision}
        case Kind.BENCHMARK | Kind.PROBE:
            return document_digest(offer)


def step_key(params: StepParams, inputs: Mapping[str, str], offer: Offer) -> str:
    """Return the name of this work: equal keys mean that the result can be reused.

    ``inputs`` maps each role to the digest of what is in it: the canonical one, or that of its bytes where
    the step reads what the canonical one leaves out.
    """
    return digest_of(
        {
            "kind": str(params.kind),
            "version": params.step_version,
            "params": normalised(params),
            "inputs": dict(inputs),
            "tools": _tools(params, offer),
            "place": _place(params, offer),
        }
    )
