"""Fetching a file from a web server: not more than a limit, and a login goes to nobody but whom it is for."""

from __future__ import annotations

import base64
import hashlib
import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from toolkit.errors import ProjectError, ProjectNotFound, SourceUnavailable, TooLarge
from toolkit.flows.address import ArchiveAddress

_SILENCE = 60.0
"""Seconds without a byte after which a server counts as away."""
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Downloaded:
    """A file that was fetched.

    Attributes:
        sha256: Digest of its content, in hexadecimal.
        etag: What the server calls this content; ``None`` if it has no name for it.
    """

    sha256: str
    etag: str | None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https, or from http to http; a login stays behind where the host changes."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to make instead."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("https", old.scheme):
            raise urllib.error.URLError(f"it leads to {new.scheme}://, which is not followed")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if request is not None and (old.scheme, old.netloc) != (new.scheme, new.netloc):
            request.remove_header("Authorization")
        return request


def download(address: ArchiveAddress, target: Path, *, limit: int, etag: str | None = None) -> Downloaded | None:
    """Fetch an archive.

    Args:
        address: Where it is.
        target: The file to write.
        limit: Most bytes that it may have.
        etag: What the server called the content that is here.

    Returns:
        What was fetched; ``None`` where the server still has what ``etag`` names.

    Raises:
        ProjectNotFound: There is no such file, or it is not given out without a login.
        SourceUnavailable: The server does not answer.
        TooLarge: It has more bytes than ``limit``.
    """
    request = urllib.request.Request(address.request, headers={"Accept": "*/*", "User-Agent": "toolkit"})  # noqa: S310 - http(s) only: see address.py
    if address.login is not None:
        login = base64.b64encode(unquote(address.login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {login}")
    if etag:
        request.add_header("If-None-Match", etag)
    try:
        with urllib.request.build_opener(_Redirects).open(request, timeout=_SILENCE) as answer:
            return _save(answer, target, address, limit)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 304:
            return None
        raise _refused(address, error.code) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        words = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
        raise SourceUnavailable(f"{address.url} does not answer ({words})") from None


def _save(answer: http.client.HTTPResponse, target: Path, address: ArchiveAddress, limit: int) -> Downloaded:
    digest = hashlib.sha256()
    size = 0
    told = int(answer.headers.get("Content-Length") or 0)
    with target.open("wb") as file:
        while told <= limit and (chunk := answer.read(_CHUNK)):
            size += len(chunk)
            if size > limit:
                break
            digest.update(chunk)
            file.write(chunk)
    if max(size, told) > limit:
        raise TooLarge(f"{address.url} has more than {limit / 1e6:,.0f} MB: raise TOOLKIT_SOURCE_LIMIT if you trust it")
    return Downloaded(sha256=digest.hexdigest(), etag=answer.headers.get("ETag"))


def _refused(address: ArchiveAddress, code: int) -> ProjectError | SourceUnavailable:
    if code in (401, 403):
        wrong = "the login in the URL is not taken" if address.login else "it wants a login: write https://name:token@…"
        return ProjectNotFound(f"{address.url} cannot be fetched (status {code}): {wrong}")
    if code in (404, 410):
        return ProjectNotFound(f"there is no {address.url} (status {code})")
    if code >= 500 or code == 429:
        return SourceUnavailable(f"{address.url} does not answer (status {code})")
    return ProjectError(f"{address.url} cannot be fetched (status {code})")
