"""What names, keys and values may be: MLflow's rules and the texts of its errors.

Too long is refused; to shorten is the caller's decision.
"""

from __future__ import annotations

import json
import operator
import posixpath
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from toolkit.errors import InvalidValue
from toolkit.ids import check_run_id
from toolkit.tracking.number import from_stored, to_stored
from toolkit.tracking.records import ArtifactEntry, DatasetInput, Metric, NewRun, RunQuery

KEY_LENGTH = 250
PARAM_VALUE_LENGTH = 6_000
TAG_VALUE_LENGTH = 8_000
EXPERIMENT_NAME_LENGTH = 500
EXPERIMENT_TAG_VALUE_LENGTH = 20_000
LOCATION_LENGTH = 2_048
REASON_LENGTH = 2_000
ARTIFACT_PATH_LENGTH = 1_024
INPUTS = 1_000
DATASET_LENGTHS = {"name": 500, "digest": 36, "source_type": 36, "source": 65_535}
DATASET_TEXT_LENGTHS = {"schema": 1_048_575, "profile": 16_777_215}
INPUT_TAG_KEY_LENGTH = 255
INPUT_TAG_VALUE_LENGTH = 500
RUNS_PER_PAGE = 50_000
EXPERIMENTS_PER_PAGE = 50_000
POINTS_PER_PAGE = 1_000_000
ARTIFACTS_PER_PAGE = 100_000

_KEY = re.compile(r"[/\w.\- :]*")
_BAD_KEY = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
    "slashes (/)."
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EXPERIMENT_ID = re.compile(r"0|[1-9][0-9]{0,17}")  # one spelling each, and 64 bits hold them all
_INT64 = range(-(2**63), 2**63)
_TIMES = range(2**63)
_SHOWN = 200

Point = tuple[str, int, int, float, int]
"""A metric point as the stores keep it: key, step, timestamp, value, special. Points of one key sort as tuples."""


def check_points(metrics: Sequence[Metric]) -> list[Point]:
    """Return metric points as the stores keep them, if each is in bounds.

    Raises:
        InvalidValue: A key, a value, a step or a timestamp is not.
    """
    points: list[Point] = []
    for index, metric in enumerate(metrics):
        value, step, timestamp = metric.value, metric.step, metric.timestamp
        plain = type(value) is float and type(step) is int and type(timestamp) is int
        if not (plain and step in _INT64 and timestamp in _TIMES):
            value, step, timestamp = _numbers(metric, _prefix("metrics", index, len(metrics)))
        try:
            _known_key(metric.key)
        except (InvalidValue, TypeError):
            check_key(metric.key, _prefix("metrics", index, len(metrics)) + "name", "Metric name")
            raise
        points.append((metric.key, step, timestamp, *to_stored(value)))
    return points


def point_metric(point: Point) -> Metric:
    """Return the metric of a point."""
    key, step, timestamp, value, special = point
    return Metric(key=key, value=from_stored(value, special), timestamp=timestamp, step=step)


def check_params(params: Mapping[str, str]) -> None:
    """Check parameters.

    Raises:
        InvalidValue: A key or a value is out of bounds.
    """
    for index, (key, value) in enumerate(params.items()):
        prefix = _prefix("params", index, len(params))
        check_key(key, prefix + "key", "Param key")
        check_text(value, prefix + "value", PARAM_VALUE_LENGTH, "Param value")


def check_tags(tags: Mapping[str, str | None], *, value_length: int = TAG_VALUE_LENGTH) -> None:
    """Check tags; the value ``None`` stands for a tag to be removed.

    Raises:
        InvalidValue: A key or a value is out of bounds.
    """
    for index, (key, value) in enumerate(tags.items()):
        prefix = _prefix("tags", index, len(tags))
        check_key(key, prefix + "key")
        if value is not None:
            check_text(value, prefix + "value", value_length)


def is_experiment_id(experiment_id: str) -> bool:
    """Tell whether an experiment can have this id."""
    return _EXPERIMENT_ID.fullmatch(experiment_id) is not None


def check_experiment_id(experiment_id: str) -> int:
    """Return the number that the id of an experiment to be made says.

    Raises:
        InvalidValue: It is no id that an experiment can have.
    """
    if not isinstance(experiment_id, str) or not is_experiment_id(experiment_id):
        raise InvalidValue(invalid("experiment_id", experiment_id, "Wanted a number of at most 18 digits."))
    return int(experiment_id)


