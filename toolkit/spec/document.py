"""YAML text to plain values that remember where they stand.

The scalar rules are those of YAML 1.1 as PyYAML's safe loader has them (``yes`` is a boolean, ``1e-1`` a text, ``012``
octal), because that is how MLflow reads an MLproject. Apart from it: every key and value has its place in the file,
scalars keep their text as written, and tags, endless aliases and bottomless nesting are refused.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from toolkit.errors import Mark, ProjectError
from toolkit.spec.project import Scalar, Value
from toolkit.spec.source import Spelling

MAX_DEPTH = 60
"""Lists and mappings inside each other."""

MAX_VALUES = 100_000
"""Values of one document, each alias counted as often as it is used."""

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "timestamp", "str"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A value of a document.

    Attributes:
        kind: What it is.
        value: The plain value, whole.
        mark: Where it begins.
        text: A scalar as written, without quotes; of a list or mapping the source text.
        spelling: The source of a scalar.
        items: The values of a list.
        fields: The values of a mapping by key as written, in the file's order.
        key_marks: Where the keys stand.
        duplicates: Keys that stand there more than once, and where they do so again.
    """

    kind: Literal["scalar", "list", "mapping"]
    value: Value
    mark: Mark
    text: str = ""
    spelling: Spelling | None = None
    items: tuple[Node, ...] = ()
    fields: Mapping[str, Node] = field(default_factory=dict)
    key_marks: Mapping[str, Mark] = field(default_factory=dict)
    duplicates: tuple[tuple[str, Mark], ...] = ()

    @property
    def is_null(self) -> bool:
        """Whether nothing, ``~`` or ``null`` is written there."""
        return self.kind == "scalar" and self.value is None

    def mapping(self, what: str) -> Mapping[str, Node]:
        """Return the fields of a mapping; none for null.

        Raises:
            ProjectError: It is something else.
        """
        if self.kind == "mapping" or self.is_null:
            return self.fields
        raise ProjectError(f"{what} must be a mapping (name: value), not {self.described}", mark=self.mark)

    def sequence(self, what: str) -> tuple[Node, ...]:
        """Return the items of a list; none for null.

        Raises:
            ProjectError: It is something else.
        """
        if self.kind == "list" or self.is_null:
            return self.items
        raise ProjectError(f"{what} must be a list, not {self.described}", mark=self.mark)

    def string(self, what: str) -> str:
        """Return a scalar's text as written (``3.10`` stays ``3.10``).

        Raises:
            ProjectError: It is null, a list or a mapping.
        """
        if self.kind == "scalar" and self.value is not None:
            return self.text
        raise ProjectError(f"{what} must be a text, not {self.described}", mark=self.mark)

    @property
    def described(self) -> str:
        """The value for a message."""
        if self.kind == "scalar":
            return "empty" if self.value is None else repr(self.text)
        return f"a {self.kind}"

    def walk(self) -> Iterator[Node]:
        """Return this node and all below it, in the file's order."""
        yield self
        for child in (*self.items, *self.fields.values()):
            yield from child.walk()


def read_text(path: Path, *, file: str | None = None) -> str:
    """Return the text of a file.

    Args:
        path: The file.
        file: What to call it in a message; default: its path.

    Raises:
        ProjectError: It cannot be read, or it is not UTF-8.
    """
    name = file or str(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ProjectError("this is not UTF-8 text: save it as UTF-8", mark=Mark(file=name, line=line)) from error
    except OSError as error:
        raise ProjectError(f"cannot read {name}: {error.strerror or error}") from error


def parse_document(text: str, *, file: str) -> Node | None:
    """Read YAML text.

    Args:
        text: The YAML document.
        file: Its file, as it is named in messages.

    Returns:
        Its value, or ``None`` for an empty document.

    Raises:
        ProjectError: It is not YAML, or it holds what is not allowed: tags, keys that are not scalars, values that
            contain themselves, more than 100,000 values through aliases, nesting deeper than 60.
    """
    text = text.removeprefix("\ufeff")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, file) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ProjectError(
            f"the character {chr(int(error.character))!r} is not allowed in YAML", mark=Mark(file=file, line=line)
        ) from error
    except RecursionError:
        raise ProjectError(f"{file} nests deeper than {MAX_DEPTH} levels") from None
    if root is None:
        return None
    node = _Builder(text, file).build(root)
    return None if node.is_null else node


def _syntax_error(error: yaml.MarkedYAMLError, text: str, file: str) -> ProjectError:
    """Return the one clear line for a syntax error."""
    place = error.problem_mark or error.context_mark
    mark = Mark(file=file, line=place.line + 1, column=place.column + 1) if place else Mark(file=file, line=1)
    problem = error.problem or error.context or "it cannot be read"
    if "'\\t'" in problem:
        problem = "a tab stands where only blanks are allowed"
    elif "but found another document" in problem:
        problem = "there is more than one document in it"
    advice = ""
    if "{%" in text or "cookiecutter." in text:
        advice = "; it looks like a template that has not been filled in"
    elif "${{" in "".join(text.splitlines()[mark.line - 1 : mark.line]):
        advice = "; a text with '${{ }}' needs quotes where it stands in {} or []"
    return ProjectError(f"this is not valid YAML: {problem}{advice}", mark=mark)


