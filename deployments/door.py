"""The public address of a deployment on this machine: a socket that stays while what answers behind it changes."""

from __future__ import annotations

import errno
import socket

from toolkit.errors import Conflict

PORT = 3000
"""BentoML's own port, used where it is free."""
_BACKLOG = 2048


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens: at the port, or if none is given at BentoML's own or any free one.

    Raises:
        Conflict: The address cannot be listened on.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise Conflict(
            f"{host!r} is no address of this machine ({error.strerror}): wanted one in option host, such as 127.0.0.1"
        ) from None
    failure: OSError | None = None
    for each in (PORT, 0) if port is None else (port,):
        door = socket.socket(family, socket.SOCK_STREAM)
        try:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((where[0], each))
            door.listen(_BACKLOG)
        except OSError as error:
            door.close()
            failure = error
        else:
            return door
    assert failure is not None
    if failure.errno == errno.EADDRNOTAVAIL:
        raise Conflict(f"{host} is no address of this machine: wanted one in option host, such as 127.0.0.1")
    if failure.errno == errno.EACCES:
        raise Conflict(f"port {port} on {host} is not for everybody to listen on: name another with --option port=")
    raise Conflict(
        f"port {port} on {host} cannot be listened on: {failure.strerror}. Another program may have it: end that, or "
        "name another with --option port="
    )
