"""Requests to addresses that somebody named: only where that is allowed, to the address that was looked at.

A server that calls what it is told to call can be made to call its own neighbours (server-side request forgery). So a
target's name is resolved once, each address is looked at, and the connection goes to such an address, not to the name;
redirects are not followed, proxies of the environment are not asked, and of the answer only its status is read.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from toolkit.errors import Forbidden, InvalidSetting, InvalidValue, ServiceError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 2_000
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_NEVER: Sequence[Network] = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16",  # looks public, and tells a machine of Azure about itself
            "192.0.0.0/24",  # for protocols; 192.0.0.192 does the same at Oracle. Not all of it is known to Python
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # for protocols, Teredo among them
            "3fff::/20",  # for documentation, which older releases of Python do not know
            "5f00::/16",  # segment routing, within a network
        ),
    )
)
_PLAIN = re.compile(r"[!-~]+")  # what a URL is made of: no space, no control character, nothing beyond ASCII
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_MOST_HEAD = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """What may be called.

    Attributes:
        plain: Whether ``http://`` may be, beside ``https://``.
        networks: Networks whose addresses may be called though they are not public.
    """

    plain: bool = False
    networks: Sequence[Network] = field(default=())

    @classmethod
    def read(cls, text: str | None, *, plain: bool = False) -> Targets:
        """Return what a setting allows: networks and addresses, with commas between them.

        Raises:
            InvalidSetting: One is neither.
        """
        networks = []
        for part in filter(None, (part.strip() for part in (text or "").split(","))):
            try:
                networks.append(ipaddress.ip_network(part))
            except ValueError:
                raise InvalidSetting(
                    f"TOOLKIT_WEBHOOK_PRIVATE_TARGETS has {part!r}: wanted addresses or networks, such as "
                    "127.0.0.1 or 10.1.0.0/16, with commas between them"
                ) from None
        return cls(plain=plain, networks=networks)

    def check(self, url: str) -> SplitResult:
        """Return a URL in parts, if it may be called as far as it can be told from its text.

        Raises:
            Forbidden: It is one of plain HTTP, or names an address that may not be called.
            InvalidValue: It is no URL of a web server, or holds a password.
        """
        shown = url[:200]
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise InvalidValue(f"{shown!r} is no URL: wanted such as https://example.org/hook") from None
        if not _PLAIN.fullmatch(url) or len(url) > LONGEST_URL or not parts.hostname or "\\" in url or port == 0:
            raise InvalidValue(f"{shown!r} is no URL of ASCII letters: wanted such as https://example.org/hook")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise InvalidValue("the URL has a name, a password or a # in it: wanted one without; the signature tells")
        if parts.scheme != "https" and not (parts.scheme == "http" and self.plain):
            raise Forbidden(
                f"{shown} is not https: what is sent could be read and changed on its way "
                "(TOOLKIT_WEBHOOK_PLAIN_HTTP=true allows http)"
            )
        return parts

    def allow(self, address: Address) -> bool:
        """Tell whether an address may be called: a public one, or one of the networks."""
        inner = _inside(address)
        if any(_holds(network, each) for network in self.networks for each in (address, inner)):
            return True
        return _is_public(inner)


def _inside(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    packed = int(address)
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(packed & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    special = address.is_multicast or address.is_reserved or local
    return address.is_global and not special and not any(_holds(network, address) for network in _NEVER)


def _holds(network: Network, address: Address) -> bool:
    return network.version == address.version and address in network


def resolve(url: str, targets: Targets) -> tuple[SplitResult, Sequence[tuple[int, tuple[object, ...]]]]:
    """Return a URL in parts, and the addresses of it that may be called: family and socket address.

    Raises:
        Forbidden: None may be.
        InvalidValue: It is no URL.
        ServiceError: Its name has no address.
    """
    parts = targets.check(url)
    host = parts.hostname or ""
    try:
        found = socket.getaddrinfo(
            host, parts.port or (443 if parts.scheme == "https" else 80), type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise ServiceError(f"{host} has no address: {getattr(error, 'strerror', None) or error}") from None
    addresses = [(family, place) for family, _, _, _, place in found]
    allowed = [each for each in addresses if targets.allow(_address(each[1]))]
    if not allowed:
        raise Forbidden(
            f"{host} is {_address(addresses[0][1])}, which is not a public address: nothing is sent there "
            "(TOOLKIT_WEBHOOK_PRIVATE_TARGETS allows addresses and networks)"
        )
    return parts, allowed


def _address(place: tuple[object, ...]) -> Address:
    return ipaddress.ip_address(str(place[0]).partition("%")[0])


def post(url: str, body: bytes, headers: Mapping[str, str], *, targets: Targets, timeout: float) -> int:
    """Send a body; return the status of the answer, of which nothing else is read.

    Args:
        url: Where to.
        body: What.
        headers: Beside those that HTTP wants.
        targets: What may be called.
        timeout: Seconds for all of it, but for the resolving of the name.

    Raises:
        Forbidden: It may not be called.
        InvalidValue: It is no URL.
        ServiceError: It cannot be reached, does not answer in time, or answers something else than HTTP.
    """
    parts, addresses = resolve(url, targets)
    ends = time.monotonic() + timeout
    try:
        with _connected(parts, addresses, targets, ends) as connection:
            connection.settimeout(_left(ends))
            connection.sendall(_head(parts, len(body), headers) + body)
            return _status(connection, ends)
    except TimeoutError:
        raise ServiceError(f"{parts.hostname} did not answer within {timeout:g} s") from None
    except OSError as error:  # ssl's own errors are among them
        raise ServiceError(f"{parts.hostname} cannot be reached: {error.strerror or error}") from None


def _connected(
    parts: SplitResult, addresses: Sequence[tuple[int, tuple[object, ...]]], targets: Targets, ends: float
) -> socket.socket:
    """Return a connection to the first address that takes one."""
    failure: OSError = TimeoutError()
    for family, place in addresses:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(ends))
            connection.connect(place)
            if not targets.allow(_address(connection.getpeername())):
                raise Forbidden(f"{parts.hostname} led to an address that is not public")
            if parts.scheme == "http":
                return connection
            return ssl.create_default_context().wrap_socket(connection, server_hostname=parts.hostname)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
    raise failure


def _head(parts: SplitResult, length: int, headers: Mapping[str, str]) -> bytes:
    host = parts.netloc.rpartition("@")[2]
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    said = {"Host": host, **headers, "Content-Length": str(length), "Connection": "close"}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _status(connection: socket.socket, ends: float) -> int:
    """Read the status of an answer.

    Raises:
        ServiceError: It is none of HTTP's.
    """
    got = b""
    while len(got) < _MOST_HEAD:
        found = _STATUS.match(got)
        if found is not None and not found[1].startswith(b"1"):
            return int(found[1])
        if found is not None and b"\r\n\r\n" in got:  # it says that it will answer
            got = got.partition(b"\r\n\r\n")[2]
            continue
        connection.settimeout(_left(ends))
        more = connection.recv(4096)
        if not more:
            break
        got += more
    raise ServiceError("it ended the connection without an answer" if not got else "it does not answer with HTTP")


def _left(ends: float) -> float:
    """Return the seconds that are left.

    Raises:
        TimeoutError: None are.
    """
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
