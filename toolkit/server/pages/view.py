"""What a table of runs shows, and how: all of it stands in the address."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from toolkit.errors import InvalidValue
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.columns import MOST, Column, read, read_all
from toolkit.tracking.records import Lifecycle, SearchQuery

PAGE = 100
"""Rows of a page."""
NARROWEST, WIDEST = 48, 1_200
"""Pixels of a column."""
USUAL = "usual"
"""What an address says instead of columns, for those that nobody chose."""
_SEVERAL = re.compile(r",(?:[mptas]|min|max):")
GROUPED = ("user", "reason")
"""Attributes of runs that make groups."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunsView:
    """What a table of runs shows.

    Attributes:
        experiment_id: Of which experiment.
        filter: In the grammar of searches.
        sort: By which columns, with whether downwards.
        columns: Which ones; empty: those that were chosen last, else the usual ones.
        usual: Whether its address wants the usual columns, whatever was chosen last.
        group: The column whose values make groups.
        deleted: Whether deleted runs are shown instead of the others.
        parents: Whether runs that are parts of others are shown below those alone.
        after: Where the page before ended.
        base: The run that others are held against.
        widths: Of columns that somebody made wider or narrower, in pixels, by what addresses call them.
    """

    experiment_id: str
    filter: str = ""
    sort: Sequence[tuple[Column, bool]] = ()
    columns: Sequence[Column] = ()
    usual: bool = False
    group: Column | None = None
    deleted: bool = False
    parents: bool = True
    after: str | None = None
    base: str | None = None
    widths: Sequence[tuple[str, int]] = ()

    @classmethod
    def of(cls, asked: Asked, experiment_id: str) -> RunsView:
        """Return the view that an address names.

        Raises:
            InvalidValue: A part of it cannot be read.
        """
        return cls.read(list(asked.request.query_params.multi_items()), experiment_id)

    @classmethod
    def read(cls, pairs: Sequence[tuple[str, str]], experiment_id: str) -> RunsView:
        """Return the view that the pairs behind an address's question mark name.

        Raises:
            InvalidValue: A part of it cannot be read.
        """
        query = dict(pairs)
        order = [
            (read(part.removeprefix("-")), part.startswith("-")) for part in query.get("sort", "").split(",") if part
        ]
        if unknown := [column.id for column, _ in order if not column.field]:
            raise InvalidValue(f"runs cannot be sorted by {unknown[0]}")
        return cls(
            experiment_id=experiment_id,
            filter=query.get("q", "").strip(),
            sort=tuple(order),
            columns=tuple(read_all(_split([value for name, value in pairs if name == "cols" and value != USUAL]))),
            usual=("cols", USUAL) in pairs,
            group=_group(query.get("group", "")),
            deleted=query.get("deleted") == "1",
            parents=query.get("children") != "1",
            after=query.get("after") or None,
            base=query.get("base") or None,
            widths=tuple(_widths([value for name, value in pairs if name == "w"])),
        )

    def search(
        self, *, limit: int = PAGE, fields: Sequence[str] | None = None, everything: bool = False
    ) -> SearchQuery:
        """Return the search that finds its rows.

        Args:
            limit: How many rows at most.
            fields: Which values are loaded.
            everything: Whether parts of runs are found too, whatever the view says.
        """
        filter_ = self.filter
        if self.parents and not self.filter and not everything:
            filter_ = "parent_run_id IS NULL"
        return SearchQuery(
            experiment_ids=[self.experiment_id],
            filter=filter_,
            order_by=[f"{column.field} {'DESC' if down else 'ASC'}" for column, down in self.sort],
            lifecycle=Lifecycle.DELETED if self.deleted else Lifecycle.ACTIVE,
            limit=limit,
            page_token=self.after,
            fields=fields,
        )

    def within(self, value: str | None) -> RunsView:
        """Return the view of the runs of one group.

        Args:
            value: Of the column that makes the groups; ``None`` for the runs that have none.
        """
        assert self.group is not None
        part = f"{self.group.field} IS NULL" if value is None else f"{self.group.field} = {quoted(value)}"
        return replace(self.narrowed(part), group=None)

    def narrowed(self, part: str) -> RunsView:
        """Return the view of those of its runs that a filter finds too."""
        tree = f"({self.filter}) AND " if self.filter else "parent_run_id IS NULL AND " if self.parents else ""
        return replace(self, filter=tree + part, after=None)

    def query(self, **changes: object) -> str:
        """Return what stands behind the question mark; only what differs from the usual.

        Args:
            changes: Fields that are to be other than they are.
        """
        view = replace(self, **changes)  # type: ignore[arg-type]  # names of fields, with values of theirs
        pairs = [
            ("q", view.filter),
            ("sort", ",".join(f"{'-' if down else ''}{column.id}" for column, down in view.sort)),
            ("group", view.group.id if view.group else ""),
            ("deleted", "1" if view.deleted else ""),
            ("children", "" if view.parents else "1"),
            ("base", view.base or ""),
            ("after", view.after or ""),
            *(("cols", text) for text in view.column_texts()),
            *(("w", f"{pixels}~{name}") for name, pixels in view.widths),
        ]
        text = urlencode([(name, value) for name, value in pairs if value])
        return f"?{text}" if text else ""

    def column_texts(self) -> Sequence[str]:
        """Return what addresses say of its columns."""
        return [column.id for column in self.columns] or ([USUAL] if self.usual else [])

    def sorted_by(self, column: Column) -> str:
        """Return how a column sorts, in HTML's words: ``ascending``, ``descending`` or ``none``."""
        for own, down in self.sort:
            if own == column:
                return "descending" if down else "ascending"
        return "none"

    def resorted(self, column: Column, *, first_down: bool = False) -> str:
        """Return the query that sorts by a column; a second time the other way round, a third time not at all."""
        now = self.sorted_by(column)
        first = "descending" if first_down else "ascending"
        if now == "none":
            return self.query(sort=((column, first_down),), after=None)
        if now == first:
            return self.query(sort=((column, not first_down),), after=None)
        return self.query(sort=(), after=None)


def _widths(texts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield the widths of an address; what is none is left out, for a table can be shown all the same."""
    for text in texts[:MOST]:
        pixels, _, name = text.partition("~")
        if name and pixels.isdecimal() and len(pixels) <= len(str(WIDEST)):
            yield name, min(WIDEST, max(NARROWEST, int(pixels)))


def quoted(text: str) -> str:
    """Return a text as filters write it."""
    return "'" + text.replace("'", "''") + "'"


def _group(text: str) -> Column | None:
    if not text:
        return None
    column = read(text)
    if column.kind not in "pta" or (column.kind == "a" and column.key not in GROUPED):
        raise InvalidValue(f"runs cannot be grouped by {text[:100]!r}: wanted p:PARAMETER, t:TAG or a:user")
    return column


def _split(given: Sequence[str]) -> Sequence[str]:
    """Return the columns of an address: repeated, or (where no key has a comma) with commas between them."""
    return [part for text in given for part in (text.split(",") if _SEVERAL.search(text) else [text])]