class _Builder:
    """Turns PyYAML's nodes into ours; a node that aliases share is turned once."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._scalars = yaml.constructor.SafeConstructor()
        self._done: dict[int, Node] = {}
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node) -> Node:
        """Return ``node`` as ours.

        Raises:
            ProjectError: It holds what is not allowed.
        """
        key = id(node)
        if key in self._done:
            return self._done[key]
        if key in self._open:
            raise ProjectError("a value cannot contain itself", mark=self._mark(node))
        if len(self._open) >= MAX_DEPTH:
            raise ProjectError(f"this nests deeper than {MAX_DEPTH} levels", mark=self._mark(node))
        self._open.add(key)
        children: list[yaml.Node] = []
        if isinstance(node, yaml.ScalarNode):
            built = self._scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            built, children = self._list(node)
        else:
            built, children = self._mapping(node)
        self._open.discard(key)
        self._sizes[key] = 1 + sum(self._sizes[id(child)] for child in children)
        if self._sizes[key] > MAX_VALUES:
            raise ProjectError(f"aliases (*) blow this up to more than {MAX_VALUES:,} values", mark=self._mark(node))
        self._done[key] = built
        return built

    def _mark(self, node: yaml.Node) -> Mark:
        return Mark(file=self._file, line=node.start_mark.line + 1, column=node.start_mark.column + 1)

    def _source(self, node: yaml.Node) -> str:
        return self._text[node.start_mark.index : node.end_mark.index].rstrip()

    def _scalar(self, node: yaml.ScalarNode) -> Node:
        mark = self._mark(node)
        return Node(
            kind="scalar", value=self._plain(node), mark=mark, text=node.value, spelling=self._spelling(node, mark)
        )

    def _spelling(self, node: yaml.ScalarNode, mark: Mark) -> Spelling:
        source = self._source(node)
        if node.style in {"|", ">"}:
            source = source.partition("\n")[2]
            mark = Mark(file=mark.file, line=mark.line + 1, column=1)
        return Spelling(text=source, mark=mark)

    def _plain(self, node: yaml.ScalarNode) -> Scalar:
        if node.tag not in _SCALARS:
            if node.tag == _TAG + "value":  # a lone "=", which YAML 1.1 reserves and nobody means
                return str(node.value)
            raise ProjectError(f"the tag {_tag_name(node.tag)} is not allowed here", mark=self._mark(node))
        try:
            value = self._scalars.construct_object(node)
        except (ValueError, OverflowError) as error:
            raise ProjectError(f"{node.value!r} cannot be read: {error}", mark=self._mark(node)) from error
        if isinstance(value, datetime.date):
            return str(value)  # as it would stand in a command
        return value if value is None or isinstance(value, bool | int | float) else str(value)

    def _list(self, node: yaml.SequenceNode) -> tuple[Node, list[yaml.Node]]:
        self._check_tag(node, "seq")
        items = tuple(self.build(child) for child in node.value)
        built = Node(
            kind="list",
            value=[item.value for item in items],
            mark=self._mark(node),
            text=self._source(node),
            items=items,
        )
        return built, list(node.value)

    def _mapping(self, node: yaml.Node) -> tuple[Node, list[yaml.Node]]:
        self._check_tag(node, "map")
        values: dict[Scalar, Value] = {}
        fields: dict[str, Node] = {}
        marks: dict[str, Mark] = {}
        duplicates: list[tuple[str, Mark]] = []
        own: set[str] = set()
        children: list[yaml.Node] = []
        for key, child, merged in self._pairs(node):
            name, value = str(key.value), self.build(child)
            if name in own and not merged:
                duplicates.append((name, self._mark(key)))
            if not merged:
                own.add(name)
            children.append(child)
            values[self._plain(key)] = value.value
            fields[name] = value
            marks[name] = self._mark(key)
        built = Node(
            kind="mapping",
            value=values,
            mark=self._mark(node),
            text=self._source(node),
            fields=fields,
            key_marks=marks,
            duplicates=tuple(duplicates),
        )
        return built, children

    def _pairs(self, node: yaml.Node) -> list[tuple[yaml.ScalarNode, yaml.Node, bool]]:
        """Return keys, values and whether they came in through ``<<``; those do first, so that others win."""
        merged: list[tuple[yaml.ScalarNode, yaml.Node, bool]] = []
        own: list[tuple[yaml.ScalarNode, yaml.Node, bool]] = []
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ProjectError("a key must be a text, not a list or mapping", mark=self._mark(key))
            if key.tag != _TAG + "merge":
                own.append((key, child, False))
                continue
            self.build(child)
            sources = reversed(child.value) if isinstance(child, yaml.SequenceNode) else [child]
            for source in sources:
                if not isinstance(source, yaml.MappingNode):
                    raise ProjectError("'<<' takes a mapping or a list of mappings", mark=self._mark(key))
                merged += [(name, value, True) for name, value, _ in self._pairs(source)]
        return merged + own

    def _check_tag(self, node: yaml.Node, name: str) -> None:
        if node.tag != _TAG + name:
            raise ProjectError(f"the tag {_tag_name(node.tag)} is not allowed here", mark=self._mark(node))


def _tag_name(tag: str) -> str:
    """Return a tag as it is written (``!!binary``, ``!mine``)."""
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
