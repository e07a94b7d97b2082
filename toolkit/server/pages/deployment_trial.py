"""What a deployment is asked on its page: a form for the fields of its signature, or JSON; and what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue
from toolkit.server.pages.indented import indented

if TYPE_CHECKING:
    from toolkit.server.pages.model_files import Contract, Field

MOST = 40
"""Columns of a form; a wider table is asked in JSON."""

READ = 4 << 20
"""Bytes of an answer that are read."""

_WHOLE = ("integer", "long")
_NUMBERS = (*_WHOLE, "float", "double")
_SIMPLE = (*_NUMBERS, "string", "boolean", "datetime")
_LARGEST = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One field of the form.

    Attributes:
        key: What the form calls it.
        name: The column's or the parameter's name.
        type: What it is, as the signature says.
        kind: ``number``, ``text`` or ``boolean``.
        required: Whether it must be given.
        value: What stands in it at first.
    """

    key: str
    name: str
    type: str
    kind: str
    required: bool
    value: str


def entries(contract: Contract, typed: Mapping[str, str] | None = None) -> Sequence[Entry]:
    """Return the fields of a form for a model; none where its inputs are no columns of simple values, or too many.

    Args:
        contract: What the model takes; its example fills the form.
        typed: What was sent, which fills it then.
    """
    columns, params = contract.of("input"), contract.of("parameter")
    if not columns or len(columns) > MOST or any(each.type not in _SIMPLE for each in columns):
        return []
    first = dict(zip(contract.columns, contract.rows[0], strict=False)) if contract.rows else {}
    found = [_entry(f"c{at}", each, first.get(each.name, ""), typed) for at, each in enumerate(columns)]
    simple = [each for each in params if each.type in _SIMPLE]
    return found + [_entry(f"p{at}", each, "", typed) for at, each in enumerate(simple)]


def _entry(key: str, field: Field, value: str, typed: Mapping[str, str] | None) -> Entry:
    kind = "number" if field.type in _NUMBERS else "boolean" if field.type == "boolean" else "text"
    return Entry(
        key=key,
        name=field.name,
        type=field.type + (f", else {field.default}" if field.default else ""),
        kind=kind,
        required=field.required,
        value=value if typed is None else typed.get(key, ""),
    )


def body_of(contract: Contract, form: Mapping[str, str]) -> str:
    """Return what a form asks, as ``/invocations`` takes it.

    Raises:
        InvalidValue: A value does not fit its column.
    """
    given = [(each, form.get(each.key, "").strip()) for each in entries(contract)]
    cells = [(each, text) for each, text in given if each.key[0] == "c" and (text or each.required)]
    told: dict[str, Any] = {
        "dataframe_split": {
            "columns": [each.name for each, _ in cells],
            "data": [[_value(each, text) for each, text in cells]],
        }
    }
    params = {each.name: _value(each, text) for each, text in given if each.key[0] == "p" and text}
    return json.dumps({**told, **({"params": params} if params else {})}, ensure_ascii=False)


def _value(entry: Entry, text: str) -> object:
    kind = entry.type.partition(",")[0]
    if kind == "boolean":
        if text not in ("true", "false"):
            raise InvalidValue(f"{entry.name} is {text[:50]!r}: wanted true or false")
        return text == "true"
    if kind in _NUMBERS:
        try:
            return int(text) if kind in _WHOLE else float(text)
        except ValueError:
            wanted = "a whole number" if kind in _WHOLE else "a number"
            raise InvalidValue(f"{entry.name} is {text[:50]!r}: wanted {wanted}") from None
    return text


def shown(answer: bytes) -> str:
    """Return an answer as it is shown: JSON with its parts on lines of their own, cut where it is too long.

    Args:
        answer: Its bytes; where there are more than `READ`, these are not all of it.
    """
    text = answer.decode(errors="replace")
    if len(answer) > READ:
        return f"{text[:_LARGEST]}\n… the answer has more than {READ >> 20} MB: it was not read to its end"
    text = indented(text)
    return text if len(text) <= _LARGEST else f"{text[:_LARGEST]}\n… {len(text) - _LARGEST} characters more"
