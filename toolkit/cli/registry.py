"""``toolkit registry``: registered models, their versions, stages and aliases."""

from __future__ import annotations

from dataclasses import replace

import typer

from toolkit.cli import registry_events, registry_gates, registry_history, registry_requests
from toolkit.cli.registered import (
    Opened,
    is_version,
    model_json,
    named,
    pairs,
    registry,
    version_json,
    versions_table,
)
from toolkit.cli.registry_lineage import lineage
from toolkit.cli.render import moment, say, show, show_json, show_table
from toolkit.errors import InvalidValue
from toolkit.registry.records import ModelVersion, RegisteredModel, Stage
from toolkit.registry.registering import Registration
from toolkit.registry.registering import copy as copy_version
from toolkit.registry.registering import register as register_model
from toolkit.tracking.records import SearchQuery

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Register models, and say which version is in use: stages, aliases, tags. A version is NAME/3 or NAME@alias.",
)

_JSON = typer.Option(False, "--json", help="Print JSON.")
_REASON = typer.Option(None, "--reason", metavar="TEXT", help="Why; kept in the history.")
_TAGS = typer.Option([], "-t", "--tag", metavar="KEY=VALUE", help="A tag of the version; may be repeated.")
_VERSION = typer.Argument(metavar="NAME/NUMBER", help="The version: wine/3, wine@champion or wine/latest.")
_EITHER = typer.Argument(metavar="NAME[/NUMBER]", help="A registered model, or a version of it.")
_ARCHIVE = typer.Option(False, "--archive-existing", help="Move the others in that stage to Archived.")
_PAGE = 1_000


@app.callback()
def root() -> None:
    """Group the commands."""


@app.command()
def register(
    uri: str = typer.Argument(
        metavar="URI", help="The model: models:/m-ID, runs:/RUN_ID/PATH, models:/NAME/3, or where a run keeps it."
    ),
    name: str = typer.Argument(metavar="NAME", help="The registered model; made where there is none."),
    description: str | None = typer.Option(None, "-d", "--description", metavar="TEXT", help="What the version is."),
    tags: list[str] = _TAGS,
    aliases: list[str] = typer.Option([], "--alias", metavar="ALIAS", help="A name for it; may be repeated."),
    stage: str | None = typer.Option(None, "--stage", metavar="STAGE", help="Staging, Production or Archived."),
    archive: bool = _ARCHIVE,
    reason: str | None = _REASON,
    as_json: bool = _JSON,
) -> None:
    """Register a model that a run logged: make the next version of it."""
    wanted = Stage.read(stage) if stage is not None else None
    with registry(reason=reason) as here:
        given = Registration(uri=uri, name=name, description=description, tags=pairs(tags, "--tag"))
        made = register_model(given, here.stores, here.catalog)
        try:
            for alias in aliases:
                here.registry.set_alias(name, alias, made.version)
            if wanted is not None:
                here.registry.set_stage(name, made.version, wanted, archive_existing=archive)
        except Exception:
            say(f"registered {name}/{made.version}, but it did not take what was asked for:")
            raise
        _say_version(here.registry.get_version(name, made.version), as_json=as_json)


@app.command("list")
def list_(
    name: str | None = typer.Argument(None, metavar="NAME", help="List the versions of this registered model."),
    text: str = typer.Option(
        "", "--filter", metavar="FILTER", help="Only those of which it is true: \"name LIKE 'wine%'\"."
    ),
    order_by: list[str] = typer.Option([], "--order-by", metavar="KEY", help="Such as 'name DESC'; may be repeated."),
    limit: int = typer.Option(100, "-n", "--limit", min=1, max=100_000, help="At most this many."),
    as_json: bool = _JSON,
) -> None:
    """List registered models, or the versions of one, newest first."""
    query = SearchQuery(filter=text, order_by=order_by, limit=limit)
    with registry() as here:
        if name is not None:
            _show_versions(_versions(here, name, query), as_json=as_json)
            return
        models: list[RegisteredModel] = []
        while len(models) < limit:
            page = here.registry.search_models(replace(query, limit=min(_PAGE, limit - len(models))))
            models += page.items
            if page.next_page_token is None:
                break
            query = replace(query, page_token=page.next_page_token)
    if as_json:
        show_json({"schema": 1, "registered_models": [model_json(each) for each in models]})
        return
    rows = [
        (
            each.name,
            str(max((version.version for version in each.latest_versions), default="")),
            " ".join(f"@{alias}={number}" for alias, number in each.aliases.items()),
            " ".join(f"{v.stage.value}={v.version}" for v in each.latest_versions if v.stage is not Stage.NONE),
            moment(each.last_update_time),
        )
        for each in models
    ]
    show_table(("name", "latest", "aliases", "stages", "updated"), rows)


