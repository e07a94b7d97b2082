"""The protocol of ``/invocations``: bodies of JSON, CSV and parquet to data, and predictions to JSON.

What MLflow's servers take is taken, and the messages that its clients know are said; but no message repeats what came.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidPayload, SchemaMismatch, UnsupportedContentType
from toolkit.models import csv_body, json_body, json_values

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.models.schema import Schema
    from toolkit.models.signature import Signature

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"

_LLM = ("messages", "prompt", "input")
_FIELDS = ", ".join(map(repr, json_body.READERS))
_WANTED = f"The input must be a JSON dictionary with exactly one of the input fields {{{_FIELDS}}}"
_OLD = (
    "IMPORTANT: The MLflow Model scoring protocol has changed in MLflow version 2.0. If you are seeing this error, you "
    "are likely using an outdated scoring request format: send the data under one of these fields."
)
_NO_TABLE = "Failed to parse input as a Pandas DataFrame. Ensure that the input is a valid"


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What a request asks of a model.

    Attributes:
        data: What ``predict`` is given. It is not held against the signature yet.
        params: The parameters of ``predict``; ``None``: none came.
        wrapped: Whether the answer is an object with ``predictions``; requests in the form of chats and completions get
            the prediction itself.
    """

    data: Any
    params: Any = None
    wrapped: bool = True


def read(body: bytes, content_type: str | None, signature: Signature | None = None, *, raw: bool = False) -> Payload:
    """Return what a request's body asks.

    Args:
        body: The body.
        content_type: Its header, as it came; ``None``: there was none.
        signature: The model's; values are brought into its types.
        raw: Whether the model gets the value of ``inputs`` as it came, as one whose ``predict`` has type hints does.

    Raises:
        UnsupportedContentType: It is of another type than JSON, CSV and parquet in UTF-8.
        InvalidPayload: It cannot be read, or a value does not fit the signature.
    """
    kind = media_type(content_type)
    schema = None if signature is None else signature.inputs
    if kind == JSON:
        return of_json(parse_json(body), signature, raw=raw)
    return Payload(data=_of_csv(body, schema) if kind == CSV else _of_parquet(body))


def write(prediction: Any, *, wrapped: bool = True) -> bytes:  # noqa: ANN401 - whatever a model gives
    """Return the body that answers a request.

    Args:
        prediction: What the model gave.
        wrapped: Whether it stands under ``predictions``; see `Payload`.

    Raises:
        InvalidValue: Something in it cannot be JSON.
    """
    return json_values.dumps({"predictions": prediction} if wrapped else prediction)


def media_type(header: str | None) -> str:
    """Return which of the three types a header names.

    Raises:
        UnsupportedContentType: None of them, or with parameters that nobody knows.
    """
    if not header:
        raise UnsupportedContentType(
            f"a request without a Content-Type cannot be read: send {JSON}, {CSV} or {PARQUET}"
        )
    kind, *parameters = (part.strip() for part in header.split(";"))
    named = {
        name.strip().lower(): text.strip().strip('"') for name, _, text in (each.partition("=") for each in parameters)
    }
    named.pop("", None)
    if named.pop("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnsupportedContentType("The scoring server only supports UTF-8")
    if named:
        raise UnsupportedContentType(f"Unrecognized content type parameters: {', '.join(sorted(named))}. {_OLD}")
    if kind.lower() not in (JSON, CSV, PARQUET):
        raise UnsupportedContentType(
            f"This predictor only supports the following content types: Types: {[CSV, JSON, PARQUET]}. Got '{header}'."
        )
    return kind.lower()


def parse_json(body: bytes | str) -> dict[str, Any]:
    """Return the JSON object of a body; ``NaN`` and ``Infinity``, which MLflow's clients send, are taken.

    Raises:
        InvalidPayload: It is no JSON, or no object.
    """
    import orjson  # noqa: PLC0415 - many models are asked without it

    try:
        try:
            read_ = orjson.loads(body)
        except orjson.JSONDecodeError:  # it takes no NaN; what is wrong, the other says
            read_ = json.loads(body)
            json.dumps(read_, ensure_ascii=False).encode()  # half of a pair of surrogates is no text
    except (ValueError, RecursionError) as error:
        at = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        told = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise InvalidPayload(
            f"Invalid input. Ensure that input is a valid JSON formatted string. Error: '{told}{at}'"
        ) from None
    if isinstance(read_, dict):
        return read_
    told = "a list" if isinstance(read_, list) else f"unexpected input type '{type(read_).__name__}'"
    raise InvalidPayload(f"Invalid input. {_WANTED}. Received {told}.")


def of_json(given: Mapping[str, Any], signature: Signature | None = None, *, raw: bool = False) -> Payload:
    """Return what the JSON object of a request asks; arguments as those of `read`.

    Raises:
        InvalidPayload: It is not of the protocol, or a value does not fit the signature.
    """
    if any(name in given for name in _LLM):
        names = {spec.name for spec in signature.params} if signature is not None and signature.params else set()
        own = {name: each for name, each in given.items() if name in names}
        return Payload(data={n: v for n, v in given.items() if n not in names}, params=own, wrapped=False)
    params = given.get("params")
    if raw:
        if "inputs" not in given:
            raise InvalidPayload(
                "Request payload must be a dictionary with 'inputs' key when the model contains a valid type hint. "
                f"Found keys in payload: {json_body.shown(given)}."
            )
        return Payload(data=given["inputs"], params=params)
    formats = [name for name in json_body.READERS if name in given]
    if len(formats) != 1:
        raise InvalidPayload(f"{_WANTED}. Received dictionary with input fields: {json_body.shown(given)}. {_OLD}")
    schema = None if signature is None else signature.inputs
    try:
        return Payload(data=json_body.READERS[formats[0]](given[formats[0]], schema), params=params)
    except SchemaMismatch as problem:
        raise _incompatible(problem) from None


def _incompatible(problem: SchemaMismatch) -> InvalidPayload:
    where = "" if problem.column is None else f"column {problem.column}{problem.path} "
    row = "" if problem.row is None else f", first in row {problem.row} (counted from 0)"
    return InvalidPayload(
        "Invalid input. Data is not compatible with model signature. "
        f"Failed to convert {where}to type '{problem.wanted}'. Error: '{problem.came} came{row}'"
    )


def _of_csv(body: bytes, schema: Schema | None) -> pd.DataFrame:
    try:
        return csv_body.read(body, schema)
    except SchemaMismatch as problem:
        raise _incompatible(problem) from None
    except UnicodeDecodeError as error:
        told = f"{error.reason} at byte {error.start}"
        raise InvalidPayload(
            f"Invalid input. Ensure that input is a valid UTF-8 encoded string. Error: '{told}'"
        ) from None
    except ValueError:  # what pandas says may repeat what came
        raise InvalidPayload(
            f"{_NO_TABLE} CSV-formatted Pandas DataFrame produced using the `pandas.DataFrame.to_csv()` method."
        ) from None


def _of_parquet(body: bytes) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - it reads, and the table is of it

    try:
        return pd.read_parquet(io.BytesIO(body))
    except ImportError:
        raise UnsupportedContentType("a body of parquet is read with pyarrow, which is not installed here") from None
    except (ValueError, OSError, LookupError, TypeError):  # what is broken in it shows in many ways
        raise InvalidPayload(
            f"{_NO_TABLE} Parquet Pandas DataFrame produced using the `pandas.DataFrame.to_parquet()` method."
        ) from None
