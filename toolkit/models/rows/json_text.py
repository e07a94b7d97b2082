"""JSON as long as it likes, value by value: rows come out while the rest of the file is not read yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from toolkit.errors import InvalidValue

_BLOCK = 1 << 16
_LONGEST = 1 << 26  # characters of one value
_SPACE = " \t\n\r"
_DECODER = json.JSONDecoder()
_WRAPPED = ("dataframe_split", "dataframe_records", "instances", "inputs")
_SPLIT = ("columns", "index", "data")


class Text(Protocol):
    """What JSON is read from."""

    def read(self, size: int, /) -> str:
        """Return so many characters at most; none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file.

    Attributes:
        value: A record, a list of values, or a value alone.
        columns: The names for a list of values, where the file has them.
    """

    value: Any
    columns: tuple[Any, ...] | None = None


class JsonText:
    """A cursor in a text of JSON.

    Args:
        text: The text.
        name: What it is called in messages.
    """

    def __init__(self, text: Text, name: str) -> None:
        self._text = text
        self._name = name
        self._buffer = ""
        self._at = 0
        self._passed = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is no white space; empty at the end."""
        while True:
            while self._at < len(self._buffer):
                character = self._buffer[self._at]
                if character not in _SPACE:
                    return character
                self._at += 1
            if not self._more(_BLOCK):
                return ""

    def take(self, wanted: str) -> None:
        """Go over a character that must come next.

        Raises:
            InvalidValue: Another one comes.
        """
        found = self.peek()
        if found != wanted:
            raise self._wrong(
                f"wanted {wanted!r}, and {found!r} comes" if found else f"it ends where {wanted!r} is wanted"
            )
        self._at += 1

    def value(self) -> Any:  # noqa: ANN401 - what JSON holds
        """Return the next value, whole.

        Raises:
            InvalidValue: There is none, or it is longer than a row can be.
        """
        self.peek()
        block = _BLOCK
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self._buffer) - 16
                if cut and self._more(block):
                    block *= 2
                    continue
                raise self._wrong(error.msg, error.pos) from None
            except RecursionError:
                raise self._wrong("it is nested too deeply") from None
            if end < len(self._buffer) or not self._more(block):  # a number could go on in the next block
                self._at = end
                return value

    def items(self) -> Iterator[Any]:
        """Give the values of a list, which comes next, one at a time."""
        for _ in self._places("[", "]"):
            yield self.value()

    def keys(self) -> Iterator[str]:
        """Give the keys of an object, which comes next; who gets one takes its value before going on."""
        for _ in self._places("{", "}"):
            key = self.value()
            if not isinstance(key, str):
                raise self._wrong("a key is no text")
            self.take(":")
            yield key

    def skip(self) -> None:
        """Go over the next value; a list in parts."""
        if self.peek() == "[":
            for _ in self._places("[", "]"):
                self.skip()
        else:
            self.value()

    def end(self) -> None:
        """Look that nothing more comes.

        Raises:
            InvalidValue: Something does.
        """
        if self.peek():
            raise self._wrong("something comes after its end")

    def _places(self, first: str, last: str) -> Iterator[None]:
        self.take(first)
        if self.peek() == last:
            self._at += 1
            return
        while True:
            yield
            if self.peek() == last:
                self._at += 1
                return
            self.take(",")
            if self.peek() == last:
                raise self._wrong(f"a comma comes before {last!r}")

    def _more(self, size: int) -> bool:
        """Read on; tell whether there was more."""
        if self._ended:
            return False
        if len(self._buffer) - self._at > _LONGEST:
            raise self._wrong(f"a value has more than {_LONGEST:,} characters")
        block = self._text.read(size)
        if not block:
            self._ended = True
            return False
        self._passed += self._at
        self._buffer = self._buffer[self._at :] + block
        self._at = 0
        return True

    def _wrong(self, what: str, at: int | None = None) -> InvalidValue:
        place = self._passed + (self._at if at is None else at)
        return InvalidValue(f"{self._name} is no JSON of rows: {what} (at character {place + 1})")


def rows(text: Text, name: str) -> Iterator[Row]:
    """Give the rows of JSON: of a list, of columns and data apart, of what MLflow's servers take, or of lines.

    Args:
        text: The JSON.
        name: What it is called in messages.

    Raises:
        InvalidValue: It is nothing of that.
    """
    cursor = JsonText(text, name)
    first = cursor.peek()
    if first == "[":
        yield from (Row(value) for value in cursor.items())
        cursor.end()
    elif first == "{":
        yield from _object(cursor, name)
    else:
        raise InvalidValue(f"{name} is no JSON of rows: wanted a list of records, columns and data, or a record a line")


def lines(text: Text, name: str) -> Iterator[Row]:
    """Give the records of JSON lines; raises what `rows` does."""
    cursor = JsonText(text, name)
    while cursor.peek():
        yield Row(cursor.value())


def _object(cursor: JsonText, name: str) -> Iterator[Row]:
    keys = cursor.keys()
    key = next(keys, None)
    if key in _SPLIT and cursor.peek() == "[":
        yield from _split(cursor, name, key, keys)
        cursor.end()
    elif key in _WRAPPED and cursor.peek() in "[{":
        yield from _wrapped(cursor, name, key)
        for other in keys:
            if other in _WRAPPED or other == "params":
                raise InvalidValue(
                    f"{name} has {key} and {other}: wanted rows in one of them; parameters are given apart"
                )
            cursor.skip()
        cursor.end()
    elif key is None:
        cursor.end()
        yield Row({})
    else:  # the first of the lines
        yield Row({key: cursor.value()} | {each: cursor.value() for each in keys})
        while cursor.peek():
            yield Row(cursor.value())


def _wrapped(cursor: JsonText, name: str, key: str) -> Iterator[Row]:
    if key == "dataframe_split":
        keys = cursor.keys()
        first = next(keys, None)
        if first is not None:
            yield from _split(cursor, name, first, keys)
    elif cursor.peek() == "[":
        yield from (Row(value) for value in cursor.items())
    else:
        raise InvalidValue(
            f"{name} has columns by name in {key}: wanted rows, as in dataframe_split or a list of records"
        )


def _split(cursor: JsonText, name: str, key: str, keys: Iterator[str]) -> Iterator[Row]:
    columns: tuple[Any, ...] | None = None
    done = False
    while True:
        if key == "columns":
            if done:
                raise InvalidValue(f"{name} has its columns after its data: wanted them first")
            found = cursor.value()
            columns = tuple(found) if isinstance(found, list) else None
            if columns is None:
                raise InvalidValue(f"{name} has no list of columns: {found!r:.100}")
        elif key == "data":
            yield from (Row(value, columns) for value in cursor.items())
            done = True
        elif key == "index":
            cursor.skip()
        else:
            raise InvalidValue(f"{name} has {key!r} beside columns and data: wanted columns, index and data")
        following = next(keys, None)
        if following is None:
            return
        key = following
