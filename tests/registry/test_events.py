"""Events and their deliveries: over each database, with real receivers, and with couriers that die."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver, answers, receiving

from toolkit.db.engine import Database, open_database
from toolkit.errors import AlreadyExists, Conflict, InvalidValue, NotFound, ServiceError
from toolkit.ids import now_ms
from toolkit.registry import courier as couriers
from toolkit.registry.courier import Courier, new_secret
from toolkit.registry.events import DeliveryState, Event, EventQuery, Kind, Webhook
from toolkit.registry.history import EVENTS, Author
from toolkit.registry.records import NewVersion, Stage
from toolkit.registry.sql import SqlRegistryStore
from toolkit.registry.sql_events import read_events
from toolkit.registry.sql_webhooks import SqlWebhookStore
from toolkit.settings import environment
from toolkit.tracking.sql import SqlRunStore
from toolkit.transport.outward import Targets, post

HERE = Targets(plain=True, networks=[ip_network("127.0.0.1")])
SECRET = new_secret()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_emptied_url"))
    return f"sqlite:///{tmp_path}/toolkit.db"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url)
    SqlRunStore(database, "file:///artifacts/")
    yield database
    database.close()


@pytest.fixture
def registry(database: Database) -> SqlRegistryStore:
    return SqlRegistryStore(database, author=Author(user="ada", reason="why not"))


@pytest.fixture
def store(database: Database) -> SqlWebhookStore:
    return SqlWebhookStore(database)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def courier(store: SqlWebhookStore, timeout: float = 60.0, **replaced: Any) -> Courier:  # noqa: ANN401 - its parts
    def trigger(*_: object) -> str:
        raise AssertionError("nobody asked for a run")

    parts = {"post": partial(post, targets=HERE, timeout=timeout), "trigger": trigger, **replaced}
    return Courier(store, **parts)


def add(store: SqlWebhookStore, receiver: Receiver, *events: str, name: str = "ci", **more: Any) -> Webhook:  # noqa: ANN401
    wanted = Webhook(name=name, kind=Kind.URL, target=receiver.url(), events=events, secret=SECRET, **more)
    return store.add(wanted)


def deliver(made: Courier, **how: bool) -> list[tuple[str, str]]:
    """Deliver all that can be; return what became of each."""
    made.spread()
    found, passed = [], 0
    while (told := made.next(passed=passed, **how)) is not None:
        passed = told.claim.delivery
        found.append((told.state.value, told.message))
    return found


def test_each_change_is_an_event_with_a_number(database: Database, registry: SqlRegistryStore) -> None:
    registry.create_model("wine")
    registry.create_version(NewVersion(name="wine", source="models:/m-1", location="file:///artifacts/1"))
    registry.set_stage("wine", 1, Stage.PRODUCTION)
    registry.set_alias("wine", "champion", 1)
    registry.create_model("beer")
    registry.delete_model("wine")
    found = read_events(database, EventQuery())
    assert [each.event for each in found][:5] == [
        "registered_model.created",
        "model_version.created",
        "model_version.stage_changed",
        "model_version_alias.created",
        "registered_model.created",
    ]
    assert {each.event for each in found} <= set(EVENTS)
    numbers = [each.id for each in found]
    assert numbers == sorted(set(numbers))
    stage = found[2]
    assert (stage.name, stage.version) == ("wine", 1)
    assert stage.data == {
        "name": "wine",
        "version": "1",
        "from": "None",
        "to": "Production",
        "user": "ada",
        "reason": "why not",
    }
    assert read_events(database, EventQuery(after=numbers[1], limit=2)) == found[2:4]
    assert [each.name for each in read_events(database, EventQuery(name="beer"))] == ["beer"]
    assert read_events(database, EventQuery(events=("model_version.stage_changed",)))[0] == stage
    with pytest.raises(InvalidValue, match=r"there is no event 'model_version\.moved'"):
        EventQuery(events=("model_version.moved",))


def test_who_reads_on_from_the_last_number_misses_nothing(database: Database, registry: SqlRegistryStore) -> None:
    """Writers of several models at once, and a reader beside them."""
    seen: list[Event] = []
    done = threading.Event()

    def read() -> None:
        while True:
            last = done.is_set()
            page = read_events(database, EventQuery(after=seen[-1].id if seen else 0, limit=5))
            seen.extend(page)
            if last and not page:
                return

    def write(name: str) -> None:
        registry.create_model(name)
        for number in range(10):
            registry.update_model(name, description=f"number {number}")

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, [f"model-{number}" for number in range(6)]))
    done.set()
    reader.join()
    assert len(seen) == 6 * 11
    assert seen == read_events(database, EventQuery(limit=1_000))


def test_a_receiver_is_told_of_what_it_wants_and_can_check_it(
    registry: SqlRegistryStore, store: SqlWebhookStore, receiver: Receiver
) -> None:
    registry.create_model("wine")  # before anybody wanted to be told
    add(store, receiver, "model_version.*", "registered_model.deleted", models=("wine*",))
    registry.create_model("wine-2")
    registry.create_version(NewVersion(name="wine", source="models:/m-1", location="file:///artifacts/1"))
    registry.create_model("beer")
    registry.create_version(NewVersion(name="beer", source="models:/m-1", location="file:///artifacts/1"))
    registry.delete_model("wine-2")
    assert deliver(courier(store)) == [("DONE", "it answered 204")] * 2
    assert deliver(courier(store)) == []
    first, second = receiver.received
    assert (first.json["type"], second.json["type"]) == ("model_version.created", "registered_model.deleted")
    assert (first.json["entity"], first.json["action"]) == ("model_version", "created")
    assert first.json["data"]["name"] == "wine"
    assert first.json["data"]["version"] == "1"
    assert second.json["sequence"] > first.json["sequence"]
    for got in (first, second):
        said = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        wanted = base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
        assert got.headers["webhook-signature"] == f"v1,{wanted}"
        theirs = base64.b64encode(hmac.new(SECRET.encode(), said, hashlib.sha256).digest()).decode()
        assert got.headers["x-mlflow-signature"] == f"v1,{theirs}"
        assert SECRET.encode() not in got.body
    assert first.headers["webhook-id"] != second.headers["webhook-id"]


def test_what_a_pattern_is_about(registry: SqlRegistryStore, store: SqlWebhookStore, receiver: Receiver) -> None:
    add(store, receiver, "model_version.stage_changed=Production", "model_version_alias.*=champ*")
    registry.create_model("wine")
    for number in (1, 2):
        registry.create_version(NewVersion(name="wine", source="models:/m-1", location="file:///artifacts/1"))
        registry.set_stage("wine", number, Stage.STAGING)
        registry.set_stage("wine", number, Stage.PRODUCTION, archive_existing=True)
        registry.set_alias("wine", "champion", number)
        registry.set_alias("wine", "other", number)
    assert len(deliver(courier(store))) == 4
    told = [(each.json["data"]["version"], each.json["data"].get("alias")) for each in receiver.received]
    assert told == [("1", None), ("1", "champion"), ("2", None), ("2", "champion")]


def test_what_fails_is_tried_again_and_given_up_in_the_end(
    registry: SqlRegistryStore, store: SqlWebhookStore, receiver: Receiver
) -> None:
    add(store, receiver)
    registry.create_model("wine")
    tries = len(couriers.PAUSES) + 1
    receiver.behaviours = [answers(500, body=b"internal secret") for _ in range(tries)]
    made = courier(store)
    assert deliver(made) == [("PENDING", "it answered 500")]
    assert deliver(made) == [], "it waits for its time"
    (waits,) = store.deliveries(limit=10)
    assert (waits.state, waits.tries, waits.due > waits.updated) == (DeliveryState.PENDING, 1, True)
    for _ in range(tries - 2):
        assert deliver(made, waiting=True) == [("PENDING", "it answered 500")]
    assert deliver(made, waiting=True) == [("FAILED", "it answered 500")]
    assert deliver(made, waiting=True) == []
    (failed,) = store.deliveries(state=DeliveryState.FAILED, webhook="ci", limit=10)
    assert (failed.tries, failed.message) == (tries, "it answered 500"), "nothing of the answer is kept"
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1, "the same is told under the same id"
    store.again(failed.id)
    assert deliver(made) == [("DONE", "it answered 204")]
    with pytest.raises(Conflict, match=f"delivery {failed.id} is done"):
        store.again(failed.id)


def test_redirects_and_targets_that_may_not_be_called(
    registry: SqlRegistryStore, store: SqlWebhookStore, receiver: Receiver
) -> None:
    with receiving() as trap:
        add(store, receiver)
        add(store, trap, name="inside")
        registry.create_model("wine")
        receiver.behaviours = [answers(302, f"Location: {trap.url()}")]
        strict = partial(post, targets=Targets(plain=True), timeout=60.0)
        told = deliver(
            courier(store, post=lambda url, *rest: (post_here if url == receiver.url() else strict)(url, *rest))
        )
        assert told[0] == ("PENDING", "it answered 302, a redirect, which is not followed")
        assert told[1][0] == "FAILED", "it is not tried again"
        assert "127.0.0.1 is 127.0.0.1, which is not a public address" in told[1][1]
        assert trap.received == []


post_here = partial(post, targets=HERE, timeout=60.0)


def test_one_who_hangs_does_not_keep_others_waiting_for_ever(
    registry: SqlRegistryStore, store: SqlWebhookStore, receiver: Receiver
) -> None:
    with receiving() as other:
        add(store, receiver)
        add(store, other, name="other")
        receiver.behaviours = [receiver.hang]
        registry.create_model("wine")
        made = courier(store, timeout=0.3)
        made.spread()
        first = made.next()
        assert first is not None
        assert (first.state.value, first.message) == ("PENDING", "127.0.0.1 did not answer within 0.3 s")
        assert deliver(courier(store)) == [("DONE", "it answered 204")]
        assert len(other.received) == 1


def test_couriers_at_the_same_time_tell_each_event_once(
    registry: SqlRegistryStore, store: SqlWebhookStore, receiver: Receiver
) -> None:
    add(store, receiver)
    for number in range(20):
        registry.create_model(f"model-{number}")

    def work(_: int) -> int:
        return len(deliver(courier(store)))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 20
    assert sorted(each.json["sequence"] for each in receiver.received) == sorted(
        {each.json["sequence"] for each in receiver.received}
    )
    assert len(receiver.received) == 20


DYING = """
import sys
from functools import partial
from ipaddress import ip_network
from toolkit.db.engine import open_database
from toolkit.registry.courier import Courier
from toolkit.registry.sql_webhooks import SqlWebhookStore
from toolkit.transport.outward import Targets, post
import signal, os

