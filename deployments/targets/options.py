"""The options of a target: what they are called, what they may be, and what is said of those that do not fit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from toolkit.deployments.target import Placement

_TEXT = r"[^\x00-\x1f\x7f]*"
IMAGE = (
    r"[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9{}][a-z0-9._{}-]*)*"  # a host, maybe its port, folders
    r"(:[A-Za-z0-9_{}][A-Za-z0-9_.{}-]{0,127})?(@sha256:[0-9a-f]{64})?"  # a tag, a digest
)
"""A name of an image, in which ``{name}``, ``{version}`` and ``{tag}`` may stand."""
_PLACES = re.compile(r"\{([^}]*)\}?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """An option of a target.

    Attributes:
        name: What it is called.
        default: What it is where it is not given; empty: nothing.
        pattern: What it may be: a regular expression of the whole of it.
        wanted: The same in words.
        missing: Where it must be given: what to do to have one.
    """

    name: str
    default: str = ""
    pattern: str = _TEXT
    wanted: str = "one line of text"
    missing: str = ""


def number(name: str, default: str = "") -> Option:
    """Return an option that is a number from 1 on."""
    return Option(name=name, default=default, pattern="[1-9][0-9]{0,5}", wanted="a number, 1 or more")


def switch(name: str, default: str = "false") -> Option:
    """Return an option that is on or off."""
    return Option(name=name, default=default, pattern="true|false", wanted="true or false")


def choice(name: str, *choices: str) -> Option:
    """Return an option that is one of a few words; the first one where it is not given."""
    return Option(name=name, default=choices[0], pattern="|".join(choices), wanted=" or ".join(choices))


def read_options(target: str, known: Iterable[Option], given: Mapping[str, str]) -> dict[str, str]:
    """Return all options of a target.

    Args:
        target: What it is called.
        known: Its options.
        given: Those that the user gave.

    Raises:
        InvalidValue: One is not known, does not fit, or is missing; the message says which, and what was wanted.
    """
    by_name = {each.name: each for each in known}
    if unknown := sorted(set(given) - set(by_name)):
        raise InvalidValue(f"{target} has no option {unknown[0]!r}: wanted some of {', '.join(sorted(by_name))}")
    found = {}
    for name, option in by_name.items():
        value = str(given.get(name, option.default))
        if not value and option.missing:
            raise InvalidValue(f"{target} takes --option {name}=…: {option.missing}")
        if value and not re.fullmatch(option.pattern, value):
            raise InvalidValue(f"option {name} of {target} is {value[:200]!r}: wanted {option.wanted}")
        found[name] = value
    return found


def check_image(target: str, image: str) -> None:
    """Check what stands in braces in an image's name.

    Raises:
        InvalidValue: It is neither ``{name}`` nor ``{version}`` nor ``{tag}``.
    """
    if wrong := [place for place in _PLACES.findall(image) if place not in ("name", "version", "tag")]:
        raise InvalidValue(
            f"option image of {target} is {image[:200]!r}: in braces only {{name}}, {{version}} and {{tag}} may stand, "
            f"not {wrong[0]!r}"
        )


def image_of(placement: Placement, image: str) -> str:
    """Return the image of a release: the option, with the Bento's name and tag, and the model's version, put in."""
    name, _, tag = placement.bento.tag.partition(":")
    return image.replace("{name}", name).replace("{version}", str(placement.bento.version)).replace("{tag}", tag)
