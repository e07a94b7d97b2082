"""The one tree of exceptions.

One class a failure. The first line of a class's docstring is its default message; its fields hold the data. A message
says what was given, what was wanted and what to do next. Two doors turn these into output: the command line (one line,
and the class's ``exit_code``) and the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A place in a text file.

    Attributes:
        file: Path of the file, as the user would write it.
        line: Line number, from 1.
        column: Column number, from 1; 0 where only the line is known.
    """

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        """Return ``file:line:column``, the form that editors and terminals make a link of."""
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


class ToolkitError(Exception):
    """Something in toolkit failed.

    Args:
        message: What was given, what was wanted, what to do. Default: the first line of the class's docstring.
        mark: The place in a file that is at fault, put in front of the message.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None, *, mark: Mark | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").partition("\n")[0]
        self.mark = mark
        super().__init__(self.message)

    def __str__(self) -> str:
        """Return the message, with the place in front of it where there is one."""
        return f"{self.mark}: {self.message}" if self.mark else self.message


class UserError(ToolkitError):
    """The call was wrong: an option, a file, a name or a value."""

    exit_code: ClassVar[int] = 2


# -- what was given --------------------------------------------------------------------------------


class InvalidValue(UserError, ValueError):
    """A value does not have the form that was wanted."""


class InvalidSetting(UserError, ValueError):
    """A setting has a value that cannot be used."""


class NotFound(UserError, LookupError):
    """There is no such thing."""


class AlreadyExists(UserError, ValueError):
    """A thing of this name is there already."""


class Conflict(UserError, ValueError):
    """The change contradicts what is recorded."""


class GateFailed(Conflict):
    """The version does not show what it must to take this stage or alias."""


class ApprovalNeeded(Conflict):
    """The stage or alias is taken only by a request that others approve."""


class Forbidden(UserError):
    """This is not given out, and not changed, here."""


class TooLarge(UserError, ValueError):
    """This is larger than the configured limit."""


# -- projects --------------------------------------------------------------------------------------


class ProjectError(UserError, ValueError):
    """The project cannot be run as it is written."""


class ProjectNotFound(ProjectError, LookupError):
    """There is no project at this place."""


class SourceUnavailable(ToolkitError):
    """The place that a project comes from does not answer."""


class UnknownEntryPoint(ProjectError, LookupError):
    """The project has no such entry point."""


class UnknownWorkflow(ProjectError, LookupError):
    """The project has no such workflow."""


class MissingParameters(ProjectError):
    """No value was given for a parameter that has no default."""


class InvalidParameter(ProjectError):
    """A parameter's value does not have the declared type."""


class ExpressionError(ProjectError):
    """An expression cannot be read or evaluated."""


class NotYetSupported(ProjectError):
    """This part of the file is understood, but it cannot be acted on yet."""


class EnvironmentBuildError(ProjectError):
    """The environment of a step cannot be built."""


# -- runs ------------------------------------------------------------------------------------------


class RunFailed(ToolkitError):
    """The run failed."""


class StepFailed(RunFailed):
    """A step failed."""


