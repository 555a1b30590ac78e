"""How far a long upload is: a line now and then, and none for a short one."""

import time
from collections.abc import Callable

from ovfarm.client.uploads import Sent

_FIRST_S, _LONGEST_S = 2.0, 30.0


class Uploading:
    """Takes what is sent and says it after two seconds, then more and more rarely."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._pause = _FIRST_S
        self._next: float | None = None

    def __call__(self, sent: Sent) -> None:
        """Say how far it is when it is time to."""
        now = self._clock()
        if self._next is None:
            self._next = now + self._pause
        if now < self._next:
            return
        self._pause = min(self._pause * 2, _LONGEST_S)
        self._next = now + self._pause
        size, whole = sent.size_bytes / 1e6, sent.of_bytes / 1e6
        self._say(f"▸ upload: {sent.files} of {sent.of_files} files, {size:.1f} of {whole:.1f} MB")