def check_new_experiment(name: str, artifact_location: str | None, tags: Mapping[str, str]) -> None:
    """Check an experiment that is to be made.

    Raises:
        InvalidValue: Something is out of bounds.
    """
    check_experiment_name(name)
    check_tags(tags, value_length=EXPERIMENT_TAG_VALUE_LENGTH)
    if artifact_location is not None:
        check_text(artifact_location, "artifact_location", LOCATION_LENGTH)


def check_experiment_name(name: str) -> None:
    """Check the name of an experiment.

    Raises:
        InvalidValue: It is empty, too long, or no text.
    """
    if name == "" or not isinstance(name, str):
        raise InvalidValue(f"Invalid experiment name: '{name}'")
    check_text(name, "name", EXPERIMENT_NAME_LENGTH)


def check_key(key: str, path: str, title: str | None = None) -> None:
    """Check the key of a metric, a parameter or a tag.

    Args:
        key: What was given.
        path: Where it stands in the request, for the message.
        title: What the message about its length calls it; default: ``path``.

    Raises:
        InvalidValue: It is empty, too long, has other characters than MLflow allows, or is no clean relative path.
    """
    if not isinstance(key, str) or key == "":
        raise InvalidValue(invalid(path, key, "A key name must be provided."))
    if not _KEY.fullmatch(key):
        raise InvalidValue(invalid(path, key, _BAD_KEY))
    clean = posixpath.normpath(key)
    if clean != key or clean == "." or clean.startswith(("..", "/")):
        raise InvalidValue(
            invalid(
                path,
                key,
                "Names may be treated as files in certain cases, and must not resolve to other names when treated as "
                f"such. This name would resolve to {json.dumps(_shown(clean))}",
            )
        )
    if len(key) > KEY_LENGTH:
        raise InvalidValue(_too_long(title or path, KEY_LENGTH))


def is_key(key: str) -> bool:
    """Tell whether a metric can have this key."""
    try:
        _known_key(key)
    except InvalidValue:
        return False
    return True


def check_text(text: str, path: str, length: int, title: str | None = None) -> None:
    """Check that a value is text that every database can keep, and not too long.

    Raises:
        InvalidValue: It is not.
    """
    if not isinstance(text, str):
        raise InvalidValue(invalid(path, text, f"Hint: Value was of type '{type(text).__name__}', wanted text."))
    if len(text) > length:
        raise InvalidValue(_too_long(title or path, length))
    if "\0" in text:
        raise InvalidValue(invalid(path, text, "Text must not contain the NUL character."))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValue(invalid(path, text, "Text must be valid Unicode, without lone surrogates.")) from None


def check_new_run(new: NewRun) -> None:
    """Check a run that is to be made, with its first tags and parameters.

    Raises:
        InvalidValue: Something is out of bounds.
    """
    check_run_id(new.run_id)
    check_time(new.start_time, "start_time")
    check_text(new.run_name, "run_name", TAG_VALUE_LENGTH)
    check_text(new.user_id, "user_id", TAG_VALUE_LENGTH)
    if new.parent_run_id:
        check_run_id(new.parent_run_id)
    if new.artifact_uri is not None:
        check_text(new.artifact_uri, "artifact_uri", LOCATION_LENGTH)
    if new.reason is not None:
        check_text(new.reason, "reason", REASON_LENGTH)
    check_tags(new.tags)
    check_params(new.params)


def check_query(query: RunQuery) -> None:
    """Check the texts and the page size of a query.

    Raises:
        InvalidValue: One is out of bounds.
    """
    check_page_size(query.limit, RUNS_PER_PAGE)
    if query.deleted_before is not None:
        check_time(query.deleted_before, "deleted_before")
    for name in ("parent_run_id", "run_id_prefix", "run_name"):
        text = getattr(query, name)
        if text is not None:
            check_text(text, name, TAG_VALUE_LENGTH)


def check_inputs(inputs: Sequence[DatasetInput]) -> None:
    """Check the inputs of a run.

    Raises:
        InvalidValue: There are too many, or a text is empty or too long.
    """
    if len(inputs) > INPUTS:
        raise InvalidValue(f"{len(inputs)} inputs were given: wanted at most {INPUTS} a call")
    for index, each in enumerate(inputs):
        prefix = f"{_prefix('datasets', index, len(inputs))}dataset."
        for name, length in DATASET_LENGTHS.items():
            text = getattr(each.dataset, name)
            if text == "":
                raise InvalidValue(invalid(prefix + name, text, "A value must be provided."))
            check_text(text, prefix + name, length)
        for name, length in DATASET_TEXT_LENGTHS.items():
            if (text := getattr(each.dataset, name)) is not None:
                check_text(text, prefix + name, length)
        for key, value in each.tags.items():
            if key == "":
                raise InvalidValue(invalid("tags.key", key, "A key name must be provided."))
            check_text(key, "tags.key", INPUT_TAG_KEY_LENGTH)
            check_text(value, "tags.value", INPUT_TAG_VALUE_LENGTH)


