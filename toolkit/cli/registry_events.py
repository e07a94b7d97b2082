"""``toolkit registry events``: what was done to models, as others are told of it."""

from __future__ import annotations

import typer

from toolkit.cli import registry_webhooks
from toolkit.cli.registry_target import JSON
from toolkit.cli.render import moment, say, show, show_json, show_table
from toolkit.cli.store import opened
from toolkit.registry.events import MOST_EVENTS, Delivery, DeliveryState, Event, EventQuery
from toolkit.settings import load
from toolkit.wiring.events import events_of
from toolkit.wiring.opened import open_stores

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="What was done to models, as others are told of it: webhooks, and runs of Prefect deployments.",
)
app.add_typer(registry_webhooks.app, name="webhooks")


@app.command("list")
def list_(
    name: str | None = typer.Argument(None, metavar="NAME", help="Only those of this registered model."),
    after: int = typer.Option(0, "--after", metavar="N", min=0, help="Only those with higher numbers than this."),
    events: list[str] = typer.Option(
        [], "-e", "--event", metavar="EVENT", help="Only these, such as model_version.created; may be repeated."
    ),
    limit: int = typer.Option(100, "-n", "--limit", min=1, max=MOST_EVENTS, help="At most this many."),
    as_json: bool = JSON,
) -> None:
    """List events by their numbers, the oldest first; to go on, give the last one's number as --after."""
    query = EventQuery(after=after, limit=limit, name=name, events=tuple(events))
    settings = load()
    with opened() as stores:
        if settings.registry_uri in (None, stores.tracking_uri):
            found = events_of(stores, query)
        else:
            elsewhere = open_stores(settings.model_copy(update={"tracking_uri": settings.registry_uri}))
            try:
                found = events_of(elsewhere, query)
            finally:
                elsewhere.close()
    if as_json:
        show_json({"schema": 1, "events": [event_json(each) for each in found]})
        return
    show_table(("event", "time", "what", "model", "from", "to", "who", "why"), [_row(each) for each in found])


def _row(event: Event) -> tuple[str, ...]:
    said = (" ".join(str(event.data.get(key, "")).split()) for key in ("from", "to", "user", "reason"))
    of = event.name if event.version is None else f"{event.name}/{event.version}"
    return (str(event.id), moment(event.time), event.event, of, *said)


def event_json(event: Event) -> dict[str, object]:
    """Return an event as it is printed."""
    return {
        "sequence": event.id,
        "event": event.event,
        "name": event.name,
        "version": event.version,
        "time": moment(event.time),
        "data": dict(event.data),
    }


@app.command()
def deliver(
    waiting: bool = typer.Option(False, "--now", help="Try also what waits to be tried again."),
    as_json: bool = JSON,
) -> None:
    """Tell of all that is to be told now. A server does so by itself; this is for where there is none."""
    made, passed = [], 0
    with registry_webhooks.courier() as here:
        here.courier.spread()
        while (told := here.courier.next(waiting=waiting, passed=passed)) is not None:
            passed = told.claim.delivery
            made.append(told)
            if not as_json:
                what = f"{told.claim.event.event} {told.claim.event.name} (event {told.claim.event.id})"
                show(f"{told.claim.webhook.name}: {what}: {told.state.value.lower()}: {told.message}")
        left = here.store.waiting()
    if as_json:
        told_of = [
            {
                "delivery": each.claim.delivery,
                "webhook": each.claim.webhook.name,
                "sequence": each.claim.event.id,
                "event": each.claim.event.event,
                "state": each.state.value,
                "tries": each.claim.tries,
                "message": each.message,
            }
            for each in made
        ]
        show_json({"schema": 1, "deliveries": told_of, "waiting": left})
    elif left:
        say(f"{left} to be tried again later: --now does not wait")
    if any(each.state is not DeliveryState.DONE for each in made):
        raise typer.Exit(1)


@app.command()
def deliveries(
    webhook: str | None = typer.Argument(None, metavar="WEBHOOK", help="Only those to this one."),
    failed: bool = typer.Option(False, "--failed", help="Only those that failed for good."),
    limit: int = typer.Option(100, "-n", "--limit", min=1, max=100_000, help="At most this many."),
    again: int | None = typer.Option(
        None, "--again", metavar="DELIVERY", min=1, help="Let this one, which failed for good, be tried again."
    ),
    as_json: bool = JSON,
) -> None:
    """List who was told of what, newest first: how often it was tried, and what that came to."""
    with registry_webhooks.webhook_store() as store:
        if again is not None:
            store.again(again)
        found = store.deliveries(webhook=webhook, state=DeliveryState.FAILED if failed else None, limit=limit)
    if as_json:
        show_json({"schema": 1, "deliveries": [_delivery_json(each) for each in found]})
        return
    rows = [
        (
            str(each.id),
            each.webhook,
            str(each.event.id),
            each.event.event,
            each.state.value.lower(),
            str(each.tries),
            moment(each.updated),
            moment(each.due) if each.state is DeliveryState.PENDING else "",
            each.message or "",
        )
        for each in found
    ]
    columns = ("delivery", "webhook", "event", "what", "state", "tries", "last", "next", "message")
    show_table(columns, rows)


def _delivery_json(delivery: Delivery) -> dict[str, object]:
    pending = delivery.state is DeliveryState.PENDING
    return {
        "delivery": delivery.id,
        "webhook": delivery.webhook,
        "sequence": delivery.event.id,
        "event": delivery.event.event,
        "name": delivery.event.name,
        "version": delivery.event.version,
        "state": delivery.state.value,
        "tries": delivery.tries,
        "last": moment(delivery.updated),
        "next": moment(delivery.due) if pending else None,
        "message": delivery.message,
    }
