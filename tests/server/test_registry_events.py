"""Events of the registry through a server: pages, a stream, and webhooks that it calls by itself."""

from __future__ import annotations

import json
import socket
from ipaddress import ip_network
from pathlib import Path

import pytest
from machine import until
from process import server_process
from receiver import answers, receiving
from server import Server

from toolkit.db.engine import open_database
from toolkit.errors import InvalidValue
from toolkit.registry.courier import new_secret
from toolkit.registry.events import DeliveryState, EventQuery, Kind, Webhook
from toolkit.registry.http_events import read_events
from toolkit.registry.sql_webhooks import SqlWebhookStore
from toolkit.transport.client import HttpClient
from toolkit.transport.outward import Targets
from toolkit.wiring.events import events_of

PATH = "/api/v1/registry/events"


def make(server: Server, *names: str) -> None:
    for name in names:
        server.api("POST", "registered-models/create", {"name": name})


def test_events_come_in_pages_by_their_numbers(server: Server) -> None:
    make(server, "a", "b", "c")
    first = server.call("GET", PATH, limit="2").json["events"]
    assert [(each["event"], each["name"]) for each in first] == [
        ("registered_model.created", "a"),
        ("registered_model.created", "b"),
    ]
    rest = server.call("GET", PATH, after=str(first[-1]["sequence"])).json["events"]
    assert [each["name"] for each in rest] == ["c"]
    assert server.call("GET", PATH, name="b").json["events"] == first[1:]
    assert server.call("GET", PATH, events="model_version.created,registered_model.deleted").json["events"] == []
    for query in ({"limit": "0"}, {"after": "-1"}, {"events": "x"}, {"after": str(2**63)}, {"limit": "1001"}):
        assert server.call("GET", PATH, **query).status == 400


def test_a_client_reads_what_the_store_has(server: Server) -> None:
    make(server, "a", "b")
    client = HttpClient(server.url)
    try:
        assert read_events(client, EventQuery()) == list(events_of(server.stores, EventQuery()))
        assert [each.name for each in read_events(client, EventQuery(after=1, events=("registered_model.created",)))]
        with pytest.raises(InvalidValue):
            read_events(client, EventQuery(name="a/b"))
    finally:
        client.close()


def test_a_listener_is_told_as_it_happens_and_goes_on_where_it_was_cut_off(server: Server) -> None:
    make(server, "a")

    def listen(*headers: str) -> tuple[socket.socket, list[bytes]]:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=120)
        lines = [f"GET {PATH}/stream HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        return connection, []

    def hear(connection: socket.socket, got: list[bytes], name: str) -> bytes:
        while f'"name": "{name}"'.encode() not in b"".join(got):
            more = connection.recv(65536)
            assert more, b"".join(got)
            got.append(more)
        return b"".join(got)

    connection, got = listen()
    with connection:
        hear(connection, got, "a")
        make(server, "b")
        text = hear(connection, got, "b")
    assert b"content-type: text/event-stream" in text.lower()
    blocks = [part.split("data: ")[1].split("\n")[0] for part in text.decode().split("event: registry")[1:]]
    assert [json.loads(block)["name"] for block in blocks] == ["a", "b"]
    number = json.loads(blocks[0])["sequence"]
    assert f"id: {number}\n".encode() in text
    connection, got = listen(f"Last-Event-ID: {number}")
    with connection:
        text = hear(connection, got, "b")
    assert b'"name": "a"' not in text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_calls_webhooks_by_itself(workers: str, tmp_path: Path) -> None:
    secret = new_secret()
    with receiving() as receiver:
        allowed = {"TOOLKIT_WEBHOOK_PLAIN_HTTP": "true", "TOOLKIT_WEBHOOK_PRIVATE_TARGETS": "127.0.0.1"}
        with server_process(tmp_path / "home", "--workers", workers, **allowed) as server:
            database = open_database(f"sqlite:///{tmp_path}/home/toolkit.db")
            store = SqlWebhookStore(database)
            targets = Targets(plain=True, networks=[ip_network("127.0.0.1")])
            targets.check(receiver.url())
            store.add(Webhook(name="ci", kind=Kind.URL, target=receiver.url(), secret=secret))
            receiver.behaviours = [answers(500)]
            server.api("registered-models/create", {"name": "wine"})
            server.api("registered-models/create", {"name": "beer"})
            until(lambda: len(receiver.received) == 2, what="told", seconds=120)
            until(lambda: not [one for one in store.deliveries(limit=9) if not one.message], what="noted", seconds=120)
            states = {one.event.name: (one.state, one.message) for one in store.deliveries(limit=9)}
            assert states == {
                "wine": (DeliveryState.PENDING, "it answered 500"),
                "beer": (DeliveryState.DONE, "it answered 204"),
            }
            database.close()
            assert server.stop() == 0
        said = "\n".join(server.said)
        assert "webhook ci was not told of registered_model.created (event 1): it answered 500" in said
        assert secret not in said


def test_a_server_that_is_told_to_stop_does_not_wait_for_one_who_hangs(tmp_path: Path) -> None:
    with receiving() as receiver:
        allowed = {"TOOLKIT_WEBHOOK_PLAIN_HTTP": "true", "TOOLKIT_WEBHOOK_PRIVATE_TARGETS": "127.0.0.1"}
        with server_process(tmp_path / "home", TOOLKIT_GRACE="1", TOOLKIT_WEBHOOK_TIMEOUT="60", **allowed) as server:
            database = open_database(f"sqlite:///{tmp_path}/home/toolkit.db")
            store = SqlWebhookStore(database)
            store.add(Webhook(name="ci", kind=Kind.URL, target=receiver.url(), secret=new_secret()))
            receiver.behaviours = [answers(204), *[receiver.hang] * 9]
            for number in range(6):
                server.api("registered-models/create", {"name": f"wine-{number}"})
            until(lambda: len(receiver.received) > 1, what="told", seconds=120)
            assert server.stop() == 0
            states = [each.state for each in store.deliveries(limit=9)]
            assert states.count(DeliveryState.DONE) == 1
            assert set(states) == {DeliveryState.DONE, DeliveryState.PENDING}
            database.close()
