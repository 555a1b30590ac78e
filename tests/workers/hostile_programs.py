"""Programs of torch.export and TorchScript whose pickles run code when they are loaded."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.steps.torch_networks import saved

RAN = "THE-PROGRAM-RAN"
# What a program tries that wants to reach anything: each try that comes off says so in its own log.
REACH = """
import os, socket, sys
def attempt(what, work):
    try:
        came = work()
    except Exception:
        came = None
    sys.stderr.write(f"{{'OPEN' if came else 'shut'}}: {{what}}\\n")
    sys.stderr.flush()
sys.stderr.write({ran!r} + "\\n")
attempt("a shell", lambda: os.system("touch {outside}/shell") == 0)
attempt("a file outside", lambda: open("{outside}/file", "w").write("x"))
attempt("a secret outside", lambda: open("{outside}/secret").read())
attempt("its own input", lambda: open("{given}", "ab").write(b"x"))
attempt("the code of the farm", lambda: open("{code}", "a").write("x"))
attempt("the network", lambda: socket.create_connection(("127.0.0.1", {port}), 1))
attempt("other processes", lambda: open("/proc/1/environ").read())
attempt("the node's variables", lambda: [name for name in os.environ if name.startswith("OVFARM")])
"""
# It answers in the place of its step, with a digest that belongs to something else.
FORGE = """
import json, os, socket, struct
frame = {{"frame": "result", "result": {{"canonical_digest": "{digest}"}}}}
body = json.dumps(frame).encode()
with open(os.path.join(os.path.dirname(os.environ["TMPDIR"]), "out", "model.bin"), "wb") as file:
    file.write(b"forged")
for fd in range(3, 64):
    try:
        channel = socket.socket(fileno=os.dup(fd))
    except OSError:
        continue
    channel.setblocking(True)
    channel.sendall(struct.pack("!I", len(body)) + body)
os._exit(0)
"""


class Payload:
    """An object whose unpickling runs ``code``."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.code, {"__builtins__": __builtins__})


def _rewritten(path: Path, changes: Mapping[str, Callable[[bytes], bytes]]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(packed, "w") as other:
        for entry in whole.infolist():
            data = whole.read(entry)
            for end, change in changes.items():
                data = change(data) if entry.filename.endswith(end) else data
            other.writestr(entry.filename, data)
    return packed.getvalue()


def _checkpoint(code: str) -> bytes:
    import torch

    packed = io.BytesIO()
    torch.save(Payload(code), packed)
    return packed.getvalue()


def _pickled_weights(config: bytes) -> bytes:
    """Tell the loader that the weights are pickles."""
    told = json.loads(config)
    for weight in told["config"].values():
        weight["use_pickle"] = True
    return json.dumps(told).encode()


def in_samples(folder: Path, code: str) -> bytes:
    """Return a torch.export program with a payload in the place of its sample inputs."""
    saved("convolution", "exported", folder / "samples.pt2")
    return _rewritten(folder / "samples.pt2", {"sample_inputs/model.pt": lambda _: _checkpoint(code)})


def in_weights(folder: Path, code: str) -> bytes:
    """Return one with a payload in the place of its first weight."""
    saved("convolution", "exported", folder / "weights.pt2")
    changes: dict[str, Callable[[bytes], bytes]] = {
        "model_weights_config.json": _pickled_weights,
        "weights/weight_0": lambda _: _checkpoint(code),
        "sample_inputs/model.pt": lambda data: data,
    }
    return _rewritten(folder / "weights.pt2", changes)


def in_torchscript(folder: Path, code: str) -> bytes:
    """Return a TorchScript program with a pickle for its data, which its own reader does not follow."""
    saved("convolution", "traced", folder / "data.pt")
    return _rewritten(folder / "data.pt", {"/data.pkl": lambda _: pickle.dumps(Payload(code), 2)})
