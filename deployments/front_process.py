"""What the front container of a deployment runs: it passes connections on to the release that has the traffic.

It is given to the Python of the deployment's image as text, and imports nothing but the standard library. Where
connections go is read from a file for each of them, so that one replaced file moves the traffic: connections that are
open stay with the release that they are with, until that ends.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

_PIECE = 256 * 1024
_GRACE = 20.0
_BODY = b'{"error_code":"TEMPORARILY_UNAVAILABLE","message":"No release of this deployment can be reached."}'
_NOBODY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, up to its end."""
    try:
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, OSError):
        writer.close()  # the other direction ends, too


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Path) -> None:
    """Join a client with the release that has the traffic now."""
    try:
        host, _, port = target.read_text().strip().rpartition(":")
        theirs, ours = await asyncio.open_connection(host, int(port))
    except (OSError, ValueError):
        writer.write(_NOBODY)
        writer.close()
        return
    try:
        await asyncio.gather(_pass(reader, ours), _pass(theirs, writer))
    finally:
        ours.close()
        writer.close()


async def _main(host: str, port: int, target: Path) -> None:
    open_ones: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_serve(reader, writer, target))
        open_ones.add(task)
        task.add_done_callback(open_ones.discard)

    server = await asyncio.start_server(begin, host, port, backlog=2048)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    print(f"passing {host}:{port} on to the release that serves", flush=True)  # noqa: T201 - a container's log
    await ended.wait()
    server.close()
    if open_ones:
        await asyncio.wait(open_ones, timeout=_GRACE)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
