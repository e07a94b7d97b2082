"""``toolkit deployments``: which versions serve where, and what served there before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

import typer

from toolkit.cli import deployments_build, deployments_release, deployments_stats
from toolkit.cli.deployment_name import NAME, NAMED, one_name
from toolkit.cli.deployments_release import deployment_json
from toolkit.cli.render import moment, say, show, show_json, show_table
from toolkit.cli.store import opened
from toolkit.deployments.records import Deployment, DeploymentState, Release
from toolkit.deployments.starter import interrupted
from toolkit.errors import NotFound
from toolkit.settings import load
from toolkit.wiring.services import local_services
from toolkit.wiring.serving import kept_deployments, open_deployment_store

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Let versions of registered models serve: on this machine, in containers, in clusters and clouds.",
)

_JSON = typer.Option(False, "--json", help="Print JSON.")
_DOWN = "deployments of this machine do not answer, for their supervisor does not run: toolkit up starts it"
_ANSWERING = (DeploymentState.SERVING, DeploymentState.UPDATING)
_SHORT = 12  # digits of a digest that are shown


@app.callback()
def root() -> None:
    """Group the commands."""


@app.command("list")
def list_(
    model: str | None = typer.Option(
        None, "-m", "--model", metavar="NAME", help="Only those that serve a version of this registered model."
    ),
    deleted: bool = typer.Option(
        False, "--deleted", help="Also those that were deleted; of a model all that ever served it."
    ),
    as_json: bool = _JSON,
) -> None:
    """List deployments: which version serves where, and how it is."""
    with opened() as stores:
        store = open_deployment_store(stores)
        found = store.list(model=model, deleted=deleted)
        current = {each.deployment_id: each for each in store.current()}
        down = _are_down(found)
    if as_json:
        told = [{**deployment_json(each), "current": _current_json(current.get(each.id))} for each in found]
        show_json({"schema": 1, "deployments": told})
        return
    columns = ("name", "state", "version", "target", "address", "release", "updated", "message")
    show_table(columns, [_row(each, current.get(each.id)) for each in found])
    if down:
        say(_DOWN)


def _are_down(found: Iterable[Deployment]) -> bool:
    """Tell whether one of them is to serve here and does not, as after a reboot: its row knows nothing of that."""
    settings = load()
    serving = {each.name for each in found if each.target == "local" and each.state in _ANSWERING}
    if not serving.intersection(record.deployment for record in kept_deployments(settings)):
        return False
    return local_services(settings).running_supervisor() is None


def _row(deployment: Deployment, release: Release | None) -> tuple[str, ...]:
    return (
        deployment.name,
        deployment.state.value,
        "" if release is None else f"{release.model}/{release.version}",
        deployment.target,
        deployment.address or "",
        "" if deployment.release is None else str(deployment.release),
        moment(deployment.updated_at),
        deployment.message,
    )


@app.command("show")
def show_(
    name: str | None = NAME,
    named: str | None = NAMED,
    as_json: bool = _JSON,
) -> None:
    """Show a deployment with all its releases, the newest first; of one that was deleted give the id as the name."""
    wanted = one_name(name, named, "show")
    with opened() as stores:
        store = open_deployment_store(stores)
        try:
            deployment = store.get(wanted)
        except NotFound:
            gone = [each for each in store.list(deleted=True) if each.id == wanted]
            if not gone:
                raise
            deployment = gone[0]
        releases = store.releases(deployment.id)
        down = _are_down([deployment])
    left = interrupted(deployment, releases)
    if as_json:
        told = [release_json(each) for each in releases]
        show_json({"schema": 1, **deployment_json(deployment), "interrupted": left, "releases": told})
        return
    if left:
        show("interrupted: the process that changed it has ended; the next update, rollback or delete mends it")
    for key, value in _said(deployment, next((each for each in releases if each.number == deployment.release), None)):
        show(f"{key}: {value}")
    show("")
    columns = ("release", "state", "version", "bento", "built from", "image", "since", "until", "who", "why", "message")
    show_table(columns, [_release_row(each) for each in releases])
    if down:
        say(_DOWN)


def _said(deployment: Deployment, serving: Release | None) -> list[tuple[str, str]]:
    """Return what is known of a deployment, in words; what is empty is left out."""
    said = [
        ("name", deployment.name),
        ("state", deployment.state.value),
        ("message", deployment.message),
        ("serves", "" if serving is None else f"{serving.model}/{serving.version}"),
        ("address", deployment.address or ""),
        ("follows", deployment.follow_alias or ""),
        ("target", deployment.target),
        ("options", _pairs(deployment.options)),
        ("service", _pairs(deployment.config)),
        ("host", deployment.host),
        ("created", f"{moment(deployment.created_at)} {deployment.created_by}".rstrip()),
        ("updated", moment(deployment.updated_at)),
        ("id", deployment.id),
    ]
    return [(key, value) for key, value in said if value]


def _pairs(values: Mapping[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items() if value != "")


def _release_row(release: Release) -> tuple[str, ...]:
    return (
        str(release.number),
        release.state.value,
        f"{release.model}/{release.version}",
        release.bento,
        release.bento_digest[:_SHORT],
        release.image or "",
        moment(release.created_at),
        moment(release.ended_at),
        release.created_by,
        release.why,
        release.message,
    )


def release_json(release: Release) -> dict[str, object]:
    """Return a release as it is printed."""
    told = {each.name: getattr(release, each.name) for each in fields(release) if each.name != "deployment_id"}
    return {
        **told,
        "state": release.state.value,
        "instance": dict(release.instance),
        "created_at": moment(release.created_at),
        "ended_at": None if release.ended_at is None else moment(release.ended_at),
    }


def _current_json(release: Release | None) -> dict[str, object] | None:
    """Return what a list tells of the release that serves, or that was begun last."""
    if release is None:
        return None
    told = release_json(release)
    return {key: told[key] for key in ("number", "model", "version", "run_id", "bento", "bento_digest", "state")}


for _command in (
    deployments_build.build,
    deployments_release.create,
    deployments_release.update,
    deployments_release.rollback,
    deployments_release.delete,
    deployments_release.predict,
    deployments_release.logs,
    deployments_release.follow,
    deployments_stats.stats,
    deployments_stats.samples,
    deployments_stats.collect,
):
    app.command()(_command)
