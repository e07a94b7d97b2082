"""``toolkit registry``: requests that a version takes a stage or an alias, and what others say to them."""

from __future__ import annotations

from dataclasses import replace

import typer

from toolkit.cli.registered import registry
from toolkit.cli.registry_target import ALIAS, JSON, REASON, STAGE, VERSION, target_of
from toolkit.cli.render import moment, say, show, show_json, show_table
from toolkit.registry.promotion import MOST_REQUESTS, NewRequest, Request, RequestQuery, RequestState

_NUMBER = typer.Argument(metavar="REQUEST", help="The request's number.", min=0)
_NEEDED = typer.Option(..., "--reason", metavar="TEXT", help="Why; kept in the history.")


def request(
    target: str = VERSION,
    stage: str | None = STAGE,
    alias: str | None = ALIAS,
    archive: bool = typer.Option(False, "--archive-existing", help="Move the others in that stage to Archived then."),
    reason: str | None = REASON,
    as_json: bool = JSON,
) -> None:
    """Ask that a version takes a stage or an alias; print the request's number. Its gates must be passed already."""
    wanted = target_of(stage, alias)
    with registry(reason=reason) as here:
        version = here.version(target)
        new = NewRequest(name=version.name, version=version.version, target=wanted, archive_existing=archive)
        _say_request(here.promotions.request(new), as_json=as_json)


def approve(number: int = _NUMBER, reason: str | None = REASON, as_json: bool = JSON) -> None:
    """Approve a request of somebody else's. With the last yes that it needs, the version takes what it asks for."""
    with registry(reason=reason) as here:
        _say_request(here.promotions.approve(number), as_json=as_json)


def reject(number: int = _NUMBER, reason: str = _NEEDED, as_json: bool = JSON) -> None:
    """Reject a request of somebody else's, with a reason."""
    with registry(reason=reason) as here:
        _say_request(here.promotions.reject(number), as_json=as_json)


def withdraw(number: int = _NUMBER, reason: str | None = REASON, as_json: bool = JSON) -> None:
    """Withdraw a request of your own."""
    with registry(reason=reason) as here:
        _say_request(here.promotions.withdraw(number), as_json=as_json)


def comment(
    number: int = _NUMBER, text: str = typer.Argument(metavar="TEXT", help="What you say."), as_json: bool = JSON
) -> None:
    """Say something to a request without deciding on it; it is kept in the history."""
    with registry(reason=text) as here:
        asked = here.promotions.comment(number)
    if as_json:
        show_json({"schema": 1, **request_json(asked)})
        return
    say(f"said to request {number}, that {asked.name}/{asked.version} takes {asked.target}")


def requests(
    name: str | None = typer.Argument(None, metavar="NAME", help="Only those of this registered model."),
    every: bool = typer.Option(False, "--all", help="Closed ones, too."),
    limit: int = typer.Option(100, "-n", "--limit", min=1, max=100_000, help="At most this many."),
    as_json: bool = JSON,
) -> None:
    """List the requests that wait for approval, newest first."""
    query = RequestQuery(name=name, state=None if every else RequestState.PENDING)
    found: list[Request] = []
    with registry() as here:
        while len(found) < limit:
            page = here.promotions.requests(replace(query, limit=min(MOST_REQUESTS, limit - len(found))))
            found += page.items
            if page.next_page_token is None:
                break
            query = replace(query, page_token=page.next_page_token)
    if as_json:
        show_json({"schema": 1, "requests": [request_json(each) for each in found]})
        return
    rows = [
        (
            str(each.id),
            f"{each.name}/{each.version}",
            str(each.target),
            each.state.value.lower(),
            f"{len(each.approvals)}/{each.needed} {' '.join(approval.user for approval in each.approvals)}".strip(),
            each.user,
            moment(each.creation_time),
            each.reason or "",
        )
        for each in found
    ]
    show_table(("request", "version", "takes", "state", "approved", "by", "created", "reason"), rows)


def _say_request(asked: Request, *, as_json: bool) -> None:
    if as_json:
        show_json({"schema": 1, **request_json(asked)})
        return
    show(str(asked.id))
    what = f"{asked.name}/{asked.version} takes {asked.target}"
    if asked.state is RequestState.PENDING:
        who = f" by {', '.join(asked.approvers)}" if asked.approvers else ""
        count = f"{len(asked.approvals)} of {asked.needed} approvals{who}"
        say(f"{what} when it is approved ({count}): toolkit registry approve {asked.id}")
    else:
        say(f"{what}: {asked.state.value.lower()}")


def request_json(asked: Request) -> dict[str, object]:
    """Return a request as it is printed."""
    return {
        "request": asked.id,
        "name": asked.name,
        "version": asked.version,
        "target": str(asked.target),
        "archive_existing": asked.archive_existing,
        "state": asked.state.value,
        "user": asked.user,
        "reason": asked.reason,
        "needed": asked.needed,
        "approvers": list(asked.approvers),
        "approvals": [
            {"user": said.user, "reason": said.reason, "time": moment(said.time)} for said in asked.approvals
        ],
        "closed_by": asked.closed_by,
        "closed_why": asked.closed_why,
        "created": moment(asked.creation_time),
        "closed": moment(asked.closed_time),
        "comments": [{"user": said.user, "text": said.text, "time": moment(said.time)} for said in asked.comments],
    }
