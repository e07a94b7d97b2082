"""Keys of steps: what the results of a step depend on, kept beside its run, so that others can take them over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from toolkit.errors import InvalidValue
from toolkit.ids import check_run_id
from toolkit.tracking.limits import check_page_size, check_text, check_time

FAMILY_LENGTH = 500
"""Characters that the name of a family has at most."""
COMPONENTS_LENGTH = 1_000_000
"""Characters that the components of a key have at most."""
KEYS_PER_CALL = 1_000
"""How many keys a call returns at most."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepKey:
    """The key of the run of a step.

    Attributes:
        run_id: The run.
        key: Digest of all that the step's results depend on, 64 hexadecimal digits.
        family: What runs of the same step have in common, such as ``project/workflow/step``.
        reusable: Whether others may take over what the run has left.
        created: When it was noted, milliseconds since 1970 UTC.
        components: What the key is made of, as JSON.
    """

    run_id: str
    key: str
    family: str
    reusable: bool
    created: int
    components: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepKeyQuery:
    """Which keys to find, newest first; what is ``None`` or empty does not matter.

    Attributes:
        key: With this key.
        family: Of this family.
        run_ids: Of these runs.
        reusable: Only what others may take over: of runs that are FINISHED and not deleted.
        before: Only those noted before this time, milliseconds since 1970 UTC.
        limit: At most this many, 1 to 1,000.
    """

    key: str | None = None
    family: str | None = None
    run_ids: Sequence[str] = ()
    reusable: bool = False
    before: int | None = None
    limit: int = 100


class StepKeys(Protocol):
    """The keys of steps in a store. They go with their runs when these are purged."""

    def keep_step_key(self, key: StepKey) -> None:
        """Note the key of a run; one that is there already is replaced.

        Several runs may have one key: two that ran at the same time both stand for it.

        Raises:
            NotFound: There is no such run.
            InvalidValue: The key is no digest, or a text is too long.
        """
        ...

    def find_step_keys(self, query: StepKeyQuery) -> Sequence[StepKey]:
        """Return keys, newest first. Unknown ids are passed over.

        Raises:
            InvalidValue: The limit or the time is out of bounds.
        """
        ...

    def forget_step_keys(self, run_ids: Sequence[str]) -> Sequence[str]:
        """Let nobody take over what these runs have left; return those of them that others could take over."""
        ...


def check_step_key(key: StepKey) -> None:
    """Check the key of a step.

    Raises:
        InvalidValue: Something in it is out of bounds.
    """
    check_run_id(key.run_id)
    if not isinstance(key.key, str) or not _DIGEST.fullmatch(key.key):
        raise InvalidValue(f"the key of a step is {str(key.key)[:80]!r}: wanted 64 hexadecimal digits")
    check_text(key.family, "family", FAMILY_LENGTH)
    check_text(key.components, "components", COMPONENTS_LENGTH)
    check_time(key.created, "created")


def check_step_key_query(query: StepKeyQuery) -> None:
    """Check a query.

    Raises:
        InvalidValue: The limit or the time is out of bounds.
    """
    check_page_size(query.limit, KEYS_PER_CALL)
    for name, length in (("key", FAMILY_LENGTH), ("family", FAMILY_LENGTH)):
        if (text := getattr(query, name)) is not None:
            check_text(text, name, length)
    if query.before is not None:
        check_time(query.before, "before")
