"""From the bodies of requests to the bodies of answers, several at a time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from toolkit.deployments.serving import errors, odd_values, rows
from toolkit.deployments.serving.arrays import array_function
from toolkit.deployments.serving.errors import Answer
from toolkit.errors import InvalidPayload, ToolkitError, UnsupportedContentType
from toolkit.models import payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from toolkit.deployments.serving.sampling import Sampler
    from toolkit.models.loading import LoadedModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the model.

    Attributes:
        body: As it came.
        kind: Its content type, as it came; None where there was none.
        typed: Whether it has the form of ``/predict``, rather than that of ``/invocations``.
    """

    body: bytes
    kind: str | None = payload.JSON
    typed: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """A request whose rows may be asked about together with others'."""

    at: int
    given: Mapping[str, Any]
    rows: rows.Rows


class Scorer:
    """Answers requests by a model.

    Args:
        model: The model.
        most_rows: So many rows are given to it at once at most, where it answers each row for itself.
        sampler: Keeps some of the requests that are answered.
        count: Told how many rows the model was given, each time.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        most_rows: int = 1_000,
        sampler: Sampler | None = None,
        count: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._model, self._most, self._sampler, self._count = model, most_rows, sampler, count
        self._signature = model.metadata.signature
        self._schema = None if self._signature is None else self._signature.inputs
        self._raw = bool(model.metadata.extra.get("is_signature_from_type_hint"))
        self._merges = rows.mergeable(model)
        self._by_array = array_function(model) if self._merges else None
        self._names = () if self._schema is None else tuple(self._schema.input_names())

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - of any model
        """Return what the model says of data; raises what `LoadedModel.predict` does."""
        return self._model.predict(data, params)

    def answers(self, asked: Sequence[Asked]) -> Iterator[tuple[int, Answer]]:
        """Yield the place of each request and its answer, as soon as it is there. Never raises."""
        together: dict[rows.Names, list[_Part]] = {}
        for at, each in enumerate(asked):
            try:
                part = self._read(at, each)
            except Exception as error:  # noqa: BLE001 - one request must not take the others' answers
                yield at, errors.of_error(error)
                continue
            if isinstance(part, Answer):
                yield at, part
            else:
                together.setdefault(part[0], []).append(part[1])
        for names, found in together.items():
            for group in _groups(found, self._most):
                yield from self._together(names, group)

    def _read(self, at: int, asked: Asked) -> Answer | tuple[rows.Names, _Part]:
        """Return a request's answer, or its rows, which may be asked about together with others'."""
        kind = payload.media_type(asked.kind)
        if kind != payload.JSON:
            if asked.typed:
                raise UnsupportedContentType(f"/predict takes {payload.JSON}: send CSV and parquet to /invocations")
            return self._alone(payload.read(asked.body, asked.kind, self._signature, raw=self._raw))
        given = payload.parse_json(asked.body)
        if asked.typed:
            given = self._protocol(given)
        if self._merges and (found := rows.of(given)) is not None:
            return found[0], _Part(at, given, found[1])
        return self._of_json(given)

    def _protocol(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request to ``/predict`` as one to ``/invocations``."""
        name, form = typed_form(self._model)
        if unknown := sorted(set(given) - {name, "params"}):
            raise InvalidPayload(f"/predict knows no field {unknown[0][:100]!r}: wanted {name!r}, and perhaps 'params'")
        if name not in given:
            raise InvalidPayload(f"/predict wants a field {name!r}, and none came")
        data = {"data": given[name]} if form == "dataframe_split" else given[name]
        return {form: data, **({"params": given["params"]} if given.get("params") is not None else {})}

    def _of_json(self, given: Mapping[str, Any]) -> Answer:
        return self._alone(payload.of_json(given, self._signature, raw=self._raw))

    def _alone(self, asked: payload.Payload) -> Answer:
        prediction = self._predicted(asked.data, asked.params)
        self._count(_length(asked.data))
        return self._written(lambda: asked.data, prediction, wrapped=asked.wrapped)

    def _predicted(self, data: Any, params: Any = None) -> Any:  # noqa: ANN401 - of any model
        """Return what the model says.

        Raises:
            ModelRefusal: It fails, and the data have what many models do not take.
        """
        try:
            return self._model.predict(data, params)
        except ToolkitError:
            raise
        except Exception as error:
            if (odd := odd_values.told(data)) is not None:
                raise errors.ModelRefusal(odd) from error
            raise

    def _written(
        self,
        data: Callable[[], Any],
        prediction: Any,  # noqa: ANN401 - of any model
        *,
        wrapped: bool = True,
    ) -> Answer:
        answer = Answer(200, payload.write(prediction, wrapped=wrapped))
        if self._sampler is not None and self._sampler.picks():
            self._sampler.take(data(), prediction)
        return answer

    def _together(self, names: rows.Names, group: list[_Part]) -> Iterator[tuple[int, Answer]]:
        """Yield the answers of requests with the same columns, asked about at once."""
        counts = [len(part.rows) for part in group]
        try:
            table, single = self._asked(names, group, counts)
        except Exception as error:  # noqa: BLE001 - the model's own, or a value of one of them that does not fit
            if len(group) == 1 and not isinstance(error, ToolkitError):
                yield group[0].at, errors.of_error(error)
                return
            single = None
        if single is None:
            yield from ((part.at, self._again(part)) for part in group)
            return
        at = 0
        for part, count, each in zip(group, counts, single, strict=True):
            try:
                yield part.at, self._written(partial(_some, table, at, count), each)
            except Exception as error:  # noqa: BLE001 - what cannot be written as JSON
                yield part.at, errors.of_error(error)
            at += count

    def _asked(self, names: rows.Names, group: list[_Part], counts: list[int]) -> tuple[pd.DataFrame, list[Any] | None]:
        """Return the rows of requests, and each one's predictions; None for these: they cannot be told apart."""
        assert self._schema is not None
        if len(group) == 1:
            table = rows.frame(names, group[0].rows, self._schema)
            return table, [self._in_pieces(names, table)]
        table = rows.frame(names, [row for part in group for row in part.rows], self._schema)
        return table, rows.parts(self._in_pieces(names, table), counts)

    def _in_pieces(self, names: rows.Names, table: pd.DataFrame) -> Any:  # noqa: ANN401 - of any model
        """Return the predictions of a table's rows, of which the model is given so many at once."""
        if len(table) > self._most:
            pieces = []
            for first in range(0, len(table), self._most):
                piece = table.iloc[first : first + self._most]
                pieces.append(self._of_table(names, piece))
                self._count(len(piece))
            if (whole := rows.joined(pieces)) is not None:
                return whole
        prediction = self._of_table(names, table)
        self._count(len(table))
        return prediction

    def _of_table(self, names: rows.Names, table: pd.DataFrame) -> Any:  # noqa: ANN401 - of any model
        """Return the predictions of a table's rows, by an array of them where that does."""
        if self._by_array is not None and names == self._names:
            try:
                return self._by_array(table.to_numpy())
            except Exception:  # what is wrong with them is told below
                logger.debug("the model takes no array of these rows", exc_info=True)
        return self._predicted(table)

    def _again(self, part: _Part) -> Answer:
        """Return the answer to a request of several that could not be asked about at once: in the long way."""
        try:
            return self._of_json(part.given)
        except Exception as error:  # noqa: BLE001 - the model's own, or the client's mistake
            return errors.of_error(error)


def typed_form(model: LoadedModel) -> tuple[str, str]:
    """Return the field that ``/predict`` has for a model's data, and the field of ``/invocations`` that it is."""
    signature = model.metadata.signature
    schema = None if signature is None else signature.inputs
    if schema is None or schema.is_tensor_spec() or model.metadata.extra.get("is_signature_from_type_hint"):
        return "inputs", "inputs"
    return "rows", "dataframe_records" if schema.has_input_names() else "dataframe_split"


def _groups(found: list[_Part], most: int) -> Iterator[list[_Part]]:
    """Yield requests in groups of no more rows than that; a request of more is a group of its own."""
    group: list[_Part] = []
    held = 0
    for part in found:
        if group and held + len(part.rows) > most:
            yield group
            group, held = [], 0
        group.append(part)
        held += len(part.rows)
    if group:
        yield group


def _some(table: pd.DataFrame, first: int, count: int) -> pd.DataFrame:
    return table.iloc[first : first + count]


def _length(data: Any) -> int:  # noqa: ANN401 - of any model
    try:
        return len(data)
    except TypeError:
        return 1
