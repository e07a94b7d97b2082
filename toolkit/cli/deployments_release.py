"""``toolkit deployments``: releases are made, undone and taken away; a deployment is asked, and its output shown."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from toolkit.cli.deployment_name import NAME, NAMED, one_name
from toolkit.cli.registered import pairs, registry
from toolkit.cli.render import moment, say, show, show_json
from toolkit.cli.service_config import SETTINGS, WORKERS, configured
from toolkit.deployments.changeover import PATIENCE
from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.records import Deployment
from toolkit.deployments.release import Change, Releases, Wanted
from toolkit.errors import InvalidValue
from toolkit.settings import load
from toolkit.wiring.serving import open_releases

if TYPE_CHECKING:
    from toolkit.deployments.store import DeploymentStore

_NEW = typer.Option(..., "-n", "--name", metavar="NAME", help="The deployment.")
_OPTIONS = typer.Option(
    [], "--option", metavar="KEY=VALUE", help="An option of the target; may be repeated; KEY= takes it away."
)
_JSON = typer.Option(False, "--json", help="Print JSON.")
_WHY = typer.Option("", "--reason", metavar="TEXT", help="Why; kept with the release.")
_WAIT = typer.Option(PATIENCE, "--wait", metavar="SECONDS", min=0, help="How long it may take to become healthy.")
_TRUST = typer.Option(
    False, "--trust", help="Let the service load whatever the model holds; you trust whoever made it."
)
_FOLLOW = typer.Option(
    None, "--follow-alias", metavar="ALIAS", help="Release the version of this alias whenever it moves; '': no longer."
)
_EVERY = 5.0


@contextmanager
def releasing(*, reason: str = "", trust: bool = False) -> Iterator[tuple[Releases, DeploymentStore]]:
    """Open what releases are made with, for a block.

    Args:
        reason: Why something is changed, as it is written down.
        trust: Whether the user trusts all that a model holds.
    """
    with (
        registry(reason=reason or None) as here,
        open_releases(here.stores, here.catalog, load(), report=say, reason=reason or None, trust=trust) as (
            releases,
            store,
        ),
        ended_in_order(),
    ):
        yield releases, store


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let SIGTERM end a block by way of what takes an unfinished release away."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def create(
    name: str = _NEW,
    model: str = typer.Option(..., "-m", "--model", metavar="MODEL", help="models:/wine/3, wine/3 or wine@champion."),
    target: str = typer.Option(
        "local", "-t", "--target", metavar="TARGET", help="Where: local, docker, kubernetes, sagemaker, azureml, …"
    ),
    options: list[str] = _OPTIONS,
    workers: int | None = WORKERS,
    settings: list[str] = SETTINGS,
    follow: str | None = _FOLLOW,
    trust: bool = _TRUST,
    or_update: bool = typer.Option(False, "--or-update", help="Where there is one of this name, update it."),
    why: str = _WHY,
    wait: float = _WAIT,
    as_json: bool = _JSON,
) -> None:
    """Build a version, start it, let it score its example, and let it serve."""
    given = configured(workers, settings)
    change = Change(
        model=model, config=given, options=pairs(options, "--option"), follow_alias=follow, why=why, patience=wait
    )
    wanted = Wanted(
        name=name,
        model=model,
        target=target,
        config=ServiceConfig.from_dict(given),
        options=change.options,
        follow_alias=follow,
        why=why,
        patience=wait,
    )
    with releasing(reason=why, trust=trust) as (releases, _):
        _say(releases.ensure(wanted, change) if or_update else releases.create(wanted), as_json=as_json)


def update(
    name: str | None = NAME,
    named: str | None = NAMED,
    model: str | None = typer.Option(
        None, "-m", "--model", metavar="MODEL", help="The version; default: that of the followed alias, or the same."
    ),
    options: list[str] = _OPTIONS,
    workers: int | None = WORKERS,
    settings: list[str] = SETTINGS,
    follow: str | None = _FOLLOW,
    trust: bool = _TRUST,
    why: str = _WHY,
    wait: float = _WAIT,
    as_json: bool = _JSON,
) -> None:
    """Start another version beside the one that serves; when it answers as it must, traffic moves to it."""
    name = one_name(name, named, "update")
    change = Change(
        model=model,
        config=configured(workers, settings),
        options=pairs(options, "--option"),
        follow_alias=follow,
        why=why,
        patience=wait,
    )
    with releasing(reason=why, trust=trust) as (releases, _):
        _say(releases.update(name, change), as_json=as_json)


def rollback(
    name: str | None = NAME,
    named: str | None = NAMED,
    to: int | None = typer.Option(
        None, "--to", metavar="RELEASE", min=1, help="The release to go back to; default: the one before."
    ),
    as_served: bool = typer.Option(
        False, "--as-served", help="Only what this machine itself has noted to have served, built from the same files."
    ),
    why: str = _WHY,
    wait: float = _WAIT,
    as_json: bool = _JSON,
) -> None:
    """Release again what served before; it passes the same checks. A followed alias is followed no longer."""
    name = one_name(name, named, "rollback")
    with releasing(reason=why) as (releases, _):
        _say(releases.rollback(name, to=to, why=why, patience=wait, as_served=as_served), as_json=as_json)


def delete(
    name: str | None = NAME,
    named: str | None = NAMED,
    force: bool = typer.Option(False, "--force", help="Forget it also where its target does not end it."),
    why: str = _WHY,
    as_json: bool = _JSON,
) -> None:
    """End what a deployment runs, and free its name; what it served stays in the lineage."""
    name = one_name(name, named, "delete")
    with releasing(reason=why) as (releases, _):
        done = releases.delete(name, force=force)
    if as_json:
        show_json({"schema": 1, **deployment_json(done)})
    else:
        say(f"deployment {name} is deleted")


def predict(
    name: str | None = NAME,
    named: str | None = NAMED,
    source: str = typer.Option("-", "-i", "--input-path", metavar="FILE", help="Rows; - is standard input."),
    kind: str | None = typer.Option(
        None, "-f", "--input-format", metavar="FORMAT", help="csv, json, jsonl or parquet; default: as the ending says."
    ),
    target: str = typer.Option("-", "-o", "--output-path", metavar="FILE", help="The answer; - is standard output."),
    timeout: float = typer.Option(60.0, "--timeout", metavar="SECONDS", min=0.001, help="How long to wait for it."),
) -> None:
    """Send rows to a deployment's /invocations, and print its answer as JSON."""
    from toolkit.deployments.predicting import format_of, prediction, request_of  # noqa: PLC0415 - for this command

    name = one_name(name, named, "predict")
    body, content_type = request_of(_read(source), format_of(source, kind))
    with releasing() as (releases, _):
        answer = releases.ask(name, body, content_type=content_type, timeout=timeout)
    text = prediction(answer, name).decode("utf-8", "replace").rstrip("\n")
    if target == "-":
        show(text)
        return
    try:
        Path(target).write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise InvalidValue(f"{target} cannot be written: {error.strerror}") from None


