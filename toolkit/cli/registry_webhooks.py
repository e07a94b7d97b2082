"""``toolkit registry events webhooks``: who is told of changes of models.

They are looked after where the database is, by who may open it: whoever may say what a server calls could have it call
its neighbours, so no endpoint of a server does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from toolkit.cli.registered import pairs
from toolkit.cli.registry_target import JSON
from toolkit.cli.render import moment, say, show, show_json, show_table
from toolkit.errors import InvalidValue, ServiceError, ToolkitError
from toolkit.registry.events import Kind, Webhook
from toolkit.settings import Settings, load
from toolkit.wiring.events import open_courier, webhook_targets
from toolkit.wiring.opened import settings_database

if TYPE_CHECKING:
    from toolkit.db.engine import Database
    from toolkit.registry.courier import Courier
    from toolkit.registry.sql_webhooks import SqlWebhookStore

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Who is told of changes of models: URLs, which are sent signed requests, and Prefect deployments.",
)

_NAME = typer.Argument(metavar="WEBHOOK", help="Its name.")
_STDIN = "-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivering:
    """What a command delivers with."""

    store: SqlWebhookStore
    courier: Courier


@contextmanager
def webhook_store() -> Iterator[SqlWebhookStore]:
    """Open the webhooks of the database that the settings name, for a block."""
    with _database(load()) as database:
        yield _store(database)


@contextmanager
def courier() -> Iterator[Delivering]:
    """Open what tells of changes, for a block."""
    settings = load()
    with _database(settings) as database:
        yield Delivering(store=_store(database), courier=open_courier(database, settings, say))


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    uri = settings.registry_uri or settings.tracking_uri
    settings.home.mkdir(parents=True, exist_ok=True)
    database = settings_database(settings.model_copy(update={"tracking_uri": uri}))
    try:
        yield database
    finally:
        database.close()


def _store(database: Database) -> SqlWebhookStore:
    from toolkit.registry.sql_webhooks import SqlWebhookStore  # noqa: PLC0415 - SQLAlchemy

    return SqlWebhookStore(database)


@app.command()
def add(
    name: str = _NAME,
    url: str | None = typer.Option(None, "--url", metavar="URL", help="Send a signed request there."),
    deployment: str | None = typer.Option(
        None, "--deployment", metavar="DEPLOYMENT", help="Ask for a run of this Prefect deployment."
    ),
    events: list[str] = typer.Option(
        [],
        "-e",
        "--event",
        metavar="PATTERN",
        help="Only of these, such as 'model_version.*' or model_version.stage_changed=Production; may be repeated.",
    ),
    models: list[str] = typer.Option(
        [], "-m", "--model", metavar="PATTERN", help="Only of these models, such as 'wine*'; may be repeated."
    ),
    parameters: list[str] = typer.Option(
        [],
        "-P",
        "--param",
        metavar="NAME=VALUE",
        help="What the deployment is given; {name}, {version} and so on are the event's; may be repeated.",
    ),
    secret_file: Path | None = typer.Option(
        None, "--secret-file", metavar="FILE", help="File with the secret, or - for stdin; default: one is made."
    ),
    as_json: bool = JSON,
) -> None:
    """Tell somebody of what is done to models from now on; print the secret, which is shown this once."""
    if (url is None) == (deployment is None):
        raise InvalidValue("say how it is told: either --url URL or --deployment DEPLOYMENT")
    if deployment is not None and secret_file is not None:
        raise InvalidValue("--secret-file is for a URL: a deployment is sent nothing that is signed")
    secret = None if url is None else _secret(secret_file)
    wanted = Webhook(
        name=name,
        kind=Kind.URL if url is not None else Kind.DEPLOYMENT,
        target=url or deployment or "",
        events=tuple(events),
        models=tuple(models),
        parameters=pairs(parameters, "--param"),
        secret=secret,
    )
    wanted.check()
    if url is not None:
        _check_target(url)
    with webhook_store() as store:
        made = store.add(wanted)
    shown = secret if secret_file is None else None
    if as_json:
        show_json({"schema": 1, **_json(made), "secret": shown})
    elif shown is not None:
        show(shown)
        say("this is the secret that its requests are signed with; it is not shown again")


def _check_target(url: str) -> None:
    """Refuse a URL that may not be called; one whose name is not known now may be, later."""
    from toolkit.transport.outward import resolve  # noqa: PLC0415 - only here

    try:
        resolve(url, webhook_targets(load()))
    except ServiceError as error:
        say(f"{error} now; it is asked for again at each delivery")


def _secret(file: Path | None) -> str:
    from toolkit.registry.courier import new_secret  # noqa: PLC0415 - SQLAlchemy

    if file is None:
        return new_secret()
    try:
        return (sys.stdin.read() if str(file) == _STDIN else file.read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"--secret-file {file} cannot be read: {error}") from None


@app.command("list")
def list_(as_json: bool = JSON) -> None:
    """List who is told of what. Secrets are not shown."""
    with webhook_store() as store:
        found = store.every()
    if as_json:
        show_json({"schema": 1, "webhooks": [_json(each) for each in found]})
        return
    rows = [
        (
            each.name,
            each.kind.value,
            each.target,
            " ".join(each.events) or "all",
            " ".join(each.models) or "all",
            moment(each.created),
        )
        for each in found
    ]
    show_table(("webhook", "kind", "target", "events", "models", "since"), rows)


@app.command()
def remove(name: str = _NAME, as_json: bool = JSON) -> None:
    """Tell somebody nothing any more, not even what waits to be told."""
    with webhook_store() as store:
        store.remove(name)
    if as_json:
        show_json({"schema": 1, "removed": name})


@app.command("test")
def try_out(name: str = _NAME, as_json: bool = JSON) -> None:
    """Tell somebody of an event that did not happen, webhook.test, and say what that came to."""
    with courier() as here:
        webhook = here.store.get(name)
        if webhook.kind is Kind.DEPLOYMENT:
            raise InvalidValue(f"{name} runs a deployment: try it with toolkit flows trigger {webhook.target}")
        failure: ToolkitError | None = None
        try:
            message = here.courier.test(webhook)
        except ToolkitError as error:
            failure, message = error, error.message
    if as_json:
        show_json({"schema": 1, "webhook": name, "success": failure is None, "message": message})
        if failure is not None:
            raise typer.Exit(1)
    elif failure is not None:
        raise failure
    else:
        show(f"{name}: {message}")


def _json(webhook: Webhook) -> dict[str, object]:
    return {
        "name": webhook.name,
        "kind": webhook.kind.value,
        "target": webhook.target,
        "events": list(webhook.events),
        "models": list(webhook.models),
        "parameters": dict(webhook.parameters),
        "since": moment(webhook.created),
    }
