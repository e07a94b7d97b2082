"""The key of a step's run: one digest over all that its results depend on, and what differs between two of them.

The key is defined over values alone, never over where things lie: the same project with the same data has the same key
on another machine, and so a team takes results over from each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields

from toolkit.errors import InvalidValue
from toolkit.spec.expression import OutputRef

_FORMAT = 1
_LONGEST = 2_000
"""Characters of a value that are kept as they are; of a longer one its digest is."""
_MANY_KEYS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """What the results of a step's run depend on.

    Attributes:
        command: The rendered command; of a path only its last part stands in it.
        strict: Whether it runs under ``set -euo pipefail``.
        parameters: Values as text, by parameter; of a path the last part.
        code: Digest over the files that the command may read.
        environment: Digest of the environment's lock.
        inputs: Digest of what a parameter's path or artifact holds, by parameter.
        outputs: Declared paths of files that it leaves, by name.
        metrics: Declared files of metrics.
        before: Keys of the runs of the steps before it, by step.
    """

    command: str
    strict: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    environment: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[str] = ()
    before: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The digest over all of it, 64 hexadecimal digits. The order in which mappings were filled does not matter."""
        plain = asdict(self)
        plain["metrics"] = list(self.metrics)
        plain["before"] = {name: sorted(keys) for name, keys in self.before.items()}
        text = json.dumps([_FORMAT, plain], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Ingredients:
    """What is kept with the key of a run.

    Attributes:
        components: What the key is made of.
        outputs: What the run left: path and digest, by output.
    """

    components: Components
    outputs: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def as_text(self) -> str:
        """Return it as JSON. Long values are shortened: it explains a key, which is not computed from it again."""
        shown = asdict(self.components)
        shown["command"] = abridged(self.components.command)
        shown["parameters"] = {name: abridged(value) for name, value in self.components.parameters.items()}
        shown["metrics"] = list(self.components.metrics)
        shown["before"] = {name: _few(keys) for name, keys in self.components.before.items()}
        return json.dumps(
            {"format": _FORMAT, "components": shown, "outputs": {k: list(v) for k, v in self.outputs.items()}},
            sort_keys=True,
        )

    @classmethod
    def of_text(cls, text: str) -> Ingredients:
        """Return what `as_text` gave.

        Raises:
            InvalidValue: It is of another form: a newer version's.
        """
        try:
            told = json.loads(text)
            known = {each.name for each in fields(Components)}
            components = Components(**{name: value for name, value in told["components"].items() if name in known})
            outputs = {name: (str(path), str(digest)) for name, (path, digest) in told["outputs"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InvalidValue("the components of a step's key cannot be read: they are another version's") from None
        return cls(components=components, outputs=outputs)


def abridged(text: str) -> str:
    """Return a text that is not too long to be kept, and that no database refuses; equal ones stay equal."""
    plain = text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    if len(plain) <= _LONGEST:
        return plain
    return f"{plain[:_LONGEST]}… (sha256 {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()})"


def _few(keys: Sequence[str]) -> list[str]:
    """Return keys of one step, or their digest where they are many."""
    if len(keys) <= _MANY_KEYS:
        return sorted(keys)
    return [f"{len(keys)} keys {hashlib.sha256(' '.join(sorted(keys)).encode()).hexdigest()}"]


def value_text(value: object) -> str:
    """Return a parameter's value as the text that stands for it in a key.

    Mappings and lists are written as JSON, in one order; an artifact by the end of its path, for its digest is among
    the inputs.
    """
    if isinstance(value, OutputRef):
        return value.path.rpartition("/")[2]
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(_plain(value), sort_keys=True)
    return "" if value is None else str(value)


def _plain(value: object) -> object:
    if isinstance(value, OutputRef):
        return value_text(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float) or value is None else str(value)


# -- what differs ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One difference between two keys.

    Attributes:
        kind: What differs: ``command``, ``parameter``, ``code``, ``environment``, ``input``, ``outputs``, ``before``.
        name: Which one: a parameter, a step; empty where there is but one.
        old: What it was; ``None`` where it was not there.
        new: What it is; ``None`` where it is no longer there.
    """

    kind: str
    name: str = ""
    old: str | None = None
    new: str | None = None

    def __str__(self) -> str:
        """Say it in a few words."""
        match self.kind:
            case "parameter":
                return f"parameter {self.name}: {_shown(self.old)} -> {_shown(self.new)}"
            case "input":
                return f"the content of {self.name}"
            case "before":
                return f"step {self.name} before it"
            case "code":
                return "the code"
            case "environment":
                return "the environment"
            case "outputs":
                return "the declared outputs"
            case _:
                return "the command"


def changes(old: Components, new: Components) -> list[Change]:
    """Return what differs between two keys; empty for equal ones.

    A command that differs only because a parameter does is not told apart from it.
    """
    found = list(_in_mapping("parameter", old.parameters, new.parameters))
    found += _in_mapping("input", old.inputs, new.inputs)
    if (old.command, old.strict) != (new.command, new.strict) and not found:
        found.append(Change(kind="command", old=_spelled(old), new=_spelled(new)))
    if old.code != new.code:
        found.append(Change(kind="code", old=old.code, new=new.code))
    if old.environment != new.environment:
        found.append(Change(kind="environment", old=old.environment, new=new.environment))
    if (dict(old.outputs), list(old.metrics)) != (dict(new.outputs), list(new.metrics)):
        found.append(Change(kind="outputs", old=_declared(old), new=_declared(new)))
    found += _in_mapping("before", _joined(old.before), _joined(new.before))
    return found


def _in_mapping(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Change(kind=kind, name=name, old=old.get(name), new=new.get(name))


def _joined(before: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {name: " ".join(sorted(keys)) for name, keys in before.items()}


def _spelled(components: Components) -> str:
    return f"set -euo pipefail; {components.command}" if components.strict else components.command


def _declared(components: Components) -> str:
    outputs = ", ".join(f"{name}: {path}" for name, path in sorted(components.outputs.items()))
    return f"outputs {{{outputs}}}, metrics [{', '.join(components.metrics)}]"


def _shown(value: str | None) -> str:
    if value is None:
        return "nothing"
    line = " ".join(value.split())
    return repr(line if len(line) <= 60 else line[:59] + "…")
