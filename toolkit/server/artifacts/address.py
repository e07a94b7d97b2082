"""Which artifact a request means: a run's or a logged model's, and nothing else below the root."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes

from toolkit.artifacts.key import key_parts
from toolkit.errors import Forbidden, InvalidValue
from toolkit.ids import is_run_id

_ARTIFACTS = "artifacts"
_MODELS = "models"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A place of the proxy, such as ``1/0f…/artifacts/model.pkl``. That it exists is not said.

    Attributes:
        folder: Key below the root of all artifacts of the run or model: ``1/0f…/artifacts``.
        owner: The run's or the model's id.
        is_model: Whether it is a model's.
        path: Relative to ``folder``; empty for the folder itself.
    """

    folder: str
    owner: str
    is_model: bool
    path: str

    @property
    def key(self) -> str:
        """Its key in the artifact store."""
        return f"{self.folder}/{self.path}" if self.path else self.folder


def read(key: str) -> Address:
    """Return what a key of the proxy means.

    Keys are ``<experiment>/<run>/artifacts/<path>`` and ``<experiment>/models/<model>/artifacts/<path>``; what stands
    for the experiment may have several parts, where its location was chosen.

    Raises:
        InvalidValue: It is no clean key.
        Forbidden: It is neither a run's nor a model's.
    """
    parts = key_parts(key)
    for place, part in enumerate(parts):
        if part == _ARTIFACTS and place > 0 and is_run_id(parts[place - 1]):
            return Address(
                folder="/".join(parts[: place + 1]),
                owner=parts[place - 1],
                is_model=place > 1 and parts[place - 2] == _MODELS and parts[place - 1].startswith("m-"),
                path="/".join(parts[place + 1 :]),
            )
    raise Forbidden(
        f"{_short(key)!r} is no place of a run's or a model's artifacts: wanted <experiment>/<run>/artifacts/<path>"
    )


def of_path(raw: bytes) -> str:
    """Return the key that the end of a request's path says: decoded once, and never again.

    Raises:
        InvalidValue: It is no UTF-8.
    """
    return _decoded(unquote_to_bytes(raw))


def of_query(query: bytes, *names: str) -> dict[str, str]:
    """Return some of the fields of a query, each decoded once.

    Raises:
        InvalidValue: One is no UTF-8.
    """
    try:
        fields = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidValue("the query is not percent-encoded UTF-8") from None
    return {name: value for name, value in fields if name in names}


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidValue("the path is not percent-encoded UTF-8") from None


def _short(key: str) -> str:
    return key if len(key) <= 200 else f"{key[:200]}…"
