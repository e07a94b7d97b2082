"""A choice of steps as text: ``train+``, ``+promote and status:failed``. The command line and the pages read the same.

train           the step of this name; where there is none, all with ``train`` in their names; ``*`` stands for any
train+  train+2   and all that come after it, or two steps far
+train  2+train   and all that it needs, or two steps back
status:failed   steps in this state; several as ``failed,lost``
not …  …and…  …or…  (…)   the usual; of words side by side each is enough
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from toolkit.errors import InvalidValue
from toolkit.spec.suggestion import hint

LONGEST = 2_000
"""Characters that a choice may have."""
STATES = ("failed lost killed running retrying waiting scheduled skipped finished cached pruned").split()
"""States that a choice may name."""

_DEEPEST = 50
_AROUND = 60  # characters that a message shows on each side of what is wrong
_TOKEN = re.compile(r"""\s*(?:(?P<mark>[(),])|(?P<word>[Ss]tatus:[^\s()"']*|(?:"[^"]*"|'[^']*'|[^\s(),"'])+))""")
_SHAPE = re.compile(r"(?:(?P<back>\d*)\+)?(?P<name>.+?)(?:\+(?P<on>\d*))?", re.DOTALL)


class _Token(NamedTuple):
    text: str
    at: int


@dataclass(frozen=True, kw_only=True)
class Choosable:
    """Steps of which some are chosen.

    Attributes:
        names: The steps, in their order.
        links: Which come after which: the one that comes first, and the one that comes after it.
        states: The words of each step's states, in small letters; ``None`` where nothing has run.
    """

    names: Sequence[str]
    links: Iterable[tuple[str, str]]
    states: Mapping[str, Collection[str]] | None = None


def choose(text: str, steps: Choosable) -> Sequence[str]:
    """Return the steps that a text chooses, in their order; all of them where it is empty.

    Args:
        text: What is chosen; the module says how it is written.
        steps: Of what.

    Raises:
        InvalidValue: It cannot be read, names a state that there is none of, or names a step exactly that is not there.
    """
    if len(text) > LONGEST:
        raise InvalidValue(f"the choice of steps has {len(text):,} characters: wanted at most {LONGEST:,}")
    if not text.strip():
        return list(steps.names)
    found = _Reader(text, steps).read()
    return [name for name in steps.names if name in found]


class _Reader:
    """Reads a choice from left to right, and chooses meanwhile."""

    def __init__(self, text: str, steps: Choosable) -> None:
        self._text = text
        self._steps = steps
        self._all = frozenset(steps.names)
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0
        self._after: dict[str, list[str]] = {name: [] for name in steps.names}
        self._before: dict[str, list[str]] = {name: [] for name in steps.names}
        for source, target in steps.links:
            if source in self._all and target in self._all:
                self._after[source].append(target)
                self._before[target].append(source)

    def read(self) -> frozenset[str]:
        """Return what the whole text chooses."""
        found = self._either()
        if (token := self._peek()) is not None:
            raise self._wrong(token.at, f"{token.text!r} closes nothing")
        return found

    def _split(self) -> Iterable[_Token]:
        at = 0
        end = len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None:
                start = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                raise self._wrong(start, "a quote is not closed")
            yield _Token(match.group("mark") or match.group("word"), match.start(match.lastgroup or 0))
            at = match.end()

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _is(self, *words: str) -> bool:
        token = self._peek()
        return token is not None and token.text.lower() in words

    def _either(self) -> frozenset[str]:
        found = self._both()
        while (token := self._peek()) is not None and token.text != ")":
            if self._is("or", ","):
                self._next += 1
            found |= self._both()
        return found

    def _both(self) -> frozenset[str]:
        found = self._one()
        while self._is("and"):
            self._next += 1
            found &= self._one()
        return found

    def _one(self) -> frozenset[str]:
        token = self._peek()
        if token is None or self._is("and", "or", ",", ")"):
            at = len(self._text.rstrip()) if token is None else token.at
            raise self._wrong(at, "wanted a step's name, a state or (")
        self._next += 1
        if token.text.lower() != "not" and token.text != "(":
            return self._word(token)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(token.at, "this is too deep")
        if token.text == "(":
            found = self._either()
            if not self._is(")"):
                raise self._wrong(token.at, "this is not closed")
            self._next += 1
        else:
            found = self._all - self._one()
        self._depth -= 1
        return found

    def _word(self, token: _Token) -> frozenset[str]:
        field, colon, value = token.text.partition(":")
        if colon and field.lower() == "status":
            return self._in_states(value, token.at + len(field) + 1)
        shape = _SHAPE.fullmatch(token.text)
        assert shape is not None
        back, name, on = shape.group("back", "name", "on")
        found = self._named(name, token.at + shape.start("name"), exactly=back is not None or on is not None)
        chosen = set(found)
        if on is not None:
            chosen |= _reach(found, self._after, int(on) if on else None)
        if back is not None:
            chosen |= _reach(found, self._before, int(back) if back else None)
        return frozenset(chosen)

    def _named(self, name: str, at: int, *, exactly: bool) -> frozenset[str]:
        plain = name.replace('"', "").replace("'", "")
        if plain in self._all:
            return frozenset((plain,))
        wanted = plain.casefold()
        if "*" in wanted:
            found = frozenset(each for each in self._steps.names if fnmatchcase(each.casefold(), _escaped(wanted)))
        else:
            found = frozenset(each for each in self._steps.names if wanted in each.casefold())
        if not found and exactly:
            raise self._wrong(at, f"there is no step {plain[:100]!r}: {hint(plain, self._steps.names)}")
        return found

    def _in_states(self, value: str, at: int) -> frozenset[str]:
        if self._steps.states is None:
            raise self._wrong(at, "nothing has run yet: no step has a state")
        words = [each.lower() for each in value.split(",") if each]
        if not words:
            raise self._wrong(at, "wanted a state, such as failed")
        known = {word for each in self._steps.states.values() for word in each}
        for word in words:
            if word not in known and word not in STATES:
                raise self._wrong(at, f"there is no state {word[:50]!r}: {hint(word, STATES)}")
        return frozenset(
            name for name in self._steps.names if not set(words).isdisjoint(self._steps.states.get(name, ()))
        )

    def _wrong(self, at: int, message: str) -> InvalidValue:
        line = re.sub(r"[\s\x00-\x1f\x7f]", " ", self._text[max(0, at - _AROUND) : at + _AROUND])
        return InvalidValue(f"steps cannot be chosen so: {message}\n  {line}\n  {' ' * min(at, _AROUND)}^")


def _escaped(pattern: str) -> str:
    """Return a pattern in which only stars are special."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _reach(names: Collection[str], neighbours: Mapping[str, Sequence[str]], far: int | None) -> set[str]:
    """Return all that is reached from steps, at most so far."""
    found = set(names)
    edge = set(names)
    while edge and far != 0:
        edge = {other for name in edge for other in neighbours[name]} - found
        found |= edge
        far = None if far is None else far - 1
    return found
