"""Connections to one server, kept for the next request. Any thread may take one; a forked child begins anew."""

from __future__ import annotations

import http.client
import os
import select
import threading
import weakref

from toolkit.transport.address import Access, Address, tls

_MOST_IDLE = 8


class Pool:
    """The idle connections to a server.

    Args:
        address: The server.
        access: How it is reached.
    """

    def __init__(self, address: Address, access: Access) -> None:
        self._address = address
        self._access = access
        self._tls = tls(access) if address.secure else None
        self._begin_anew()
        _pools.add(self)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []

    def take(self) -> tuple[http.client.HTTPConnection, bool]:
        """Return a connection, and whether it was used before. The caller gives it back, or closes it."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._new(), False
            if _is_open(connection):
                return connection, True
            connection.close()

    def give(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection whose answer was read to its end."""
        with self._lock:
            if connection.sock is not None and len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _new(self) -> http.client.HTTPConnection:
        address, timeout = self._address, self._access.timeout
        if self._tls is not None:
            return http.client.HTTPSConnection(address.host, address.port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(address.host, address.port, timeout=timeout)


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Tell whether the server has neither closed an idle connection nor sent what nobody asked for."""
    if connection.sock is None:
        return False
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN)
        return not poll.poll(0)
    return not select.select([connection.sock], [], [], 0)[0]


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _after_fork() -> None:
    """Leave the parent's connections to the parent: two processes on one would read each other's answers."""
    for pool in list(_pools):
        pool._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
