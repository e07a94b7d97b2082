"""``toolkit registry events``: lists, webhooks, deliveries, and what is refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from calls import Cli
from receiver import Receiver, answers, receiving

from toolkit.recording.stores import Stores
from toolkit.registry.courier import new_secret
from toolkit.registry.history import Author
from toolkit.wiring.registry import open_catalog

WEBHOOKS = ("registry", "events", "webhooks")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_WEBHOOK_PLAIN_HTTP", "true")
    monkeypatch.setenv("TOOLKIT_WEBHOOK_PRIVATE_TARGETS", "127.0.0.1")


def create(stores: Stores, name: str) -> None:
    author = Author(user="ada", reason="it is time")
    open_catalog(stores).registered.acting(author).create_model(name)


@pytest.mark.usefixtures("allowed")
def test_from_a_webhook_to_its_deliveries(cli: Cli, stores: Stores, receiver: Receiver) -> None:
    made = cli(*WEBHOOKS, "add", "ci", "--url", receiver.url(), "-e", "registered_model.*", "-m", "w*")
    assert made.code == 0, made.err
    secret = made.out.strip()
    assert secret.startswith("whsec_")
    assert "it is not shown again" in made.err
    assert cli(*WEBHOOKS, "test", "ci").out == "ci: it answered 204\n"
    assert receiver.events() == ["webhook.test"]
    create(stores, "wine")
    create(stores, "beer")
    receiver.behaviours = [answers(503)]
    told = cli("registry", "events", "deliver")
    assert told.code == 1
    assert told.out == "ci: registered_model.created wine (event 1): pending: it answered 503\n"
    assert "1 to be tried again later" in told.err
    assert cli("registry", "events", "deliver").code == 0
    told = cli("registry", "events", "deliver", "--now", "--json")
    (delivery,) = told.json["deliveries"]
    assert (delivery["state"], delivery["tries"], told.json["waiting"]) == ("DONE", 2, 0)
    (shown,) = cli("registry", "events", "deliveries", "ci", "--json").json["deliveries"]
    assert (shown["event"], shown["name"], shown["message"]) == ("registered_model.created", "wine", "it answered 204")
    assert cli("registry", "events", "deliveries", "--failed").out.splitlines()[1:] == []
    listed = cli("registry", "events", "list", "--json").json["events"]
    assert [(each["sequence"], each["name"], each["data"]["reason"]) for each in listed] == [
        (1, "wine", "it is time"),
        (2, "beer", "it is time"),
    ]
    assert cli("registry", "events", "list", "beer", "--after", "1").out.splitlines()[1].split("\t")[3] == "beer"
    for said in (cli(*WEBHOOKS, "list"), cli(*WEBHOOKS, "list", "--json"), cli(*WEBHOOKS, "remove", "ci", "--json")):
        assert said.code == 0
        assert secret not in said.out + said.err
    assert cli(*WEBHOOKS, "list", "--json").json["webhooks"] == []


@pytest.mark.usefixtures("allowed")
def test_a_secret_of_one_s_own(cli: Cli, receiver: Receiver, tmp_path: Path) -> None:
    secret = new_secret()
    (tmp_path / "secret").write_text(f"{secret}\n")
    made = cli(*WEBHOOKS, "add", "ci", "--url", receiver.url(), "--secret-file", str(tmp_path / "secret"), "--json")
    assert made.json["secret"] is None
    assert secret not in made.out + made.err
    receiver.behaviours = [answers(404)]
    assert cli(*WEBHOOKS, "test", "ci").err == "error: it answered 404\n"
    receiver.behaviours = [answers(404)]
    failed = cli(*WEBHOOKS, "test", "ci", "--json")
    assert (failed.code, failed.json["success"]) == (1, False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--url", "https://127.0.0.1/x"), "127.0.0.1 is 127.0.0.1, which is not a public address"),
        (("--url", "https://[::ffff:169.254.169.254]/x"), "which is not a public address"),
        (("--url", "http://example.org/x"), "http://example.org/x is not https"),
        (("--url", "https://me:secret@example.org/x"), "the URL has a name, a password or a # in it"),
        (("--url", "example.org"), "is no URL"),
        (("--url", "https://example.org", "--deployment", "x"), "either --url URL or --deployment DEPLOYMENT"),
        ((), "either --url URL or --deployment DEPLOYMENT"),
        (("--url", "https://example.org", "-P", "a=b"), "parameters are for deployments"),
        (("--deployment", "x", "-P", "a={nothing}"), "{nothing} is nothing that events have"),
        (("--deployment", "x", "-e", "stage"), "no event is like 'stage'"),
        (("--deployment", "x", "--secret-file", "-"), "--secret-file is for a URL"),
        (("--url", "https://example.org", "--secret-file", "nowhere"), "--secret-file nowhere cannot be read"),
    ],
)
def test_what_is_refused(cli: Cli, options: tuple[str, ...], said: str) -> None:
    refused = cli(*WEBHOOKS, "add", "ci", *options)
    assert refused.is_one_clear_error()
    assert said in refused.err
    assert cli(*WEBHOOKS, "list", "--json").json["webhooks"] == []


def test_a_server_s_webhooks_are_looked_after_where_it_is(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", "http://127.0.0.1:9")
    refused = cli(*WEBHOOKS, "list")
    assert refused.is_one_clear_error()
    assert "names a server" in refused.err


def test_gates_of_a_model_that_is_still_to_come(cli: Cli) -> None:
    options = ("registry", "gates", "set", "wine", "--stage", "Production", "--gate", "accuracy >= 0.9")
    assert cli(*options).is_one_clear_error()
    for _ in range(2):
        assert cli(*options, "--create").code == 0
    assert cli("registry", "show", "wine", "--json").json["latest_versions"] == []
