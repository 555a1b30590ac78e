"""What an ignored scope names, in a model of several networks: each of it must be in one of them at least."""

import re

import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import IgnoredScope
from workers.protocol import failed


class Unseen:
    """The names, patterns and types that no network has had so far."""

    def __init__(self, ignored: IgnoredScope) -> None:
        self._must_match = ignored.must_match
        self._names, self._types = set(ignored.names), set(ignored.types)
        self._patterns = {pattern: re.compile(pattern) for pattern in ignored.patterns}

    def look(self, model: ov.Model) -> None:
        """Strike out what a network has."""
        nodes = [(op.get_friendly_name(), op.get_type_name()) for op in model.get_ops()]
        self._names -= {name for name, _ in nodes}
        self._types -= {kind for _, kind in nodes}
        self._patterns = {
            pattern: compiled
            for pattern, compiled in self._patterns.items()
            if not any(compiled.match(name) for name, _ in nodes)
        }

    def check(self) -> None:
        """Raise StepFailed when something is left, unless it need not be there."""
        left = sorted(self._names | self._types | self._patterns.keys())
        if left and self._must_match:
            raise failed(
                FailureClass.USER,
                FailureCode.IGNORED_SCOPE,
                f"ignored_scope names what none of the networks has: {', '.join(left)}"[:1000],
                hint="see the names in the networks' graphs (the .xml files of the converted model)",
            )
