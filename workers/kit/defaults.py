"""optimum-intel's own compression of a model: its table of hand-tuned configurations, by the model's id.

The table is ``optimum.intel.openvino.configuration``; a configuration of several networks gives that of
its language model, because the others are compressed to 8 bits here in any case. Whatever else of a
configuration has no place here is named in the note.
"""

import importlib
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openvino as ov
from pydantic import BaseModel, ConfigDict

from ovfarm.patches import Patch
from ovfarm.recipes import Compress, IgnoredScope
from ovfarm.results import Note, NoteCode
from workers.kit.described import described

_CONFIGURATION = "optimum.intel.openvino.configuration"
_MODES = {(8, True): "int8_sym", (8, False): "int8_asym", (4, True): "int4_sym", (4, False): "int4_asym"}
_SEVERAL, _LANGUAGE = "quantization_configs", "lm_model"
_TWICE = ("quantization_config1", "quantization_config2")
# What optimum-intel calls the only network of a model, and the one that generates.
_GENERATING = ("model", _LANGUAGE)
_NOTHING = IgnoredScope()


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of NNCF over a network, and the nodes that it leaves alone if the network has them."""

    params: Compress
    scope: IgnoredScope = _NOTHING


class _Scope(BaseModel):
    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


class _Config(BaseModel):
    """What a configuration says of how weights are compressed; what is not known here stays beside it."""

    model_config = ConfigDict(extra="allow")

    bits: int
    sym: bool = False
    weight_only: bool = True
    ratio: float | None = None
    group_size: int | None = None
    group_size_fallback: str | None = None
    all_layers: bool | None = None
    backup_precision: str | None = None
    quant_method: str = "default"
    scale_estimation: bool = False
    dataset: str | None = None
    ignored_scope: _Scope = _Scope()


def resolved(
    params: Compress, folder: Path, *, with_data: bool, alone: bool = True
) -> tuple[tuple[Pass, ...], Note]:
    """Return the runs of NNCF that ``auto`` stands for, in their order, and a note that names them.

    ``alone`` says that the model is one network, and can be quantized with its activations as well.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries say of each other when they are imported
        table = importlib.import_module(_CONFIGURATION)
    names = [name for name in (params.known_as, described(folder).name_or_path) if name]
    for name in names:
        for bits in ("int4", "int8"):
            found = table.get_default_quantization_config(name, weight_format=bits)
            if found and (configs := _configs(found)):
                scopes = _scopes(table, name)
                passes = _passes(params, configs, scopes, with_data=with_data)
                left = [*_left(found, configs), *_left_scopes(scopes), *_left_of_user(params, passes)]
                return passes, _taken(name, passes, configs, left, with_data=with_data)
    return _general(params, names, table, alone=alone)


def _general(params: Compress, names: list[str], table: Any, *, alone: bool) -> tuple[tuple[Pass, ...], Note]:
    """Return INT8 for a model that the table has no weights of, and what the table has of it."""
    words = ["optimum-intel has no configuration for this model"]
    patches: tuple[Patch, ...] = ()
    for name in names:
        if full := table.get_default_quantization_config(name, quant_mode="int8"):
            words, patches = _of_activations(name, full, alone=alone)
    scopes = next((found for name in names if (found := _scopes(table, name))), {})
    plain = Pass(_plain(params), _always(scopes))
    words += [f"its general one, {_said(plain)}, was taken", *_left_scopes(scopes)]
    words += _left_of_user(params, (plain,))
    return (plain,), Note(code=NoteCode.AUTO, message="; ".join(words)[:1000], patches=patches)


def present(scope: IgnoredScope, model: ov.Model) -> tuple[IgnoredScope, tuple[str, ...]]:
    """Return what a network has of a scope, and the rules that meet none of its nodes.

    NNCF refuses rules that meet nothing, and these were written by others for another export.
    """
    nodes = {op.get_friendly_name() for op in model.get_ops()}
    kinds = {op.get_type_name() for op in model.get_ops()}
    names = tuple(name for name in scope.names if name in nodes)
    patterns = tuple(rule for rule in scope.patterns if any(map(re.compile(rule).match, nodes)))
    types = tuple(kind for kind in scope.types if kind in kinds)
    asked = (*scope.names, *scope.patterns, *scope.types)
    absent = tuple(rule for rule in asked if rule not in {*names, *patterns, *types})
    return IgnoredScope(names=names, patterns=patterns, types=types), absent


def merged(one: IgnoredScope, other: IgnoredScope) -> IgnoredScope:
    """Return the scope of what either leaves alone; whether all must be there is for ``one`` to say."""
    rules = {
        name: tuple(dict.fromkeys((*getattr(one, name), *getattr(other, name))))
        for name in ("names", "patterns", "types")
    }
    return one.model_copy(update=rules)


def _configs(found: Mapping[str, Any]) -> tuple[_Config, ...]:
    """Return the configurations of weights, in the order in which they are applied; none if there is none."""
    found = found.get(_SEVERAL, {}).get(_LANGUAGE, found)
    raw = [found[key] for key in _TWICE if key in found] or [found]
    return tuple(_Config.model_validate(each) for each in raw if "bits" in each)


def _passes(
    params: Compress, configs: tuple[_Config, ...], scopes: Mapping[str, Any], *, with_data: bool
) -> tuple[Pass, ...]:
    always = _always(scopes)
    return tuple(
        Pass(_applied(params, config, with_data=with_data), merged(_scope(config.ignored_scope), always))
        for config in configs
    )