def sending(url, body, headers):
    if "before" in sys.argv:
        print("claimed", flush=True)
        signal.pause()
    status = post(url, body, headers, targets=Targets(plain=True, networks=[ip_network("127.0.0.1")]), timeout=60)
    print("sent", flush=True)
    signal.pause()

courier = Courier(SqlWebhookStore(open_database(sys.argv[1])), sending, None)
courier.spread()
courier.next()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_courier_that_is_killed_in_the_middle(
    url: str,
    when: str,
    registry: SqlRegistryStore,
    store: SqlWebhookStore,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(store, receiver)
    registry.create_model("wine")
    command = [sys.executable, "-c", DYING, url, when]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline().strip() == {"before": "claimed", "after": "sent"}[when]
        os.kill(dying.pid, signal.SIGKILL)
    sent = len(receiver.received)
    assert sent == (0 if when == "before" else 1)
    assert deliver(courier(store)) == [], "it may still be alive"
    assert deliver(courier(store), waiting=True) == [], "also for who does not want to wait"
    later = now_ms() + int(couriers.ASIDE * 1000) + 1
    monkeypatch.setattr("toolkit.registry.sql_webhooks.now_ms", lambda: later)
    assert deliver(courier(store)) == [("DONE", "it answered 204")]
    assert len(receiver.received) == sent + 1
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1, "a receiver can tell"
    (made,) = store.deliveries(limit=10)
    assert (made.state, made.tries) == (DeliveryState.DONE, 2)


def test_one_who_was_taken_for_dead_records_nothing(
    registry: SqlRegistryStore, store: SqlWebhookStore, receiver: Receiver
) -> None:
    add(store, receiver)
    registry.create_model("wine")
    store.spread()
    slow = store.claim(lease_ms=-1)
    assert slow is not None
    assert deliver(courier(store)) == [("DONE", "it answered 204")]
    store.record(slow, DeliveryState.FAILED, "too late")
    (made,) = store.deliveries(limit=10)
    assert (made.state, made.message) == (DeliveryState.DONE, "it answered 204")


def test_a_deployment_gets_what_its_parameters_say(registry: SqlRegistryStore, store: SqlWebhookStore) -> None:
    asked: list[tuple[str, Mapping[str, str], str]] = []

    def trigger(name: str, parameters: Mapping[str, str], key: str) -> str:
        asked.append((name, parameters, key))
        if len(asked) == 1:
            raise ServiceError("Prefect's server is away")
        return "brave-fox"

    parameters = {"model": "{name}", "version": "{version}", "note": "to {to} by {user}: {alias}."}
    store.add(
        Webhook(
            name="rollout",
            kind=Kind.DEPLOYMENT,
            target="wine/rollout",
            events=("model_version.stage_changed",),
            parameters=parameters,
        )
    )
    registry.create_model("wine")
    registry.create_version(NewVersion(name="wine", source="models:/m-1", location="file:///artifacts/1"))
    registry.set_stage("wine", 1, Stage.PRODUCTION)
    made = courier(store, trigger=trigger)
    assert deliver(made) == [("PENDING", "Prefect's server is away")]
    assert deliver(made, waiting=True) == [("DONE", "run brave-fox")]
    (first, second) = asked
    assert first == second, "with one key, so that one run is made"
    assert first[:2] == (
        "wine/rollout",
        {"model": "wine", "version": "1", "note": "to Production by ada: ."},
    )


def test_webhooks_are_added_listed_and_removed(
    registry: SqlRegistryStore, store: SqlWebhookStore, receiver: Receiver
) -> None:
    made = add(store, receiver, "model_version.*")
    assert SECRET not in repr(made)
    assert [each.name for each in store.every()] == ["ci"]
    with pytest.raises(AlreadyExists, match="there is a webhook ci already"):
        add(store, receiver)
    with pytest.raises(NotFound, match="there is no webhook 'cd': there are ci"):
        store.get("cd")
    registry.create_model("wine")
    registry.create_version(NewVersion(name="wine", source="models:/m-1", location="file:///artifacts/1"))
    store.spread()
    store.remove("ci")
    assert deliver(courier(store)) == []
    assert store.every() == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "a b"}, "wanted a name of 1 to 63"),
        ({"name": ""}, "wanted a name of 1 to 63"),
        ({"events": ("model.*",)}, r"no event is like 'model\.\*'"),
        ({"parameters": {"a": "b"}}, "parameters are for deployments"),
        ({"secret": "whsec_c2hvcnQ="}, "the secret is not whsec_ and 24 to 64 bytes"),
        ({"secret": "hunter2hunter2hunter2hunter2"}, "the secret is not whsec_"),
        ({"kind": Kind.DEPLOYMENT, "parameters": {"a": "{versoin}"}}, "{versoin} is nothing that events have"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=said) as caught:
        Webhook(**{"name": "ci", "kind": Kind.URL, "target": "https://example.org", **wrong}).check()
    assert "hunter2" not in str(caught.value)