@app.command("show")
def show_(target: str = _EITHER, as_json: bool = _JSON) -> None:
    """Show a registered model with its versions, or a version."""
    with registry() as here:
        if is_version(target):
            _show_version(here.version(target), as_json=as_json)
            return
        model = here.registry.get_model(target)
        versions = _versions(here, target, SearchQuery(limit=_PAGE))
    if as_json:
        show_json({"schema": 1, **model_json(model), "versions": [version_json(each) for each in versions]})
        return
    show(f"{model.name}: {model.description or 'no description'}")
    for key, value in model.tags.items():
        show(f"  {key}={value}")
    show_table(*versions_table(versions))


@app.command()
def alias(
    target: str = typer.Argument(metavar="NAME/NUMBER", help="The version; with --delete: the registered model."),
    name: str = typer.Argument(metavar="ALIAS", help="The alias, without @."),
    delete: bool = typer.Option(False, "--delete", help="Remove the alias."),
    reason: str | None = _REASON,
    as_json: bool = _JSON,
) -> None:
    """Let an alias stand for a version, also where it stood for another one; or remove it."""
    name = name.removeprefix("@")
    with registry(reason=reason) as here:
        if delete:
            model = target if not is_version(target) else named(target).name or ""
            here.registry.find_alias(model, name)  # says that there is none
            here.registry.delete_alias(model, name)
            if as_json:
                show_json({"schema": 1, **model_json(here.registry.get_model(model))})
            return
        version = here.version(target)
        here.registry.set_alias(version.name, name, version.version)
        _say_version(here.registry.get_version(version.name, version.version), as_json=as_json)


@app.command()
def stage(
    target: str = _VERSION,
    stage: str = typer.Argument(metavar="STAGE", help="None, Staging, Production or Archived."),
    archive: bool = _ARCHIVE,
    reason: str | None = _REASON,
    as_json: bool = _JSON,
) -> None:
    """Move a version to a stage."""
    wanted = Stage.read(stage)
    with registry(reason=reason) as here:
        version = here.version(target)
        moved = here.registry.set_stage(version.name, version.version, wanted, archive_existing=archive)
        _say_version(moved, as_json=as_json)


@app.command()
def tag(
    target: str = _EITHER,
    tags: list[str] | None = typer.Argument(None, metavar="KEY=VALUE...", help="Tags to set."),
    delete: list[str] = typer.Option([], "--delete", metavar="KEY", help="A tag to remove; may be repeated."),
    as_json: bool = _JSON,
) -> None:
    """Set and remove tags of a registered model or of a version."""
    changes: dict[str, str | None] = {**pairs(tags or [], "the tag"), **dict.fromkeys(delete)}
    if not changes:
        raise InvalidValue("no tag was given: wanted KEY=VALUE, or --delete KEY")
    with registry() as here:
        if is_version(target):
            version = here.version(target)
            _say_version(here.registry.update_version(version.name, version.version, tags=changes), as_json=as_json)
            return
        model = here.registry.update_model(target, tags=changes)
    if as_json:
        show_json({"schema": 1, **model_json(model)})


@app.command()
def describe(
    target: str = _EITHER,
    text: str = typer.Argument(metavar="TEXT", help="What it is; empty: nothing any more."),
    as_json: bool = _JSON,
) -> None:
    """Describe a registered model or a version."""
    with registry() as here:
        if is_version(target):
            version = here.version(target)
            _say_version(here.registry.update_version(version.name, version.version, description=text), as_json=as_json)
            return
        model = here.registry.update_model(target, description=text)
    if as_json:
        show_json({"schema": 1, **model_json(model)})