def check_artifacts(entries: Sequence[ArtifactEntry]) -> None:
    """Check entries of the artifact list: clean relative paths, sizes and digests.

    Raises:
        InvalidValue: One is out of bounds.
    """
    for entry in entries:
        check_artifact_path(entry.path)
        if entry.size not in _TIMES or entry.created not in _TIMES:
            raise InvalidValue(invalid("size", entry.size, "Size and time must be nonnegative 64-bit integers."))
        if not _SHA256.fullmatch(entry.sha256):
            raise InvalidValue(invalid("sha256", entry.sha256, "Wanted 64 lower-case hexadecimal digits."))


def check_artifact_path(path: str) -> None:
    """Check the path of an artifact: relative, ``/`` between its parts, no ``.`` or ``..`` among them.

    Raises:
        InvalidValue: It is not.
    """
    check_text(path, "path", ARTIFACT_PATH_LENGTH)
    if _CONTROL.search(path) or any(part in ("", ".", "..") for part in path.split("/")):
        raise InvalidValue(invalid("path", path, "Wanted a relative path such as 'models/model.pkl'."))


def check_page_size(limit: int, most: int) -> None:
    """Check how many items a page shall have.

    Raises:
        InvalidValue: Less than one, or more than ``most``.
    """
    if type(limit) is not int or not 1 <= limit <= most:
        raise InvalidValue(invalid("max_results", limit, f"Wanted an integer from 1 to {most}."))


def check_time(value: int, path: str) -> None:
    """Check a time in milliseconds since 1970 UTC.

    Raises:
        InvalidValue: It is negative, or no 64-bit integer.
    """
    if type(value) is not int or value not in _TIMES:
        raise InvalidValue(invalid(path, value, "Wanted milliseconds since 1970, a nonnegative 64-bit integer."))


def invalid(path: str, value: object, message: str) -> str:
    """Return MLflow's text for a value that is wrong."""
    return f"Invalid value {json.dumps(_shown(value))} for parameter '{path}' supplied: {message}"


@lru_cache(maxsize=10_000)
def _known_key(key: str) -> None:
    """Check a metric's key, once: the same few come again and again."""
    check_key(key, "name", "Metric name")


def _numbers(metric: Metric, prefix: str) -> tuple[float, int, int]:
    """Return value, step and timestamp of a metric that has other types than float and int, or is out of bounds."""
    try:
        if isinstance(metric.value, (bool, str, bytes)):
            raise TypeError
        value = float(metric.value)
    except (TypeError, ValueError, OverflowError):
        hint = f"(timestamp={metric.timestamp}). Please specify value as a valid double (64-bit floating point)"
        raise InvalidValue(invalid(prefix + "value", metric.value, hint)) from None
    about = f"metric '{_shown(metric.key)}' (value={metric.value})."
    hint = f"{about} Timestamp must be a nonnegative long (64-bit integer) "
    timestamp = _integer(metric.timestamp, _TIMES, prefix + "timestamp", hint)
    step = _integer(metric.step, _INT64, prefix + "step", f"{about} Step must be a valid long (64-bit integer).")
    return value, step, timestamp


def _integer(given: object, bounds: range, path: str, hint: str) -> int:
    if not isinstance(given, bool):
        try:
            number = operator.index(given)  # type: ignore[arg-type]  # whatever is an integer, such as numpy's
        except TypeError:
            pass
        else:
            if number in bounds:
                return number
    raise InvalidValue(invalid(path, given, hint))


def _prefix(name: str, index: int, count: int) -> str:
    """Return where an item stands in a request; alone, it came by the request for one."""
    return f"{name}[{index}]." if count > 1 else ""


def _too_long(title: str, length: int) -> str:
    return f"'{title}' exceeds the maximum length of {length} characters"


def _shown(value: object) -> object:
    """Return a value as a message may repeat it: cut, and of a type that JSON has."""
    if isinstance(value, str):
        return value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    return value if isinstance(value, (int, float, bool)) or value is None else repr(value)[:_SHOWN]
