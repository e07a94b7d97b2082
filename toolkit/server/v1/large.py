"""Bodies of entries of journals: larger than any other that is read into memory."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.exceptions import HTTPException

LARGEST = 64 << 20
"""Bytes of entries in one request."""

_READ_TIME = 60.0  # seconds


async def read_body(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        HTTPException: It is too large, or comes too slowly.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or len(announced) > 18 or int(announced) > LARGEST:
        raise _too_large()
    pieces = bytearray()
    try:
        async with asyncio.timeout(_READ_TIME):
            async for piece in request.stream():
                pieces += piece
                if len(pieces) > LARGEST:
                    raise _too_large()
    except TimeoutError:
        raise HTTPException(408, "the body of the request came too slowly") from None
    return bytes(pieces)


def _too_large() -> HTTPException:
    return HTTPException(413, f"the body is larger than the {LARGEST} bytes that are taken here")
