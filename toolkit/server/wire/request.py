"""A request of MLflow's wire, read as its clients write it.

Python's, R's and Java's clients send what protobuf's JSON reading takes: integers as text or with a fraction of zero,
NaN and infinities as text, enums by name or number, field names in both spellings. The rules and the texts of the
errors are MLflow 3.17's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request

from toolkit.errors import InvalidValue
from toolkit.tracking.limits import invalid

T = TypeVar("T")

BODY = "toolkit.body"
"""Where a request's scope has its body, once that was read (`toolkit.server.guard`)."""

_CAMEL = re.compile(r"[A-Z]")
_JSON = "application/json"
_INT64 = range(-(2**63), 2**63)
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": -float("inf"), "Inf": float("inf")}
_SPECIAL.update({"inf": float("inf"), "-Inf": -float("inf"), "-inf": -float("inf")})


def check_type(request: Request) -> None:
    """Check that the body of a request says that it is JSON.

    Raises:
        InvalidValue: It says nothing of the kind.
    """
    given = request.headers.get("content-type")
    if given is None and request.method in ("DELETE", "PATCH"):  # which may have no body
        return
    if given is None:
        raise InvalidValue("Bad Request. Content-Type header is missing.")
    if given.partition(";")[0].strip().lower() != _JSON:
        raise InvalidValue(f"Bad Request. Content-Type must be one of ['{_JSON}'].")


class Fields:
    """The fields of a request, or of an object in one.

    Args:
        values: By name, as they came.
        path: Where the object stands in the request, for messages: empty, or such as ``metrics[3].``.
    """

    __slots__ = ("_path", "_values")

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        for name, value in values.items():
            snake = name if name.islower() else _CAMEL.sub(_snake, name)
            if value is None:
                continue
            if snake in self._values:
                raise InvalidValue(f"the field {snake!r} was given twice, in two spellings")
            self._values[snake] = value

    @classmethod
    def of_body(cls, body: bytes) -> Fields:
        """Read the body of a request; one that is no JSON object counts as empty, as in MLflow."""
        try:
            value = _parsed(body) if body else {}
            if isinstance(value, str):  # very old clients encode twice
                value = json.loads(value)
        except (ValueError, RecursionError):
            value = {}
        return cls(value if isinstance(value, dict) else {})

    @classmethod
    def of_query(cls, query: bytes, lists: Sequence[str] = ()) -> Fields:
        """Read the query of a request; the fields named in ``lists`` may be repeated."""
        values: dict[str, Any] = {}
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if name in lists:
                values.setdefault(name, []).append(value)
            else:
                values[name] = value
        return cls(values)

    def has(self, name: str) -> bool:
        """Tell whether a field was given."""
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """Return a field that is text."""
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, value)
        return value

    def maybe_text(self, name: str) -> str | None:
        """Return a field that is text; ``None`` if it was not given."""
        return self.text(name) if name in self._values else None

    def needed(self, name: str) -> str:
        """Return a field that is text and must be given, and not be empty."""
        value = self.text(name)
        if not value:
            raise self.missing(name)
        return value

    def number_text(self, name: str) -> str:
        """Return a field that must be given and is text, though it says a number; a number is taken too."""
        value = self._values.get(name)
        if type(value) is int:
            return str(value)
        return self.needed(name)

    def run_id(self) -> str:
        """Return the run: ``run_id``, or ``run_uuid`` as older clients say."""
        value = self.text("run_id") or self.text("run_uuid")
        if not value:
            raise self.missing("run_id")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a field that is a 64-bit integer: a number, or one in text, also with a fraction of zero."""
        if name not in self._values:
            if default is None:
                raise self.missing(name)
            return default
        value = self._values[name]
        number = _integer(value)
        if number is None or number not in _INT64:
            raise self.wrong(name, value)
        return number

    def maybe_integer(self, name: str) -> int | None:
        """Return a field that is a 64-bit integer; ``None`` if it was not given."""
        return self.integer(name) if name in self._values else None

    def double(self, name: str) -> float:
        """Return a field that is a floating-point number: a number, or one in text, also NaN and the infinities."""
        if name not in self._values:
            raise self.missing(name)
        value = self._values[name]
        if type(value) is float or type(value) is int:
            return _bounded(value, self, name)
        if isinstance(value, str):
            if value in _SPECIAL:
                return _SPECIAL[value]
            try:
                number = float(value)
            except ValueError:
                raise self.wrong(name, value) from None
            if number == number and value.strip().lower().lstrip("+-") not in ("inf", "infinity"):
                return _bounded(number, self, name)
        raise self.wrong(name, value)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a field that is true or false; in text too, as R's client writes it."""
        value = self._values.get(name, default)
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise InvalidValue(f"Invalid boolean value: {value}, must be 'true' or 'false'.")

    def choice(self, name: str, by_number: Mapping[int, T], by_name: Mapping[str, T], default: T) -> T:
        """Return a field that is one of some names, or its number."""
        if name not in self._values:
            return default
        value = self._values[name]
        if isinstance(value, str) and value in by_name:
            return by_name[value]
        number = _integer(value)
        if number is not None and number in by_number:
            return by_number[number]
        raise self.wrong(name, value)

    def texts(self, name: str) -> list[str]:
        """Return a field that is a list of texts."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, value)
        return value

    def items(self, name: str) -> list[Fields]:
        """Return a field that is a list of objects."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(name, value)
        return [Fields(item, f"{self._path}{name}[{index}].") for index, item in enumerate(value)]

    def raw_items(self, name: str) -> list[dict[str, Any]]:
        """Return a field that is a list of objects, as they came: for long lists, whose common form is read quickly."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or not all(type(item) is dict for item in value):
            raise self.wrong(name, value)
        return value

    def inner(self, name: str) -> Fields:
        """Return a field that is an object."""
        value = self._values.get(name, {})
        if not isinstance(value, dict):
            raise self.wrong(name, value)
        return Fields(value, f"{self._path}{name}.")

    def pairs(self, name: str) -> list[tuple[str, str]]:
        """Return a list of objects with ``key`` and ``value``, such as tags."""
        return [(item.text("key"), item.text("value")) for item in self.items(name)]

    def missing(self, name: str) -> InvalidValue:
        """Return the error for a field that must be given."""
        return InvalidValue(
            f"Missing value for required parameter '{self._path}{name}'. See the API docs for more information about "
            "request parameters."
        )

    def wrong(self, name: str, value: object) -> InvalidValue:
        """Return the error for a field of another type than it must have."""
        hint = f" Hint: Value was of type '{type(value).__name__}'. See the API docs for more information about "
        return InvalidValue(invalid(self._path + name, value, f"{hint}request parameters."))


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - a JSON document
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:  # it knows no NaN, as Python's own clients write it
        return json.loads(body)


def _snake(match: re.Match[str]) -> str:
    return "_" + match.group().lower()


def _bounded(value: float, fields: Fields, name: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise fields.wrong(name, value) from None
    if number in (float("inf"), -float("inf")):
        raise fields.wrong(name, value)  # 1e400: what was meant cannot be kept
    return number


def _integer(value: object) -> int | None:
    if type(value) is int:
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None
