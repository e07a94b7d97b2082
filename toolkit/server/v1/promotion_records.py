"""The types of history, gates and requests in our API, as its OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import StrictBool

from toolkit.registry.history import Action
from toolkit.registry.promotion import RequestState
from toolkit.registry.records import Stage
from toolkit.server.v1.records import Asked, Integer, Text, Told


class ChangeTold(Told):
    """A change of the registry: what was done, by whom and why. The time in milliseconds since 1970 UTC."""

    id: int
    name: str
    version: int | None
    action: Action
    key: str | None
    old: str | None
    new: str | None
    user: str | None
    reason: str | None
    request: int | None
    time: int


class ChangesTold(Told):
    """Changes that were made."""

    changes: list[ChangeTold]


class ChangePage(ChangesTold):
    """A part of a list of changes, and the token that gives the next part."""

    next_page_token: str | None


class ChangeSearch(Asked):
    """Which changes are wanted; times in milliseconds since 1970 UTC."""

    name: Text | None = None
    version: Integer | None = None
    actions: Sequence[Action] = ()
    key: Text | None = None
    since: Integer | None = None
    until: Integer | None = None
    limit: Integer = 100
    page_token: Text | None = None


class HeldTold(Told):
    """Which versions held the aliases of a model at a time, and in which stages the others than ``None`` were."""

    name: str
    time: int
    aliases: dict[str, int]
    stages: dict[str, Stage]


class RollbackAsked(Asked):
    """A stage, or an alias written as ``@alias``, that is to be what it was before, or of a version that had it."""

    target: Text
    to: Integer | None = None


class PolicyTold(Told):
    """What a stage or an alias asks for: gates, one a line, and who must approve."""

    target: str
    gates: list[str]
    approvals: int
    approvers: list[str]


class PoliciesTold(Told):
    """What the stages and aliases of a model ask for."""

    policies: list[PolicyTold]


class PolicyAsked(Asked):
    """What a stage or an alias is to ask for; nothing: what it asked for is lifted."""

    target: Text
    gates: Sequence[Text] = ()
    approvals: Integer = 0
    approvers: Sequence[Text] = ()


class PoliciesAsked(Asked):
    """What some stages and aliases are to ask for; others stay as they are."""

    policies: Sequence[PolicyAsked]


class LineTold(Told):
    """A line of a report: what was wanted, whether it is so, and what is."""

    gate: str
    passed: bool
    found: str


class ReportTold(Told):
    """How a version does at the gates of a stage or an alias."""

    name: str
    version: int
    target: str
    holder: int | None
    lines: list[LineTold]
    passed: bool


class NewRequestAsked(Asked):
    """A request that a version takes a stage, or an alias written as ``@alias``."""

    name: Text
    version: Integer
    target: Text
    archive_existing: StrictBool = False


class ApprovalTold(Told):
    """A yes to a request."""

    user: str
    time: int
    reason: str | None


class CommentTold(Told):
    """What somebody said to a request."""

    user: str
    text: str
    time: int


class RequestTold(Told):
    """A request that a version takes a stage or an alias. Times in milliseconds since 1970 UTC."""

    id: int
    name: str
    version: int
    target: str
    archive_existing: bool
    user: str
    reason: str | None
    state: RequestState
    needed: int
    approvers: list[str]
    approvals: list[ApprovalTold]
    closed_by: str | None
    closed_why: str | None
    creation_time: int
    closed_time: int | None
    comments: list[CommentTold]


class RequestPage(Told):
    """A part of a list of requests, and the token that gives the next part."""

    requests: list[RequestTold]
    next_page_token: str | None


class RequestSearch(Asked):
    """Which requests are wanted."""

    name: Text | None = None
    state: RequestState | None = None
    limit: Integer = 100
    page_token: Text | None = None


class Decision(Asked):
    """A decision on a request; who decides, and why, is in the headers."""
