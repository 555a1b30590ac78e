"""Small PyTorch networks, saved in every way that PyTorch knows. PyTorch is imported where they are made."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def convolution() -> Any:
    """Return a network whose TorchScript tells how many dimensions its input has: x [?,1,16,16] to [?,4]."""
    import torch

    class Convolution(torch.nn.Module):  # type: ignore[misc] # PyTorch is not followed
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 8, 3, padding=1)
            self.dense = torch.nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.dense(torch.relu(self.conv(x)).mean((2, 3)))

    torch.manual_seed(0)
    return Convolution().eval()


def embedding() -> Any:
    """Return a network of two inputs of different types, of which TorchScript tells nothing."""
    import torch

    class Embedding(torch.nn.Module):  # type: ignore[misc] # the same
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(10, 8)
            self.dense = torch.nn.Linear(8, 4)

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.dense((self.table(ids) * mask.unsqueeze(-1)).sum(1))

    torch.manual_seed(0)
    return Embedding().eval()


def rows(network: str, count: int = 4) -> tuple[Any, ...]:
    """Return rows for a network, as tensors."""
    import torch

    torch.manual_seed(1)
    if network == "convolution":
        return (torch.randn(count, 1, 16, 16),)
    return torch.randint(0, 9, (count, 5)), torch.rand(count, 5)


def saved(network: str, way: str, path: Path) -> NDArray[Any]:
    """Write a network as ``scripted``, ``traced`` or ``exported``; returns its answers to its rows."""
    import torch

    module = {"convolution": convolution, "embedding": embedding}[network]()
    given = rows(network)
    with torch.no_grad():
        answers: NDArray[Any] = module(*given).numpy()
    if way == "exported":
        batch = torch.export.Dim("batch", min=1, max=64)
        free = tuple({0: batch} for _ in given)
        torch.export.save(torch.export.export(module, given, dynamic_shapes=free), path)
    else:
        made = torch.jit.script(module) if way == "scripted" else torch.jit.trace(module, given)
        made.save(str(path))
    return np.asarray(answers)