@app.command()
def copy(
    target: str = _VERSION,
    name: str = typer.Argument(metavar="NAME", help="The other registered model; made where there is none."),
    reason: str | None = _REASON,
    as_json: bool = _JSON,
) -> None:
    """Make a version of the same files in another registered model."""
    with registry(reason=reason) as here:
        _say_version(copy_version(here.version(target), name, here.catalog), as_json=as_json)


@app.command()
def rename(
    name: str = typer.Argument(metavar="NAME", help="The registered model."),
    new_name: str = typer.Argument(metavar="NEW_NAME", help="Its new name."),
    reason: str | None = _REASON,
    as_json: bool = _JSON,
) -> None:
    """Give a registered model another name; its versions, tags and aliases stay."""
    with registry(reason=reason) as here:
        model = here.registry.update_model(name, new_name=new_name)
    if as_json:
        show_json({"schema": 1, **model_json(model)})


@app.command()
def delete(
    target: str = _EITHER,
    yes: bool = typer.Option(False, "--yes", help="Delete a registered model though it has versions."),
    reason: str | None = _REASON,
    as_json: bool = _JSON,
) -> None:
    """Delete a version, or a registered model with all of its versions. It cannot be undone; files and runs stay."""
    with registry(reason=reason) as here:
        if is_version(target):
            version = here.version(target)
            here.registry.delete_version(version.name, version.version)
            deleted = f"{version.name}/{version.version}"
        else:
            here.registry.get_model(target)
            count = len(_versions(here, target, SearchQuery(limit=_PAGE)))
            if count and not yes:
                many = f"{count}{'+' if count == _PAGE else ''} version{'s' if count != 1 else ''}"
                raise InvalidValue(f"{target} has {many}, which would be deleted for good with it: add --yes")
            here.registry.delete_model(target)
            deleted = target
    if as_json:
        show_json({"schema": 1, "deleted": deleted})


for _command in (
    registry_requests.request,
    registry_requests.approve,
    registry_requests.reject,
    registry_requests.withdraw,
    registry_requests.comment,
    registry_requests.requests,
    registry_history.history,
    registry_history.rollback,
):
    app.command()(_command)
app.add_typer(registry_gates.app, name="gates")
app.add_typer(registry_events.app, name="events")


app.command("lineage")(lineage)


def _versions(here: Opened, name: str, query: SearchQuery) -> list[ModelVersion]:
    """Return the versions of a model with their aliases, newest first."""
    model = here.registry.get_model(name)
    of_model = "name = '{}'".format(name.replace("'", "''"))
    text = f"{of_model} AND {query.filter}" if query.filter else of_model
    order = query.order_by or ["version_number DESC"]
    found = here.registry.search_versions(replace(query, filter=text, order_by=order)).items
    aliases: dict[int, list[str]] = {}
    for alias, number in model.aliases.items():
        aliases.setdefault(number, []).append(alias)
    return [replace(each, aliases=tuple(aliases.get(each.version, ()))) for each in found]


def _show_versions(versions: list[ModelVersion], *, as_json: bool) -> None:
    if as_json:
        show_json({"schema": 1, "versions": [version_json(each) for each in versions]})
        return
    show_table(*versions_table(versions))


def _show_version(version: ModelVersion, *, as_json: bool) -> None:
    told = version_json(version)
    if as_json:
        show_json({"schema": 1, **told})
        return
    for key, value in told.items():
        if key == "tags":
            for name, text in version.tags.items():
                show(f"tag {name}\t{text}")
        elif key == "aliases":
            show(f"{key}\t{' '.join(version.aliases)}")
        elif value not in (None, ""):
            show(f"{key}\t{value}")


def _say_version(version: ModelVersion, *, as_json: bool) -> None:
    """Print the version that was made or changed."""
    if as_json:
        show_json({"schema": 1, **version_json(version)})
        return
    show(f"{version.name}/{version.version}")
