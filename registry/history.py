"""What was done to the registry, by whom and why: a record that only grows, and what it says of a time.

Each change is also an event (``event_of``), which whoever listens is told of: MLflow's names where MLflow has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.registry.records import Stage
from toolkit.tracking import limits

USER_LENGTH = 256
REASON_LENGTH = 1_000
MOST_CHANGES = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """Who changes something, and why.

    Attributes:
        user: The name; ``None``: not known.
        reason: In the author's words.
    """

    user: str | None = None
    reason: str | None = None

    def checked(self) -> Author:
        """Return the author, if names and reasons can be so.

        Raises:
            InvalidValue: One is too long, or no text.
        """
        if self.user is not None:
            limits.check_text(self.user, "user", USER_LENGTH)
        if self.reason is not None:
            limits.check_text(self.reason, "reason", REASON_LENGTH)
        return self


NOBODY = Author()


class Action(StrEnum):
    """What was done."""

    MODEL_CREATED = "model.created"
    MODEL_RENAMED = "model.renamed"
    MODEL_DESCRIBED = "model.described"
    MODEL_TAGGED = "model.tagged"
    MODEL_DELETED = "model.deleted"
    VERSION_CREATED = "version.created"
    VERSION_DESCRIBED = "version.described"
    VERSION_TAGGED = "version.tagged"
    VERSION_DELETED = "version.deleted"
    STAGE = "stage"
    ALIAS = "alias"
    GATES = "gates"
    REQUESTED = "request.created"
    APPROVED = "request.approved"
    REJECTED = "request.rejected"
    WITHDRAWN = "request.withdrawn"
    COMMENTED = "request.commented"
    DEPLOYMENT_CREATED = "deployment.created"
    DEPLOYMENT_RELEASED = "deployment.released"
    DEPLOYMENT_ROLLED_BACK = "deployment.rolled_back"
    DEPLOYMENT_DELETED = "deployment.deleted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change that was made. Changes of one transaction have one time, which no others of the model have.

    Attributes:
        id: Its number; of the changes of a model, a later one has a higher one.
        name: The registered model, as it is called now.
        version: The version that was changed, or that an alias stands for now, or stood for.
        action: What was done.
        key: The alias, the key of the tag, the target of gates or of a request, or the name of the deployment.
        old: What was: a text, a stage, the number that an alias stood for; ``None``: nothing.
        new: What is; ``None``: nothing.
        user: Who did it, where that is known.
        reason: Why, where that was said.
        request: The request by which it was done, or which it is about.
        time: When, in milliseconds since 1970 UTC.
    """

    id: int
    name: str
    action: Action
    time: int
    version: int | None = None
    key: str | None = None
    old: str | None = None
    new: str | None = None
    user: str | None = None
    reason: str | None = None
    request: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeQuery:
    """Which changes are wanted. The newest come first.

    Attributes:
        name: Of the model that has, or had when it was deleted, this name; ``None``: of all.
        version: Of this version of it, and of the aliases that stood for it.
        actions: Of these kinds; empty: of all.
        key: Of this alias, tag, target or deployment.
        since: Not before this time.
        until: Not after this time.
        limit: At most this many, 1 to `MOST_CHANGES`.
        page_token: Where the previous page ended.
    """

    name: str | None = None
    version: int | None = None
    actions: Sequence[Action] = ()
    key: str | None = None
    since: int | None = None
    until: int | None = None
    limit: int = 100
    page_token: str | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 1 <= self.limit <= MOST_CHANGES:
            raise InvalidValue(limits.invalid("limit", self.limit, f"Wanted 1 to {MOST_CHANGES}."))
        if self.version is not None and self.name is None:
            raise InvalidValue("changes of a version are wanted, but not of which model: give its name")


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Which versions held the aliases and stages of a model at a time.

    Attributes:
        name: The registered model, as it is called now.
        time: The time, in milliseconds since 1970 UTC.
        aliases: The number of the version that each alias stood for.
        stages: The stage of each version that was in another one than ``None``.
    """

    name: str
    time: int
    aliases: Mapping[str, int] = field(default_factory=dict)
    stages: Mapping[int, Stage] = field(default_factory=dict)

    def holders(self, stage: Stage) -> Sequence[int]:
        """Return the numbers of the versions in a stage, in order."""
        return sorted(number for number, held in self.stages.items() if held is stage)


_EVENTS = {
    Action.MODEL_CREATED: "registered_model.created",
    Action.MODEL_RENAMED: "registered_model.renamed",
    Action.MODEL_DESCRIBED: "registered_model.described",
    Action.MODEL_DELETED: "registered_model.deleted",
    Action.VERSION_CREATED: "model_version.created",
    Action.VERSION_DESCRIBED: "model_version.described",
    Action.VERSION_DELETED: "model_version.deleted",
    Action.STAGE: "model_version.stage_changed",
    Action.GATES: "registered_model.gates_changed",
    Action.REQUESTED: "transition_request.created",
    Action.APPROVED: "transition_request.approved",
    Action.REJECTED: "transition_request.rejected",
    Action.WITHDRAWN: "transition_request.withdrawn",
    Action.COMMENTED: "transition_request.commented",
    Action.DEPLOYMENT_CREATED: "deployment.created",
    Action.DEPLOYMENT_RELEASED: "deployment.released",
    Action.DEPLOYMENT_ROLLED_BACK: "deployment.rolled_back",
    Action.DEPLOYMENT_DELETED: "deployment.deleted",
}
DEPLOYMENT = "deployment."
"""What the events begin with that are of deployments of a model."""
_SET_OR_DELETED = {
    Action.MODEL_TAGGED: ("registered_model_tag.set", "registered_model_tag.deleted"),
    Action.VERSION_TAGGED: ("model_version_tag.set", "model_version_tag.deleted"),
    Action.ALIAS: ("model_version_alias.created", "model_version_alias.deleted"),
}
EVENTS = (*_EVENTS.values(), *(name for names in _SET_OR_DELETED.values() for name in names))
"""The names of all events."""


def event_of(change: Change, more: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of a change's event, and its data: MLflow's fields, then ours.

    Args:
        change: The change.
        more: What it tells beside, such as the tags of a version that was made.
    """
    if change.action in _SET_OR_DELETED:
        event = _SET_OR_DELETED[change.action][change.new is None]
    else:
        event = _EVENTS[change.action]
    data: dict[str, Any] = {"name": change.name}
    if change.version is not None:
        data["version"] = str(change.version)
    if change.action is Action.ALIAS:
        data["alias"] = change.key
    elif change.action in (Action.MODEL_TAGGED, Action.VERSION_TAGGED):
        data["key"] = change.key
        if change.new is not None:
            data["value"] = change.new
    elif event.startswith(DEPLOYMENT):
        data["deployment"] = change.key
    elif change.key is not None:
        data["target"] = change.key
    said = {"from": change.old, "to": change.new, "user": change.user, "reason": change.reason}
    data |= {name: value for name, value in said.items() if value is not None}
    if change.request is not None:
        data["request"] = change.request
    return event, {**data, **more}
