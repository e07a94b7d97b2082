"""``toolkit up``: start the local services that are not running."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import typer

from toolkit.cli.render import say
from toolkit.settings import load
from toolkit.wiring.services import local_services, named_tracking, served
from toolkit.wiring.serving import follows_aliases, kept_deployments

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def up() -> None:
    """Start the local services that are not running, and the local deployments. They stay until toolkit down."""
    settings = load()
    services, stores = local_services(settings), served(settings)
    with ThreadPoolExecutor(1) as beside:
        tracking = None if stores is None else beside.submit(services.ensure_tracking, stores, say)
        server = services.ensure_prefect(say)
        ours = None if tracking is None else tracking.result()
        deployments = kept_deployments(settings)
        keeper = services.ensure_supervisor(say) if deployments or follows_aliases(settings) else None
    state = "yours" if server.external else "started" if server.started else "was running"
    say(f"prefect   {server.ui_url or server.api_url}  ({state})")
    if ours is None:
        say(f"tracking  {named_tracking(settings)}  (yours)")
    else:
        say(f"tracking  {ours.url}  ({'started' if ours.started else 'was running'})")
    if keeper is not None:
        state = "started" if keeper[1] else "was running"
        kept = [f"{each.deployment} at {each.url}" for each in deployments]
        say(f"deployments  {', '.join(kept) or 'aliases are followed'}  ({state})")
