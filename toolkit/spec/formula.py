"""The grammar of expressions: one expression's text to a checked syntax tree.

Python's own parser reads it; what is not on the list of allowed nodes is refused here, before anything is evaluated.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from toolkit.spec.suggestion import hint, listing

MAX_LENGTH = 4000
"""Characters of one expression."""

MAX_DEPTH = 60
"""Nesting of one expression."""

NAMES = ("parameters", "steps", "run")
"""The names that stand for values."""

FUNCTIONS = "abs best float int len list max min range round sorted str sum zip".split()
"""The functions."""

KEYWORDS = {"sorted": ("reverse",), "best": ("metric", "mode"), "round": ("ndigits",)}
"""Arguments that may be given by name."""

_ALLOWED: tuple[type[ast.AST], ...] = (
    *(ast.Constant, ast.Name, ast.Load, ast.Attribute, ast.Subscript, ast.Slice, ast.Call, ast.keyword),
    *(ast.List, ast.Tuple, ast.Dict, ast.IfExp, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.Compare, ast.Eq, ast.NotEq),
    *(ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot),
)


class Flaw(Exception):
    """What is wrong with an expression, and where in its text.

    Args:
        message: One line.
        line: Line of the spot, from 0, within the expression.
        column: Column of the spot in characters, from 0, within that line.
        placed: Whether the spot is known.
    """

    def __init__(self, message: str, *, line: int = 0, column: int = 0, placed: bool = False) -> None:
        self.message = message
        self.line = line
        self.column = column
        self.placed = placed
        super().__init__(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """A name that an expression uses, and where (line and column from 0)."""

    path: tuple[str, ...]
    line: int
    column: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Formula:
    """A checked expression.

    Attributes:
        text: The expression as written.
        tree: Its syntax tree; holds allowed nodes only.
        uses: The names that it uses.
    """

    text: str
    tree: ast.expr
    uses: tuple[Use, ...]

    def flaw(self, node: ast.AST, message: str) -> Flaw:
        """Return a flaw that points at ``node``."""
        return _flaw(self.text, node, message)


@lru_cache(maxsize=2048)
def parse_formula(text: str) -> Formula:
    """Read one expression.

    Raises:
        Flaw: It is not an expression, or uses what is not allowed.
    """
    body = text.strip()
    if not body:
        raise Flaw("the expression is empty")
    if len(body) > MAX_LENGTH:
        raise Flaw(f"the expression is longer than {MAX_LENGTH:,} characters")
    # A leading blank would be an indent to Python, so the text goes in without; columns are put right afterwards.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a strange escape in a text is no reason to warn whoever runs it
            tree = ast.parse(_one_line(body), mode="eval").body
    except SyntaxError as error:
        line, column = max((error.lineno or 1) - 1, 0), max((error.offset or 1) - 1, 0)
        raise _moved(Flaw(f"this is not an expression: {error.msg}", line=line, column=column), text) from error
    except (RecursionError, MemoryError, ValueError) as error:
        raise Flaw("this expression cannot be read: it is nested too deep or holds a NUL character") from error
    _check(text, tree)
    return Formula(text=text, tree=tree, uses=tuple(_uses(text, tree)))


def _one_line(body: str) -> str:
    """Let an expression go over several lines, as if it stood in brackets, without moving its columns."""
    return body.replace("\n", " ").replace("\r", " ")


def _flaw(text: str, node: ast.AST, message: str) -> Flaw:
    column = 0
    body = text.strip()
    if isinstance(node, ast.expr | ast.keyword):
        column = len(body.encode()[: node.col_offset].decode(errors="ignore"))
    return _moved(Flaw(message, column=column), text)


def _moved(flaw: Flaw, text: str) -> Flaw:
    """Count the spot of a flaw from the begin of the whole text rather than from its first character."""
    body = text.strip()
    index = text.index(body) + min(flaw.column, len(body))
    before = text[:index]
    return Flaw(flaw.message, line=before.count("\n"), column=index - (before.rfind("\n") + 1), placed=True)


def _check(text: str, tree: ast.expr) -> None:
    """Refuse what is not on the list."""
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node, depth in _nodes(tree):
        if depth > MAX_DEPTH:
            raise _flaw(text, tree, f"the expression nests deeper than {MAX_DEPTH} levels")
        if not isinstance(node, _ALLOWED):
            spot = node if isinstance(node, ast.expr) else tree
            raise _flaw(text, spot, f"{_kind(node)} is not allowed in an expression")
        if isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | bool | None):
            raise _flaw(text, node, f"{ast.unparse(node)} is not allowed in an expression")
        if isinstance(node, ast.Attribute) and node.attr.startswith("__"):
            raise _flaw(text, node, f"{node.attr!r} is not reachable from an expression")
        if isinstance(node, ast.Call):
            _check_call(text, node)
        elif isinstance(node, ast.Name) and id(node) not in functions and node.id not in NAMES:
            raise _flaw(text, node, f"unknown name {node.id!r}: {_name_hint(node.id)}")


def _check_call(text: str, node: ast.Call) -> None:
    if not isinstance(node.func, ast.Name):
        raise _flaw(text, node, f"{ast.unparse(node.func)} is not a function: there are {listing(FUNCTIONS)}")
    name = node.func.id
    if name not in FUNCTIONS:
        raise _flaw(text, node, f"unknown function {name!r}: {hint(name, FUNCTIONS)}")
    if name == "best":
        _check_best(text, node)
    for keyword in node.keywords:
        if keyword.arg not in KEYWORDS.get(name, ()):
            shown = f"{keyword.arg}=" if keyword.arg else "**"
            raise _flaw(text, keyword, f"{name}() takes no argument {shown}")


def _check_best(text: str, node: ast.Call) -> None:
    """Say how ``best`` is called, before anything has run for the sake of it."""
    form = "best(steps.NAME, 'METRIC', 'min' or 'max')"
    if len(node.args) + len(node.keywords) != 3:
        raise _flaw(text, node, f"best() is called with {len(node.args)} values: wanted {form}")
    mode = node.args[2] if len(node.args) == 3 else None
    if isinstance(mode, ast.Constant) and mode.value not in ("min", "max"):
        raise _flaw(text, mode, f"best() wants 'min' or 'max' as its third argument, not {mode.value!r}")


def _name_hint(name: str) -> str:
    if name in FUNCTIONS:
        return f"{name} is a function, call it: {name}(…)"
    constants = {"true": "True", "false": "False", "null": "None", "none": "None"}
    if name.lower() in constants:
        return f"write {constants[name.lower()]}"
    guess = hint(name, NAMES)
    return guess if guess.endswith("?") else f"{guess}; a text needs quotes"


def _kind(node: ast.AST) -> str:
    """Return a node's name for a message: ``Lambda`` becomes ``'lambda'``."""
    return repr(type(node).__name__.lower())