class NotReproducible(UserError):
    """The run cannot be made again as it was.

    Attributes:
        problems: What is missing, each with its ``kind`` and ``text``.
    """

    def __init__(self, message: str | None = None, *, problems: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class RunKilled(ToolkitError):
    """The run was stopped."""

    exit_code: ClassVar[int] = 130


# -- stores and services ---------------------------------------------------------------------------


class StoreError(ToolkitError):
    """The tracking store cannot be used.

    Attributes:
        rejections: Of `RunStore.apply`: the entries that it had refused for good before it failed; they do not come up
            again when the rest is tried again.
        applied: Of the same: how many entries, from the first, it was through with by then.
    """

    rejections: Sequence[Any] = ()
    applied: int = 0


class StoreBusy(StoreError):
    """The tracking store was locked by another process for longer than the configured wait."""


class StoreInterrupted(StoreError):
    """The database broke a transaction off: try again.

    Attributes:
        in_doubt: Whether it may have been done all the same: the connection was lost while it was committed.
    """

    def __init__(self, message: str | None = None, *, in_doubt: bool = False) -> None:
        super().__init__(message)
        self.in_doubt = in_doubt


class SchemaError(StoreError, UserError):
    """The database holds a schema that this version cannot use."""


class JournalError(ToolkitError):
    """The journal of what is logged but not yet acknowledged cannot be used."""


class JournalClosed(JournalError):
    """The journal was closed; another one is begun."""


class JournalFull(JournalError):
    """The journal has reached its limit."""


class NotAcknowledged(ToolkitError):
    """What was logged is in the journal, and not all of it is in the store yet.

    Attributes:
        waiting: How many entries still wait.
    """

    def __init__(self, message: str | None = None, *, waiting: int = 0) -> None:
        super().__init__(message)
        self.waiting = waiting


class ArtifactError(ToolkitError):
    """An artifact cannot be stored or read."""


class ArtifactUnavailable(ArtifactError):
    """The artifact store does not answer now; the same call may work later."""


class StorageFull(ArtifactError):
    """There is no space left for an artifact."""


class ArtifactCorrupt(ArtifactError):
    """An artifact's content does not match its recorded digest."""


class SchemaMismatch(UserError, ValueError):
    """The data do not fit the model's signature.

    The message tells names and types, never a value: it may be sent to whoever sent the data.

    Attributes:
        column: Name or place of the column, or name of the parameter or tensor.
        path: Where in a nested value of the column, such as ``.address[2]``.
        came: What came: a type, in words.
        wanted: What was wanted: a type, in words.
        row: The first row that does not fit, counted from 0.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        column: object = None,
        path: str = "",
        came: str = "",
        wanted: str = "",
        row: int | None = None,
    ) -> None:
        self.column, self.path, self.came, self.wanted, self.row = column, path, came, wanted, row
        place = f"column {column!r}{path}: " if column is not None else f"{path}: " * bool(path)
        line = "" if row is None else f"; the first row that does not fit is row {row}, counted from 0"
        told = f"Failed to enforce schema: {place}{wanted} was wanted, and {came} came{line}" if wanted else None
        super().__init__(message or told)

    def inside(self, path: str = "", *, column: object = None, row: int | None = None) -> SchemaMismatch:
        """Return the same of what it is in.

        Args:
            path: Where in that.
            column: The column that it is in.
            row: The row that it is in.
        """
        return SchemaMismatch(
            column=self.column if column is None else column,
            path=path + self.path,
            came=self.came,
            wanted=self.wanted,
            row=self.row if row is None else row,
        )


class InvalidPayload(InvalidValue):
    """The body of a request to a model cannot be read."""


class UnsupportedContentType(UserError):
    """A body of this content type cannot be read."""


class UntrustedModel(UserError):
    """Loading this model would run code that nobody has said to trust."""


class ModelFailed(ToolkitError):
    """The model raised an error of its own."""


class ThresholdFailed(ToolkitError):
    """The model does not show what it must.

    Attributes:
        result: What came of its evaluation.
    """

    def __init__(self, message: str | None = None, *, result: Any = None) -> None:  # noqa: ANN401 - of models.evaluation
        super().__init__(message)
        self.result = result


class MissingTool(UserError):
    """A tool, a login, a cluster or a package that a command takes is not there; the message says how to get it."""


class BuildFailed(ToolkitError):
    """A Bento or an image could not be made; nothing of it is left."""


class TargetFailed(ToolkitError):
    """A place to serve in did not do what it was asked to; what served before still serves."""


class ReleaseRefused(TargetFailed):
    """A release did not pass its checks: it never took traffic."""


class ServiceError(ToolkitError):
    """A local service did not start."""
