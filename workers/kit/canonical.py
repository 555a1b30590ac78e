"""What IR means, as one digest: the same for the same model, wherever and by whom it was written.

A ``.bin`` is the same wherever it is made, but an ``.xml`` carries names with counters of the process that
wrote it (``Convert_526731``), and tells how it came to be. All else counts: each attribute of each element,
the maps by which the bodies of loops are fed, and what OpenVINO and tokenizers read beside the graph
(``rt_info``).
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from ovfarm.gates import CHOSEN_FILE
from workers.kit import networks

# Attributes that may be names with counters: layers stand for themselves by their place.
_NAMES = frozenset({("net", "name"), ("layer", "name"), ("layer", "output_names"), ("port", "names")})
# What rt_info tells of how the model came to be: the tools with their parameters, and the layers that
# a layer was made of.
_HISTORY = frozenset({"Runtime_version", "conversion_parameters", "nncf", "optimum"})
_NAMED_HISTORY = frozenset({"OpenVINO Runtime", "fused_names"})


def digest(folder: Path) -> str:
    """Return the sha256 of what a folder of IR means: of its one network, or of all that is in it."""
    found = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    beside = (CHOSEN_FILE, f"{networks.STATISTICS}/")
    files = {name: path for name, path in found.items() if not name.startswith(beside)}
    graphs = {name: path for name, path in files.items() if path.suffix == ".xml"}
    if len(files) == 2 and len(graphs) == 1:
        return _of_network(next(iter(graphs.values())))
    weights = {name.removesuffix(".xml") + ".bin" for name in graphs}
    whole = hashlib.sha256()
    for name, path in files.items():
        if name not in weights:
            meaning = _of_network(path) if name in graphs else hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{name}\0{meaning}\n".encode())
    return whole.hexdigest()


def _of_network(xml: Path) -> str:
    root = ET.parse(xml).getroot()  # noqa: S314 - written by OpenVINO a moment ago
    with xml.with_suffix(".bin").open("rb") as weights:
        found = hashlib.file_digest(weights, "sha256")
    _tell(root, found.update)
    return found.hexdigest()


def _tell(root: ET.Element, to: Callable[[bytes], None]) -> None:
    """Tell an element and all below it, in order and however deep.

    Users feed inputs and read outputs by name. Inside a body nothing is: its maps name layers by number.
    """
    waiting = [(root, False, False)]
    while waiting:
        element, inside, fed = waiting.pop()
        tag = element.tag
        inside = inside or tag.endswith("body")
        if tag == "layer":
            fed = not inside and element.get("type") == "Parameter"
        kept = [
            (key, value)
            for key, value in sorted(element.attrib.items())
            if (tag, key) not in _NAMES or fed or (key == "output_names" and not inside)
        ]
        parts = [part for part in element if not _tells_history(element, part)]
        to(repr((tag, kept, (element.text or "").strip(), len(parts))).encode())
        waiting += [(part, inside, fed) for part in reversed(parts)]


def _tells_history(element: ET.Element, part: ET.Element) -> bool:
    if element.tag != "rt_info":
        return False
    return part.tag in _HISTORY or (part.tag in {"info", "attribute"} and part.get("name") in _NAMED_HISTORY)
