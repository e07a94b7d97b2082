"""``toolkit deployments build``: the Bento of a version, for whatever takes Bentos."""

from __future__ import annotations

import typer

from toolkit.cli.registered import named, registry
from toolkit.cli.render import say, show, show_json
from toolkit.cli.service_config import SETTINGS, WORKERS, configured
from toolkit.deployments.bento import build as build_bento
from toolkit.deployments.bento import said_in
from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.records import Bento
from toolkit.settings import load
from toolkit.wiring.serving import open_deployment_store


def build(
    model: str = typer.Argument(metavar="MODEL", help="The version: wine/3, wine@champion, models:/wine/3."),
    workers: int | None = WORKERS,
    settings: list[str] = SETTINGS,
    trust: bool = typer.Option(
        False, "--trust", help="Let the service load whatever the model holds; you trust whoever made it."
    ),
    replaces: bool = typer.Option(
        False, "--replace", help="Take the tag NAME:VERSION also where a Bento that was built otherwise has it."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Build the Bento of a registered version: `bentoml serve` and `bentoml containerize` take it as it stands."""
    config = ServiceConfig.from_dict(configured(workers, settings))
    named(model)
    uri = model if model.startswith("models:") else f"models:/{model}"
    with registry() as here:
        allowed = said_in(load(), everything=trust)
        built = build_bento(uri, here.stores, here.catalog, config, allowed=allowed, replaces=replaces, report=say)
        open_deployment_store(here.stores).remember_bento(
            Bento(tag=built.tag, digest=built.digest, model=built.model, version=built.version, run_id=built.run_id)
        )
    if as_json:
        show_json(
            {
                "schema": 1,
                "tag": built.tag,
                "digest": built.digest,
                "path": str(built.path),
                "model": built.model,
                "version": built.version,
                "run_id": built.run_id,
                "model_path": str(built.model_path),
                "made": built.made,
            }
        )
        return
    show(built.tag)
    if not built.made:
        say("it was there already, built from the same")
    say(f"serve it with: bentoml serve {built.tag}; make an image of it with: bentoml containerize {built.tag}")
