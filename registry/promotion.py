"""What a version may take (a stage, an alias), what that needs, and requests for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from toolkit.errors import InvalidValue
from toolkit.registry import names
from toolkit.registry.gates import Gate
from toolkit.registry.records import Stage
from toolkit.tracking import limits

MOST_GATES = 100
MOST_APPROVERS = 100
MOST_REQUESTS = 1_000


@dataclass(frozen=True, slots=True)
class Target:
    """What a version may take: a stage, or an alias. As text: ``Production``, ``@champion``.

    Attributes:
        stage: The stage; ``None``: it is an alias.
        alias: The alias; ``None``: it is a stage.
    """

    stage: Stage | None = None
    alias: str | None = None

    def __post_init__(self) -> None:
        """Check that it is one thing, of its form."""
        if (self.stage is None) == (self.alias is None):
            raise InvalidValue("name either a stage or an alias")
        if self.alias is not None:
            names.check_alias(self.alias)

    @classmethod
    def read(cls, text: str) -> Target:
        """Return the target that a text names: ``@alias``, or a stage in any case.

        Raises:
            InvalidValue: It names none.
        """
        if text.startswith("@"):
            return cls(alias=text[1:])
        try:
            return cls(stage=Stage.read(text))
        except InvalidValue:
            known = ", ".join(stage.value for stage in Stage)
            raise InvalidValue(
                f"{text[:100]!r} is neither a stage ({known}) nor an alias, which is written with @: @{text[:100]}"
            ) from None

    def __str__(self) -> str:
        """Return the text that `read` reads."""
        return f"@{self.alias}" if self.stage is None else self.stage.value

    @property
    def options(self) -> str:
        """Return what names it on the command line."""
        return f"--alias {self.alias}" if self.stage is None else f"--stage {self.stage.value}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What a version needs to take a target.

    Attributes:
        target: What is taken.
        gates: What the version must show.
        approvals: How many must approve a request; 0: none is needed, unless approvers are named.
        approvers: Who may approve; empty: everybody. Without a number, all of them must.
    """

    target: Target
    gates: Sequence[Gate] = ()
    approvals: int = 0
    approvers: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check it."""
        if len(self.gates) > MOST_GATES or len(self.approvers) > MOST_APPROVERS:
            raise InvalidValue(f"{self.target} has more than {MOST_GATES} gates or {MOST_APPROVERS} approvers")
        if len(set(self.approvers)) != len(self.approvers) or not all(self.approvers):
            raise InvalidValue(f"the approvers of {self.target} are not each named once")
        for name in self.approvers:
            limits.check_text(name, "approvers", names.NAME_LENGTH)
        if not 0 <= self.approvals <= MOST_APPROVERS or (self.approvers and self.approvals > len(self.approvers)):
            raise InvalidValue(
                f"{self.target} wants {self.approvals} approvals of {len(self.approvers) or 'any number of'} "
                "approvers: more than there can be"
            )

    @property
    def needed(self) -> int:
        """How many must approve a request."""
        return self.approvals or len(self.approvers)

    @property
    def says(self) -> bool:
        """Whether it asks for anything."""
        return bool(self.gates) or self.needed > 0

    def who(self) -> str:
        """Return in words who must approve."""
        if not self.approvers:
            return f"{self.needed} other{'s' if self.needed > 1 else ''}"
        listed = ", ".join(self.approvers)
        return listed if self.needed == len(self.approvers) else f"{self.needed} of {listed}"


class RequestState(StrEnum):
    """What became of a request."""

    PENDING = "PENDING"
    DONE = "DONE"
    """It was approved, and the version has what it asked for."""
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRequest:
    """A request that a version takes a target.

    Attributes:
        name: The registered model.
        version: The number of the version.
        target: What it is to take.
        archive_existing: Whether the others in the stage go to the archive then.
    """

    name: str
    version: int
    target: Target
    archive_existing: bool = False

    def __post_init__(self) -> None:
        """Check it."""
        names.check_name(self.name)
        if self.archive_existing and (self.target.stage is None or not self.target.stage.active):
            raise InvalidValue(f"{self.target} is neither Staging nor Production: nothing goes to the archive for it")


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A yes to a request.

    Attributes:
        user: Who said it.
        reason: Why, where that was said.
        time: When, in milliseconds since 1970 UTC.
    """

    user: str
    time: int
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comment:
    """What somebody says to a request, without deciding on it.

    Attributes:
        user: Who says it.
        text: What.
        time: When, in milliseconds since 1970 UTC.
    """

    user: str
    text: str
    time: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request that a version takes a target. Times in milliseconds since 1970 UTC.

    Attributes:
        id: Its number.
        name: The registered model.
        version: The number of the version.
        target: What it is to take.
        archive_existing: Whether the others in the stage go to the archive then.
        user: Who asks.
        reason: Why.
        state: What became of it.
        needed: How many must approve, as things are now.
        approvers: Who may; empty: everybody but who asks.
        approvals: Who has.
        closed_by: Who approved last, rejected or withdrew it.
        closed_why: Why.
        creation_time: When it was made.
        closed_time: When it was closed.
        comments: What was said to it, the oldest first.
    """

    id: int
    name: str
    version: int
    target: Target
    user: str
    creation_time: int
    archive_existing: bool = False
    reason: str | None = None
    state: RequestState = RequestState.PENDING
    needed: int = 1
    approvers: Sequence[str] = ()
    approvals: Sequence[Approval] = ()
    closed_by: str | None = None
    closed_why: str | None = None
    closed_time: int | None = None
    comments: Sequence[Comment] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestQuery:
    """Which requests are wanted. The newest come first.

    Attributes:
        name: Of this model; ``None``: of all.
        state: In this state; ``None``: in any.
        limit: At most this many, 1 to `MOST_REQUESTS`.
        page_token: Where the previous page ended.
    """

    name: str | None = None
    state: RequestState | None = None
    limit: int = 100
    page_token: str | None = None

    def __post_init__(self) -> None:
        """Check the number."""
        if not 1 <= self.limit <= MOST_REQUESTS:
            raise InvalidValue(limits.invalid("limit", self.limit, f"Wanted 1 to {MOST_REQUESTS}."))
