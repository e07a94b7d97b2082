"""A gate in front of a server: open, shut as if the server were not there, stuck as if the network were gone, or losing
answers to what was said.

Unlike `chaos`, which lets single connections go wrong, it is one switch for all of them, those that are there included.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_BLOCK = 1 << 16


class Gate:
    """Passes on TCP from a port of its own.

    Args:
        port: Where the server listens, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener: socket.socket | None = None
        self._flowing = threading.Event()
        self._flowing.set()
        self._word, self._every = b"", 0
        self._said = 0
        self.lost = 0
        """How many answers were lost."""
        self.port = 0
        self.open()

    def open(self) -> None:
        """Let everybody in."""
        self._flowing.set()
        if self._listener is None:
            listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
            self.port = listener.getsockname()[1]
            self._listener = listener
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Reset all connections, and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
            listener.close()
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._reset(pair)

    def stick(self) -> None:
        """Accept, and pass on nothing, until it is opened or shut."""
        self._flowing.clear()

    def lose_answers(self, word: bytes, *, every: int) -> None:
        """Reset the connection instead of passing on the answer to what contains a word, each n-th time; 0: never."""
        with self._lock:
            self._word, self._every = word, every

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=10)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            fate = threading.Event()
            threading.Thread(target=self._pass_on, args=(pair, client, server, fate, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(pair, server, client, fate, False), daemon=True).start()

    def _pass_on(
        self,
        pair: tuple[socket.socket, socket.socket],
        source: socket.socket,
        target: socket.socket,
        fate: threading.Event,
        up: bool,
    ) -> None:
        """Pass on one direction; ``fate`` says that the next answer is to be lost."""
        try:
            while block := source.recv(_BLOCK):
                self._flowing.wait()
                if up and self._counts(block):
                    fate.set()
                if not up and fate.is_set():
                    with self._lock:
                        self.lost += 1
                    break
                target.sendall(block)
        except OSError:
            pass
        finally:
            self._reset(pair)

    def _counts(self, block: bytes) -> bool:
        with self._lock:
            if not self._every or self._word not in block:
                return False
            self._said += 1
            return self._said % self._every == 0

    def _reset(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
        for each in pair:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextlib.contextmanager
def gate(port: int) -> Iterator[Gate]:
    """Stand before a port for a block."""
    made = Gate(port)
    try:
        yield made
    finally:
        made.shut()
