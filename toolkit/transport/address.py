"""Where a server is, and how its client shows who it is."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from toolkit.errors import InvalidSetting

if TYPE_CHECKING:
    import ssl

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """How a server is reached.

    Attributes:
        username: Who asks, with ``password``.
        password: The password.
        token: Who asks, instead: a bearer token.
        verify: Whether the server's certificate is checked.
        ca_file: File of the authorities that certificates may come from; default: the system's.
        client_cert: File with a certificate of the client's own and its key.
        timeout: Seconds without any answer after which a request is given up.
        wait: Seconds to go on trying while a server does not answer or is busy.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    verify: bool = True
    ca_file: str | None = None
    client_cert: str | None = None
    timeout: float = 120.0
    wait: float = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A server, by its URL.

    Attributes:
        secure: Whether TLS is spoken.
        host: Its host, as a connection takes it.
        port: Its port.
        path: What stands in front of each path; without a slash at the end.
        place: The URL as people may see it: without credentials.
        authorization: The header that shows who asks; ``None`` for nobody.
    """

    secure: bool
    host: str
    port: int
    path: str
    place: str
    authorization: str | None = field(default=None, repr=False)


def is_server(uri: str) -> bool:
    """Tell whether a tracking URI is a server's."""
    return uri.partition("://")[0].lower() in _PORTS


def has_password(uri: str) -> bool:
    """Tell whether a tracking URI has something in it that is nobody else's: a password, or a query that may be one."""
    try:
        parts = urlsplit(uri)
        return parts.password is not None or (bool(parts.query) and not uri.startswith("sqlite"))
    except ValueError:
        return True


def read_address(url: str, access: Access) -> Address:
    """Return the server that a URL names.

    Raises:
        InvalidSetting: It cannot be used. No password is repeated.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidSetting("the server's URL cannot be read: wanted one such as http://host:5000") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment or not _clean(url):
        raise InvalidSetting(f"{_shown(parts)!r} is not a server's URL: wanted one such as http://host:5000")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = f"{scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    return Address(
        secure=scheme == "https",
        host=parts.hostname,
        port=port or _PORTS[scheme],
        path=parts.path.rstrip("/"),
        place=place,
        authorization=_authorization(parts, access),
    )


def _clean(url: str) -> bool:
    """Tell whether a URL can stand in a request as it is."""
    return url.isascii() and url.isprintable() and " " not in url


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _authorization(parts: SplitResult, access: Access) -> str | None:
    user = access.username if access.username is not None else parts.username and unquote(parts.username)
    password = access.password if access.password is not None else parts.password and unquote(parts.password)
    if user is not None and password is not None:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    if access.token:
        if not (access.token.isascii() and access.token.isprintable()):
            raise InvalidSetting("the token for the server has characters that no header can have")
        return f"Bearer {access.token}"
    return None


def tls(access: Access) -> ssl.SSLContext:
    """Return how TLS is spoken.

    Raises:
        InvalidSetting: A file of certificates cannot be read.
    """
    import ssl  # noqa: PLC0415 - only for those who use it

    try:
        context = ssl.create_default_context(cafile=access.ca_file)
        if access.client_cert:
            context.load_cert_chain(access.client_cert)
    except OSError as error:  # an SSLError is one
        named = access.client_cert or access.ca_file
        raise InvalidSetting(f"the certificates in {named} cannot be used: {error.strerror or error}") from None
    if not access.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
