"""Identifiers and the names that are made up for runs."""

from __future__ import annotations

import re
import secrets
import time
import uuid

from toolkit.errors import InvalidValue

_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")

_ADJECTIVES = (
    "amber able agile airy apt ardent bold brave breezy bright brisk calm candid clever cosmic crisp daring deft "
    "eager early easy fair fancy fast fine fleet fluent fond frank fresh gentle glad golden grand green happy hardy "
    "honest humble jolly keen kind lively loyal lucid lucky mellow merry mild modest neat nimble noble patient placid "
    "plucky polite proud quick quiet rapid ready regal robust rosy sage serene sharp shiny silent silver sleek smart "
    "smooth snug solid spry steady stoic sunny swift tidy tough tranquil trusty upbeat valiant vivid warm wise witty"
).split()
_ANIMALS = (
    "ant ape auk bat bear bee bison boar bream bug calf carp cat chub cod colt cow crab crane crow deer dog dove "
    "duck eel elk emu fawn finch fish flea fly foal fowl fox frog gnat goat goose grouse gull hare hawk hen heron hog "
    "horse hound ibis jay kit kite koi lamb lark loon lynx mare mink mole moose moth mouse mule newt owl ox perch "
    "pig pike pony pug quail ram rat raven ray robin rook seal shad shark sheep shrew shrike skink slug smelt snail "
    "snake snipe sow sponge squid stag stork swan tern toad trout turtle vole wasp whale wolf worm wren yak zebra"
).split()


def new_run_id() -> str:
    """Return a fresh run id: 32 hexadecimal digits, as MLflow's."""
    return uuid.uuid4().hex


def random_run_name() -> str:
    """Return a name such as ``brave-owl-412`` for a run that was given none."""
    rest, number = divmod(secrets.randbits(64), 1000)  # asked for once: the system's randomness is slow here and there
    rest, adjective = divmod(rest, len(_ADJECTIVES))
    return f"{_ADJECTIVES[adjective]}-{_ANIMALS[rest % len(_ANIMALS)]}-{number}"


def is_run_id(text: str) -> bool:
    """Tell whether ``text`` has the form of a run id (MLflow's rule: letters, digits, ``_`` and ``-``)."""
    return _RUN_ID.fullmatch(text) is not None


def check_run_id(text: str) -> str:
    """Return ``text`` if it has the form of a run id.

    Raises:
        InvalidValue: It has not.
    """
    if not is_run_id(text):
        raise InvalidValue(f"{text!r} is not a run id: letters, digits, '_' and '-', at most 256 of them")
    return text


def now_ms() -> int:
    """Return the time now in milliseconds since 1970-01-01 UTC, the unit of every time in the stores."""
    return time.time_ns() // 1_000_000