def _scopes(table: Any, name: str) -> Mapping[str, Any]:
    """Return the scopes that are ignored whatever the configuration, by network."""
    found: Mapping[str, Any] = getattr(table, "_DEFAULT_IGNORED_SCOPE_CONFIGS", {}).get(name, {})
    return found


def _always(scopes: Mapping[str, Any]) -> IgnoredScope:
    raw: Mapping[str, Any] = next((scopes[network] for network in _GENERATING if network in scopes), {})
    return _scope(_Scope.model_validate(raw))


def _scope(found: _Scope) -> IgnoredScope:
    return IgnoredScope(**found.model_dump())


def _plain(params: Compress) -> Compress:
    return Compress(name=params.name, ignored_scope=params.ignored_scope, subset_size=params.subset_size)


def _applied(params: Compress, config: _Config, *, with_data: bool) -> Compress:
    given: dict[str, object] = {"mode": _MODES[config.bits, config.sym]}
    if config.bits < 8:
        asked = params.group_size_fallback
        given |= {
            "ratio": config.ratio,
            "group_size": config.group_size,
            "group_size_fallback": (config.group_size_fallback or asked) if asked == "error" else asked,
            "all_layers": config.all_layers,
            "backup_mode": config.backup_precision,
            "awq": config.quant_method == "awq",
            "scale_estimation": config.scale_estimation and with_data,
            "advanced": params.advanced,
        }
    return Compress.model_validate({**_plain(params).model_dump(), **given})


def _left(found: Mapping[str, Any], configs: tuple[_Config, ...]) -> Iterator[str]:
    """Yield what a configuration says and nothing here can do."""
    others = [name for name in found.get(_SEVERAL, {}) if name != _LANGUAGE]
    if others:
        yield f"its configurations of {', '.join(others)} were not taken: these are compressed to int8_asym"
    extra = {key: value for config in configs for key, value in (config.model_extra or {}).items()}
    if extra:
        yield f"not taken: {', '.join(f'{key}={value}' for key, value in extra.items())}"


def _left_scopes(scopes: Mapping[str, Any]) -> Iterator[str]:
    """Yield the networks whose ignored scope is not taken, because they do not generate."""
    if others := [network for network in scopes if network not in _GENERATING]:
        yield f"not taken: its ignored scope of {', '.join(others)}"


def _left_of_user(params: Compress, passes: tuple[Pass, ...]) -> Iterator[str]:
    """Yield what the user has set and 8 bits have no use for."""
    known = {"advanced": params.advanced, "group_size_fallback": params.group_size_fallback}
    set_by_user = [key for key, value in known.items() if value != Compress.model_fields[key].default]
    if set_by_user and all(each.params.mode.startswith("int8") for each in passes):
        yield f"{', '.join(set_by_user)} is for fewer than 8 bits and was left out"


def _taken(
    name: str, passes: tuple[Pass, ...], configs: tuple[_Config, ...], left: list[str], *, with_data: bool
) -> Note:
    said = "; then for what is left ".join(map(_said, passes))
    words = [f"optimum-intel's configuration for {name}: {said}", *_about_data(configs, with_data=with_data)]
    return Note(code=NoteCode.AUTO, message="; ".join([*words, *left])[:1000])


def _said(one: Pass) -> str:
    given = one.params.model_dump(
        exclude_defaults=True, exclude={"name", "mode", "ignored_scope", "advanced"}
    )
    scope = [*one.scope.names, *one.scope.patterns, *one.scope.types]
    parts = [one.params.mode, *(f"{key}={value}" for key, value in given.items() if value is not None)]
    return ", ".join(parts) + (f", ignoring {' '.join(scope)}" if scope else "")


def _about_data(configs: tuple[_Config, ...], *, with_data: bool) -> Iterator[str]:
    """Yield how the calibration differs from the one that the configuration was tuned with."""
    tuned = next((config for config in configs if config.dataset), None)
    without = [
        "AWQ" if any(config.quant_method == "awq" for config in configs) else "",
        "the choice of what stays in 8 bits" if any((config.ratio or 1) < 1 for config in configs) else "",
    ]
    weighed = " and ".join(filter(None, without))
    if tuned and with_data:
        yield f"measured on the job's own calibration data, where it was tuned with {tuned.dataset}"
    elif tuned:
        told = [f"{weighed} by the weights alone"] if weighed else []
        told += ["without its scale estimation"] if tuned.scale_estimation else []
        missing = f"it was tuned with calibration data ({tuned.dataset}), and there is none here"
        yield f"{missing}: {', '.join(told) or 'as it is'}"
    elif with_data and weighed:
        yield f"{weighed} by the job's calibration data, where optimum-intel goes by the weights alone"


def _of_activations(
    name: str, full: Mapping[str, Any], *, alone: bool
) -> tuple[list[str], tuple[Patch, ...]]:
    """Return the words for a configuration of weights and activations, which weights alone cannot follow."""
    inner = {key: value for each in full.get(_SEVERAL, {"": full}).values() for key, value in each.items()}
    said = ", ".join(f"{key}={value}" for key, value in inner.items())
    found = f"the one that it has quantizes activations as well ({said})"
    words = [
        f"optimum-intel has no configuration of the weights alone for {name}",
        f"not taken: {found}, as the recipe int8 does with calibration data",
    ]
    patch = Patch(why="quantize activations as well, as optimum-intel is configured to", recipe="int8")
    return words, (patch,) if alone else ()
