"""What webhooks may call, on real sockets: a trap listens wherever they must not come."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver, answers, receiving, sends

from toolkit.errors import Forbidden, InvalidSetting, InvalidValue, ServiceError
from toolkit.transport.outward import Targets, post

HERE = Targets(plain=True, networks=[ip_network("127.0.0.1")])
PLAIN = Targets(plain=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def send(url: str, targets: Targets = HERE, timeout: float = 60.0) -> int:
    return post(url, b'{"a": 1}', {"X-Said": "yes"}, targets=targets, timeout=timeout)


def test_a_body_is_sent_and_the_status_read(receiver: Receiver) -> None:
    receiver.behaviours = [answers(201, body=b"secret of the neighbour")]
    assert send(receiver.url("/a/b?c=d")) == 201
    (got,) = receiver.received
    assert (got.line, got.body, got.headers["x-said"]) == ("POST /a/b?c=d HTTP/1.1", b'{"a": 1}', "yes")
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
def test_this_machine_is_not_called_by_any_of_its_names(host: str, receiver: Receiver) -> None:
    with pytest.raises((Forbidden, ServiceError)):  # a machine without IPv6 may not know some of them
        send(f"http://{host}:{receiver.port}/", PLAIN)
    assert receiver.received == []


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),
        ("::ffff:93.184.216.34", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("168.63.129.16", False),
        ("100.100.100.200", False),
        ("192.0.0.192", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::a00:1", False),
        ("::ffff:100.64.0.1", False),
        ("2002:a9fe:a9fe::", False),
        ("2001:0:0:0:0:0:5601:5601", False),
    ],
)
def test_only_public_addresses_are(text: str, allowed: bool) -> None:
    assert Targets().allow(ip_address(text)) is allowed


def test_a_network_is_allowed_by_name_and_no_other_is() -> None:
    targets = Targets.read(" 10.1.0.0/16, 127.0.0.1,fd12::/16 ")
    told = {
        text: targets.allow(ip_address(text)) for text in ("10.1.2.3", "10.2.0.1", "127.0.0.1", "127.0.0.2", "fd12::1")
    }
    assert told == {"10.1.2.3": True, "10.2.0.1": False, "127.0.0.1": True, "127.0.0.2": False, "fd12::1": True}
    assert targets.allow(ip_address("::ffff:10.1.2.3"))
    with pytest.raises(InvalidSetting, match=r"TOOLKIT_WEBHOOK_PRIVATE_TARGETS has '10\.1\.0\.0/99'"):
        Targets.read("10.1.0.0/99")


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example@127.0.0.1/",
        "http://127.0.0.1\\@public.example/",
        "http://127.0.0.1/#x",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\r\nX: y",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http:///path",
        "http://[::1/",
        "http://éxample.org/",
        "http://127.0.0.1/" + "a" * 3_000,
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue):
        send(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/x"])
def test_only_https_is_called_unless_http_is_allowed(url: str) -> None:
    with pytest.raises((Forbidden, InvalidValue)):
        send(url, Targets(networks=HERE.networks))


def test_a_name_is_asked_for_once_and_the_answer_is_what_is_called(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server of an attacker says a public address first, and then one of ours."""
    answered = [
        [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", receiver.port))],
        [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))],
    ]
    called: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.pop(0))
    connect = socket.socket.connect

    def noted(self: socket.socket, place: Any) -> None:  # noqa: ANN401 - a socket's own
        called.append(place)
        connect(self, ("192.0.2.1", 9) if place[0] != "127.0.0.1" else place)

    monkeypatch.setattr(socket.socket, "connect", noted)
    with pytest.raises(ServiceError):
        send(f"http://rebinding.example:{receiver.port}/", PLAIN, timeout=0.5)
    assert called == [("93.184.216.34", receiver.port)]
    with pytest.raises(Forbidden, match=r"rebinding.example is 127.0.0.1, which is not a public address"):
        send(f"http://rebinding.example:{receiver.port}/", PLAIN)
    assert receiver.received == []


def test_a_connection_that_led_elsewhere_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies between: what counts is where the socket ended."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", receiver.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, place: connect(self, ("127.0.0.1", place[1])))
    with pytest.raises(Forbidden, match="led to an address that is not public"):
        send(f"http://public.example:{receiver.port}/", PLAIN)
    assert receiver.received == []


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with receiving() as trap:
        receiver.behaviours = [answers(302, f"Location: {trap.url()}"), answers(307, f"Location: {trap.url()}")]
        assert [send(receiver.url()), send(receiver.url())] == [302, 307]
        assert trap.received == []


def test_the_environment_s_proxy_is_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as trap:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, trap.url(""))
        assert send(receiver.url()) == 204
        assert trap.received == []


def test_who_hangs_is_given_up(receiver: Receiver) -> None:
    receiver.behaviours = [receiver.hang]
    with pytest.raises(ServiceError, match=r"127.0.0.1 did not answer within 0.3 s"):
        send(receiver.url(), timeout=0.3)


def test_who_sends_an_answer_drop_by_drop_is_given_up(receiver: Receiver) -> None:
    def drip(connection: socket.socket) -> None:
        while not receiver.ended.wait(0.05):
            connection.sendall(b"x")

    receiver.behaviours = [drip]
    with pytest.raises(ServiceError):
        send(receiver.url(), timeout=0.5)


@pytest.mark.parametrize("said", [b"", b"HTT", b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n"])
def test_what_is_no_answer_is_none(receiver: Receiver, said: bytes) -> None:
    receiver.behaviours = [sends(said)]
    with pytest.raises(ServiceError):
        send(receiver.url())


def test_an_answer_that_says_first_that_one_will_come(receiver: Receiver) -> None:
    receiver.behaviours = [sends(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")]
    assert send(receiver.url()) == 200


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ServiceError, match="cannot be reached"):
        send(f"http://127.0.0.1:{port}/")


def test_a_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _certificate(tmp_path)
    with receiving(file) as receiver:
        with pytest.raises(ServiceError, match="cannot be reached"):
            send(receiver.url(scheme="https"), Targets(networks=HERE.networks))
        assert receiver.received == []
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert send(receiver.url(scheme="https"), Targets(networks=HERE.networks)) == 204
        (got,) = receiver.received
        assert got.body == b'{"a": 1}'


def _certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "receiver.pem"
    file.write_bytes(made.public_bytes(pem) + secret)
    return file
