"""optimum-intel's own compression of a model: its table of hand-tuned configurations, by the model's id.

The table is ``optimum.intel.openvino.configuration``; a configuration of several networks gives that of
its language model, because the others are compressed to 8 bits here in any case.
"""

import importlib
import warnings
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ovfarm.recipes import Compress
from ovfarm.results import Note, NoteCode
from workers.kit.described import described

_CONFIGURATION = "optimum.intel.openvino.configuration"
_MODES = {(8, True): "int8_sym", (8, False): "int8_asym", (4, True): "int4_sym", (4, False): "int4_asym"}
_LANGUAGE = "lm_model"


class _Config(BaseModel):
    """The fields of a configuration that say how weights are compressed."""

    model_config = ConfigDict(extra="ignore")

    bits: int
    sym: bool = False
    ratio: float | None = None
    group_size: int | None = None
    group_size_fallback: str = "error"
    all_layers: bool | None = None
    backup_precision: str | None = None
    quant_method: str | None = None
    scale_estimation: bool = False


def resolved(params: Compress, folder: Path, *, with_data: bool) -> tuple[Compress, Note]:
    """Return the parameters that ``auto`` stands for, and a note that names them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries say of each other when they are imported
        table = importlib.import_module(_CONFIGURATION)
    for name in filter(None, (params.known_as, described(folder).name_or_path)):
        for bits in ("int4", "int8"):
            found = table.get_default_quantization_config(name, weight_format=bits)
            config = found.get("quantization_configs", {}).get(_LANGUAGE, found) if found else {}
            if "bits" in config:
                return _applied(params, name, _Config.model_validate(config), with_data=with_data)
    words = "optimum-intel has no configuration for this model: its general one, int8_asym, was taken"
    return _plain(params), Note(code=NoteCode.AUTO, message=words)


def _plain(params: Compress) -> Compress:
    return Compress(name=params.name, ignored_scope=params.ignored_scope, subset_size=params.subset_size)


def _applied(params: Compress, name: str, config: _Config, *, with_data: bool) -> tuple[Compress, Note]:
    mode = _MODES[config.bits, config.sym]
    given: dict[str, object] = {}
    if config.bits < 8:
        given = {
            "ratio": config.ratio,
            "group_size": config.group_size,
            "group_size_fallback": config.group_size_fallback,
            "all_layers": config.all_layers,
            "backup_mode": config.backup_precision,
            "awq": config.quant_method == "awq",
            "scale_estimation": config.scale_estimation and with_data,
        }
    made = Compress.model_validate({**_plain(params).model_dump(), "mode": mode, **given})
    said = ", ".join(f"{key}={value}" for key, value in given.items() if value not in {None, False, "error"})
    words = f"optimum-intel's configuration for {name}: {mode}{', ' if said else ''}{said}"
    if config.scale_estimation and not with_data:
        words += "; its scale estimation needs calibration data, and there is none"
    return made, Note(code=NoteCode.AUTO, message=words[:1000])
