"""Requests that a version takes a stage or an alias: what is to be decided, by whom, and what that changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.registry.gates import Example
from toolkit.registry.history import Action, ChangeQuery, Held
from toolkit.registry.promotion import Policy, Request, RequestQuery, RequestState
from toolkit.registry.records import ModelVersion, Stage
from toolkit.server.pages.models import deployed
from toolkit.server.pages.person import Person

if TYPE_CHECKING:
    from toolkit.registry.judging import Report
    from toolkit.server.pages.asked import Asked

_REQUESTS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A request, and what whoever looks at it may do.

    Attributes:
        request: The request.
        report: How the version does at the gates; None: they were not judged yet.
        effect: What will change, in words.
        off: Why who looks may not decide; empty: they may.
        own: Whether it is their own.
    """

    request: Request
    report: Report | None
    effect: str
    off: str
    own: bool


def requests_of(
    asked: Asked, version: ModelVersion, state: RequestState | None, limit: int = _REQUESTS
) -> Sequence[Request]:
    """Return the requests of a version, the newest first; only those in a state, if it is named."""
    query = RequestQuery(name=version.name, state=state, limit=limit)
    found = asked.catalog.promotions.requests(query).items
    return [each for each in found if each.version == version.version]


def decision(asked: Asked, request: Request, policies: Sequence[Policy], held: Held, person: Person) -> Decision:
    """Return what whoever looks may do with a request.

    Args:
        asked: What they ask for.
        request: The request.
        policies: What the model's stages and aliases want.
        held: Which versions have them now.
        person: Who looks.
    """
    policy = next((each for each in policies if each.target == request.target), None)
    return Decision(
        request=request,
        report=judged(asked, request.name, request.version, policy) if policy else None,
        effect=effect(asked, request, held),
        off=_off(request, person),
        own=bool(person.name) and person.name == request.user,
    )


def _off(request: Request, person: Person) -> str:
    """Return why somebody may not decide on a request; empty: they may."""
    if person.name and person.name == request.user:
        return f"{person.name} asked for this, and nobody decides on a request of their own."
    if person.name and request.approvers and person.name not in request.approvers:
        return f"Only {', '.join(request.approvers)} may decide, and you are {person.name}."
    if any(each.user == person.name for each in request.approvals):
        return f"{person.name} has approved already."
    return ""


def effect(asked: Asked, request: Request, held: Held) -> str:
    """Return what changes when a request is done."""
    target, number = request.target, request.version
    told = []
    if target.alias is not None:
        before = held.aliases.get(target.alias)
        told.append(f"{target} moves from version {before} to {number}" if before else f"{target} is version {number}")
        follows = f"{request.name}@{target.alias}"
        names = [each.name for each, _ in deployed(asked, request.name) if each.follow_alias == follows]
        told += [f"deployment {name} follows it" for name in names]
    else:
        told.append(f"version {number} takes {target}")
        others = [each for each in held.holders(Stage(str(target))) if each != number]
        if others:
            listed = ", ".join(map(str, others))
            told.append(f"version {listed} {'goes to Archived' if request.archive_existing else 'stays there, too'}")
    return "; ".join(told)


def done(asked: Asked, closed: Sequence[Request], pending: Sequence[Request]) -> Sequence[str]:
    """Return what a decision has changed that somebody has just made on this page, in words."""
    number = asked.query.get("done", "")
    request = next((each for each in (*closed, *pending) if str(each.id) == number), None)
    if request is None:
        return []
    if request.state is not RequestState.DONE:
        left = request.needed - len(request.approvals)
        more = f"{left} more must approve it" if left > 0 else "it waits"
        return [f"Request {number} is {request.state.lower()}" + (f": {more}" if request in pending else "")]
    query = ChangeQuery(name=request.name, actions=(Action.ALIAS, Action.STAGE), limit=_REQUESTS)
    moved = [each for each in asked.catalog.promotions.history(query).items if each.request == request.id]
    told = []
    for each in reversed(moved):
        if each.action is Action.ALIAS:
            told.append(f"@{each.key} moved from version {each.old or 'none'} to {each.new}")
        else:
            told.append(f"version {each.version} went from {each.old} to {each.new}")
    if request.target.alias is not None:
        follows = f"{request.name}@{request.target.alias}"
        names = [each.name for each, _ in deployed(asked, request.name) if each.follow_alias == follows]
        told += [f"deployment {name} follows it" for name in names]
    return told


def judged(asked: Asked, name: str, number: int, policy: Policy) -> Report | None:
    """Return how a version does at gates. A model is loaded for them only when that is asked for: None, if it is not.

    Args:
        asked: The request; its ``judge`` names a target.
        name: The model.
        number: Of the version.
        policy: What is wanted.
    """
    loads = any(isinstance(gate, Example) for gate in policy.gates)
    if loads and asked.query.get("judge") != str(policy.target):
        return None
    return asked.catalog.promotions.check(name, number, policy.target)