def _nodes(tree: ast.AST, depth: int = 0) -> Iterator[tuple[ast.AST, int]]:
    """Return all nodes and how deep they are; stops going down where it is too deep."""
    yield tree, depth
    if depth <= MAX_DEPTH:
        for child in ast.iter_child_nodes(tree):
            yield from _nodes(child, depth + 1)


def _uses(text: str, tree: ast.expr) -> Iterator[Use]:
    """Find the names that an expression uses."""
    path, inner = _chain(tree)
    if path is None:
        inner = [node for node in ast.iter_child_nodes(tree) if isinstance(node, ast.expr)]
        inner += [node.value for node in ast.iter_child_nodes(tree) if isinstance(node, ast.keyword)]
    elif path in {("steps",), ("run",)}:
        what = "steps.NAME or steps['NAME']" if path == ("steps",) else "run.id, run.name or run.experiment"
        raise _flaw(text, tree, f"{path[0]!r} is no value of its own: write {what}")
    else:
        spot = _flaw(text, tree, "")
        yield Use(path=path, line=spot.line, column=spot.column)
    for node in inner:
        if not (isinstance(tree, ast.Call) and node is tree.func):
            yield from _uses(text, node)


def _chain(node: ast.expr) -> tuple[tuple[str, ...] | None, list[ast.expr]]:
    """Return the path that a node stands for, or ``None``, and the expressions inside it that are not part of it."""
    if isinstance(node, ast.Name) and node.id in NAMES:
        return (node.id,), []
    if isinstance(node, ast.Attribute):
        path, inner = _chain(node.value)
        return (None, []) if path is None else ((*path, node.attr), inner)
    if isinstance(node, ast.Subscript):
        path, inner = _chain(node.value)
        if path is None:
            return None, []
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return (*path, node.slice.value), inner
        return path, [*inner, node.slice]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "best" and node.args:
        path, inner = _chain(node.args[0])
        if path is not None:
            return path, [*inner, *node.args[1:], *(keyword.value for keyword in node.keywords)]
    return None, []
