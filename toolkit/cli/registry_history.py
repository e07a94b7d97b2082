"""``toolkit registry``: what was done to models, who held what at a time, and rollbacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import typer

from toolkit.cli.registered import Opened, is_version, registry
from toolkit.cli.registry_target import ALIAS, JSON, NAME, STAGE, target_of
from toolkit.cli.render import show, show_json, show_table
from toolkit.errors import InvalidValue
from toolkit.registry.history import MOST_CHANGES, Action, Change, ChangeQuery, Held
from toolkit.registry.records import Stage

_REASON = typer.Option(..., "--reason", metavar="TEXT", help="Why; kept in the history.")


def history(
    target: str | None = typer.Argument(None, metavar="NAME[/NUMBER]", help="A registered model, or a version of it."),
    stage: str | None = typer.Option(None, "--stage", metavar="STAGE", help="Only who entered and left this stage."),
    alias: str | None = typer.Option(None, "--alias", metavar="ALIAS", help="Only the moves of this alias."),
    at: str | None = typer.Option(
        None, "--at", metavar="TIME", help="Show what held the stages and aliases then, such as 2026-11-21T10:00."
    ),
    limit: int = typer.Option(100, "-n", "--limit", min=1, max=100_000, help="At most this many."),
    as_json: bool = JSON,
) -> None:
    """Show what was done to models, by whom and why, newest first; or who held what at a time."""
    name, _, number = (target or "").partition("/")
    if at is not None:
        if not name or number or stage or alias:
            raise InvalidValue("--at wants the name of a registered model, and nothing else")
        with registry() as here:
            _show_held(here.promotions.held(name, _time(at)), as_json=as_json)
        return
    if target is not None and is_version(target) and not number.isdigit():
        raise InvalidValue(f"{target!r} has its history under another name: wanted NAME or NAME/NUMBER")
    query = ChangeQuery(
        name=name or None,
        version=int(number) if number else None,
        key=None if alias is None else alias.removeprefix("@"),
        actions=_actions(stage, alias),
    )
    with registry() as here:
        found = _changes(here, query, Stage.read(stage) if stage else None, limit)
    if as_json:
        show_json({"schema": 1, "changes": [change_json(each) for each in found]})
        return
    show_table(("time", "who", "model", "what", "from", "to", "why"), [_row(each) for each in found])


def _actions(stage: str | None, alias: str | None) -> tuple[Action, ...]:
    if stage is not None and alias is not None:
        raise InvalidValue("give either --stage or --alias")
    return (Action.STAGE,) if stage is not None else (Action.ALIAS,) if alias is not None else ()


def _changes(here: Opened, query: ChangeQuery, stage: Stage | None, limit: int) -> list[Change]:
    """Return changes, up to a number; of a stage only those from it or to it."""
    found: list[Change] = []
    while len(found) < limit:
        page = here.promotions.history(replace(query, limit=MOST_CHANGES if stage else min(MOST_CHANGES, limit)))
        found += [each for each in page.items if stage is None or stage.value in (each.old, each.new)]
        if page.next_page_token is None:
            break
        query = replace(query, page_token=page.next_page_token)
    return found[:limit]


def _row(change: Change) -> tuple[str, ...]:
    what = change.action.value
    if change.key is not None:
        what += f" @{change.key}" if change.action is Action.ALIAS else f" {change.key}"
    if change.request is not None:
        what += f" (request {change.request})"
    of = change.name if change.version is None else f"{change.name}/{change.version}"
    told = ("" if text is None else " ".join(text.split()) for text in (change.old, change.new, change.reason))
    return (_instant(change.time), change.user or "", of, what, *told)


def change_json(change: Change) -> dict[str, object]:
    """Return a change as it is printed."""
    return {
        "time": _instant(change.time),
        "user": change.user,
        "name": change.name,
        "version": change.version,
        "action": change.action.value,
        "key": change.key,
        "from": change.old,
        "to": change.new,
        "reason": change.reason,
        "request": change.request,
        "id": change.id,
    }


def _instant(milliseconds: int) -> str:
    """Return a time in RFC 3339, UTC, to the millisecond: what was done within a second is told apart."""
    read = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return read.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(text: str) -> int:
    """Return a time in milliseconds since 1970 UTC. Without a zone, it is UTC, as times are printed.

    Raises:
        InvalidValue: It is none.
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"--at is {text!r}: wanted such as 2026-11-21 or 2026-11-21T10:00:00+01:00") from None
    return int((read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp() * 1000)


def _show_held(held: Held, *, as_json: bool) -> None:
    stages = {stage.value: held.holders(stage) for stage in Stage if held.holders(stage)}
    if as_json:
        show_json(
            {
                "schema": 1,
                "name": held.name,
                "time": _instant(held.time),
                "aliases": dict(held.aliases),
                "stages": {stage: list(numbers) for stage, numbers in stages.items()},
            }
        )
        return
    rows = [(f"@{alias}", f"{held.name}/{number}") for alias, number in held.aliases.items()]
    rows += [(stage, " ".join(f"{held.name}/{number}" for number in numbers)) for stage, numbers in stages.items()]
    show_table(("held", "by"), rows)


def rollback(
    name: str = NAME,
    stage: str | None = STAGE,
    alias: str | None = ALIAS,
    to: int | None = typer.Option(None, "--to", metavar="VERSION", min=1, help="To this version, which had it once."),
    reason: str = _REASON,
    as_json: bool = JSON,
) -> None:
    """Let a stage or an alias be what it was before its last change: a change of its own, which asks for no gates."""
    wanted = target_of(stage, alias)
    with registry(reason=reason) as here:
        made = here.promotions.rollback(name, wanted, to=to)
    if as_json:
        show_json({"schema": 1, "changes": [change_json(each) for each in made]})
        return
    for each in made:
        kind = f"@{each.key}" if each.action is Action.ALIAS else f"{each.name}/{each.version}"
        show(f"{kind}: {each.old or 'nothing'} → {each.new or 'nothing'}")
