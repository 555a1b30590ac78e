"""A TCP proxy that can be slow, refuse, or cut what is open: the object store on a bad day."""

import contextlib
import socket
import struct
import threading
import time
from enum import StrEnum

_ABORT = struct.pack("ii", 1, 0)


class Mood(StrEnum):
    """How the proxy treats what passes."""

    KIND = "kind"
    SLOW = "slow"
    REFUSE = "refuse"


class Proxy:
    """Listens on ``port`` of loopback and hands on to ``target``; ``mood`` may change at any time."""

    def __init__(self, target: int) -> None:
        self._target = ("127.0.0.1", target)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.mood = Mood.KIND
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and cut what is open."""
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset all open connections."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.mood is Mood.REFUSE:
                client.close()
                continue
            try:
                upstream = socket.create_connection(self._target, timeout=30)
            except OSError:
                client.close()
                continue
            self._open |= {client, upstream}
            for source, sink in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if self.mood is Mood.SLOW:
                    time.sleep(0.2)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut, by one of the ends or by us: nothing to hand on any more
        finally:
            self._open.discard(source)
            source.close()