def logs(
    name: str | None = NAME,
    named: str | None = NAMED,
    release: int | None = typer.Option(
        None, "--release", metavar="NUMBER", min=1, help="Of this release; default: the one that serves, else the last."
    ),
    lines: int = typer.Option(200, "--lines", metavar="N", min=0, help="So many of the last lines."),
    follow: bool = typer.Option(False, "-f", "--follow", help="Go on with the lines that come, until interrupted."),
) -> None:
    """Print what a deployment's processes print."""
    name = one_name(name, named, "logs")
    with releasing() as (releases, _):
        for line in releases.logs(name, release=release, lines=lines, follow=follow):
            show(line)
            if follow:
                sys.stdout.flush()


def follow(
    names: list[str] = typer.Option([], "-n", "--name", metavar="NAME", help="Only this deployment; may be repeated."),
    every: float = typer.Option(_EVERY, "--every", metavar="SECONDS", min=0.1, help="How often to ask."),
    once: bool = typer.Option(False, "--once", help="Ask once, and end."),
) -> None:
    """Release what followed aliases stand for, whenever they move, until interrupted."""
    with releasing() as (releases, store):
        for name in names:
            if not store.get(name).follow_alias:
                raise InvalidValue(
                    f"deployment {name} follows no alias: toolkit deployments update -n {name} --follow-alias ALIAS"
                )
        told: list[str] = []
        while True:
            problems = releases.follow_all(names)
            for problem in problems:
                if problem not in told:
                    say(problem)
            told = problems
            if once:
                return
            time.sleep(every)


def deployment_json(deployment: Deployment) -> dict[str, object]:
    """Return a deployment as it is printed."""
    told = {each.name: getattr(deployment, each.name) for each in fields(deployment)}
    return {
        **{name: dict(value) if name in ("config", "options") else value for name, value in told.items()},
        "state": deployment.state.value,
        "created_at": moment(deployment.created_at),
        "updated_at": moment(deployment.updated_at),
    }


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise InvalidValue(f"{source} cannot be read: {error.strerror}") from None


def _say(deployment: Deployment, *, as_json: bool) -> None:
    if as_json:
        show_json({"schema": 1, **deployment_json(deployment)})
        return
    show(deployment.address or deployment.name)
    say(f"deployment {deployment.name}: release {deployment.release} is {deployment.state.value}")
