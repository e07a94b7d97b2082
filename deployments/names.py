"""What deployments may be called, and how long what is remembered of them may be."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from toolkit.deployments.records import Bento, Deployment, Release
from toolkit.errors import InvalidValue
from toolkit.registry.history import REASON_LENGTH, USER_LENGTH
from toolkit.tracking import limits

MESSAGE_LENGTH = 2_000
"""A longer message is cut: what failed is told in one line."""

_TEXT_LENGTH = 2_048
_JSON_LENGTH = 65_536
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ID = re.compile(r"[0-9a-f]{32}")
_VERSIONS = range(1, 2**63)


def check_name(name: str) -> str:
    """Return the name of a deployment: it is part of folders, of containers' names and of hosts'.

    Raises:
        InvalidValue: It can be none.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidValue(
            f"deployment {str(name)[:100]!r}: wanted a name of 1 to 63 letters, digits and . _ -, that begins and "
            "ends with a letter or a digit"
        )
    return name


def is_id(text: str) -> bool:
    """Tell whether a text has the form of a deployment's id."""
    return _ID.fullmatch(text) is not None


def check_deployment(new: Deployment) -> None:
    """Check a deployment that is to be remembered; an empty id is none yet.

    Raises:
        InvalidValue: A name, a text or the configuration cannot be kept.
    """
    check_name(new.name)
    if new.id and not is_id(new.id):
        raise InvalidValue(f"deployment id {new.id[:100]!r}: wanted 32 hexadecimal digits, or nothing")
    check_changes(address=new.address, follow_alias=new.follow_alias, config=new.config, options=new.options)
    check_texts({"target": new.target, "host": new.host})
    limits.check_text(new.message, "message", _JSON_LENGTH)
    limits.check_text(new.created_by, "created_by", USER_LENGTH)
    limits.check_time(new.created_at, "created_at")


def check_changes(
    *,
    message: str | None = None,
    address: str | None = None,
    follow_alias: str | None = None,
    config: Mapping[str, object] | None = None,
    options: Mapping[str, str] | None = None,
    instance: Mapping[str, object] | None = None,
) -> None:
    """Check what is to be changed of a deployment or a release; ``None`` stays as it is.

    Raises:
        InvalidValue: It cannot be kept.
    """
    if message is not None:
        limits.check_text(message, "message", _JSON_LENGTH)
    check_texts({"address": address, "follow_alias": follow_alias})
    for path, values in {"config": config, "options": options, "instance": instance}.items():
        if values is not None:
            limits.check_text(written(values, path), path, _JSON_LENGTH)


def check_texts(texts: Mapping[str, str | None]) -> None:
    """Check texts by the names of their fields; ``None`` is none.

    Raises:
        InvalidValue: One cannot be kept.
    """
    for path, text in texts.items():
        if text is not None:
            limits.check_text(text, path, _TEXT_LENGTH)


def check_release(new: Release) -> None:
    """Check a release that is to be remembered.

    Raises:
        InvalidValue: A text cannot be kept, or the version is no number of one.
    """
    _check_origin(new.model, new.version, new.run_id)
    check_changes(message=new.message, instance=new.instance)
    check_texts({path: getattr(new, path) for path in ("bento", "bento_digest", "image", "image_digest")})
    limits.check_text(new.created_by, "created_by", USER_LENGTH)
    limits.check_text(new.why, "why", REASON_LENGTH)
    limits.check_time(new.created_at, "created_at")


def check_bento(new: Bento) -> None:
    """Check a Bento that is to be remembered.

    Raises:
        InvalidValue: A text cannot be kept, or the version is no number of one.
    """
    _check_origin(new.model, new.version, new.run_id)
    if not new.tag:
        raise InvalidValue("a Bento without a tag: wanted one such as wine-quality:3")
    check_texts({"tag": new.tag, "digest": new.digest})
    limits.check_text(new.created_by, "created_by", USER_LENGTH)
    limits.check_time(new.created_at, "created_at")


def written(values: Mapping[str, object], path: str) -> str:
    """Return values as JSON.

    Raises:
        InvalidValue: They are nothing that JSON can hold.
    """
    try:
        return json.dumps(dict(values), ensure_ascii=False, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"{path} is nothing that JSON can hold: {str(error)[:200]}") from None


def _check_origin(model: str, version: int, run_id: str | None) -> None:
    check_texts({"model": model, "run_id": run_id})
    if not model or version not in _VERSIONS:
        raise InvalidValue(f"{model[:100]!r} version {version}: wanted a registered model's name and a number")
