"""Expressions of an MLproject as Python code, where there is code that says the same and is read more easily."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from toolkit.flows.python_text import literal, text
from toolkit.spec.expression import Hole, Template, split_holes
from toolkit.spec.formula import parse_formula

_SAME = frozenset({"abs", "float", "int", "len", "list", "max", "min", "round", "sorted", "str", "sum"})
"""Functions that Python has under the same name."""

_LATER = ("outputs", "metrics", "parameters")


class _NoCode(Exception):
    """There is no code that says the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What things are called in the file.

    Attributes:
        parameters: The flow's arguments, by parameter.
        runs: The variables of results, by step.
        workflow: The workflow.
    """

    parameters: Mapping[str, str]
    runs: Mapping[str, str]
    workflow: str


class Code:
    """Writes the values of one file.

    Args:
        names: What things are called in it.
        fans: Steps that have a list of results.
    """

    def __init__(self, names: Names, fans: Collection[str]) -> None:
        self._names = names
        self._fans = fans

    def value(self, template: Template) -> str:
        """Return code for a value that a step is given: one that is there already, or later."""
        return self._value(template.source)

    def condition(self, template: Template) -> str:
        """Return code for a condition, which waits for the steps that it is about."""
        source = template.source
        if isinstance(source, bool):
            return repr(source)
        pieces = split_holes(source) if isinstance(source, str) else ()
        holes = [piece for piece in pieces if isinstance(piece, Hole)]
        if len(holes) == 1 and all(isinstance(piece, Hole) or not piece.strip() for piece in pieces):
            try:
                tree = parse_formula(holes[0].text).tree
                return _unparsed(_Python(self._names, self._fans, waits=True).visit(tree))
            except _NoCode:
                pass
        return f"{self._expression(source)}.result()"

    def _value(self, source: object) -> str:
        if isinstance(source, str):
            return self._text(source)
        if isinstance(source, Mapping):
            return "{" + ", ".join(f"{literal(key)}: {self._value(item)}" for key, item in source.items()) + "}"
        if isinstance(source, list | tuple):
            return "[" + ", ".join(self._value(item) for item in source) + "]"
        return literal(source)

    def _text(self, source: str) -> str:
        pieces = split_holes(source)
        written = [piece for piece in pieces if isinstance(piece, Hole) or piece.strip()]
        if not any(isinstance(piece, Hole) for piece in pieces):
            return text("".join(str(piece) for piece in pieces))
        try:
            if len(written) == 1 and isinstance(written[0], Hole):
                return self._formula(written[0].text)
            return self._joined(pieces)
        except _NoCode:
            return self._expression(source)

    def _joined(self, pieces: tuple[str | Hole, ...]) -> str:
        """Return a text with expressions in it as one of Python's."""
        made = ""
        for piece in pieces:
            if isinstance(piece, str):
                made += piece.replace("{", "{{").replace("}", "}}")
                continue
            code = self._formula(piece.text, plain=True)
            if any(character in code for character in "\"'\\{}!:"):
                raise _NoCode
            made += f"{{{code}}}"
        shown = text(made)
        if "\n" in shown:
            raise _NoCode
        return f"f{shown}"

    def _formula(self, formula: str, *, plain: bool = False) -> str:
        tree = parse_formula(formula).tree
        later = self._later(tree)
        if later is not None:
            if plain:
                raise _NoCode
            return later
        return _unparsed(_Python(self._names, self._fans, waits=False).visit(tree))

    def _later(self, tree: ast.expr) -> str | None:
        """Return code for what a step will leave, where an expression is that and nothing else."""
        leaf = _leaf(tree)
        if leaf is None:
            return None
        owner, step, field = leaf
        if owner is None and step in self._fans:
            return f"[one{field} for one in {self._names.runs[step]}]"
        return f"{_owner(owner, self._names.runs[step])}{field}"

    def _expression(self, source: object) -> str:
        """Return a call that works the expression out as the MLproject does."""
        template = Template(source=source)
        paths = {reference.path[:2] for reference in template.references}
        parameters = sorted(path[1] for path in paths if path[0] == "parameters" and len(path) > 1)
        if ("parameters",) in paths:
            parameters = sorted(self._names.parameters)
        arguments = [self._raw(source)]
        if parameters:
            given = ", ".join(f"{text(name)}: {self._names.parameters[name]}" for name in parameters)
            arguments.append(f"parameters={{{given}}}")
        if template.steps:
            given = ", ".join(f"{text(name)}: {self._names.runs[name]}" for name in sorted(template.steps))
            arguments.append(f"steps={{{given}}}")
        return f"expression({', '.join(arguments)})"

    @staticmethod
    def _raw(source: object) -> str:
        return literal(source).replace("\n", " ")


def _leaf(tree: ast.expr) -> tuple[ast.Call | None, str, str] | None:
    """Return what a field of a result is of: a call of ``best`` or a step itself, the step, and the field's code."""
    names: list[str] = []
    node = tree
    while (name := _member(node)) is not None and len(names) < 4:
        names.append(name)
        assert isinstance(node, ast.Attribute | ast.Subscript)
        node = node.value
        names_now = list(reversed(names))
        step = _step(node)
        best = node if isinstance(node, ast.Call) and _is_best(node) else None
        if best is not None:
            step = _step(best.args[0])
        if step is None:
            continue
        if len(names_now) == 2 and names_now[0] in _LATER:
            return best, step, f".{names_now[0]}[{text(names_now[1])}]"
        if names_now == ["run_id"]:
            return best, step, ".run_id"
        return None
    return None


def _is_best(node: ast.Call) -> bool:
    constants = all(isinstance(argument, ast.Constant) for argument in node.args[1:])
    return isinstance(node.func, ast.Name) and node.func.id == "best" and len(node.args) == 3 and constants


def _owner(best: ast.Call | None, run: str) -> str:
    if best is None:
        return run
    metric, mode = (argument.value for argument in best.args[1:] if isinstance(argument, ast.Constant))
    return f"best({run}, {literal(metric)}, {literal(mode)})"


def _member(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return node.slice.value
    return None


def _step(node: ast.expr) -> str | None:
    """Return the name of a step: ``steps.NAME`` or ``steps['NAME']``."""
    if (
        isinstance(node, ast.Attribute | ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "steps"
    ):
        return _member(node)
    return None


class _Python(ast.NodeTransformer):
    """Puts the file's names into an expression.

    Args:
        names: The file's names.
        fans: Steps that have a list of results.
        waits: Whether values of steps may be waited for.
    """

    def __init__(self, names: Names, fans: Collection[str], *, waits: bool) -> None:
        self._names = names
        self._fans = fans
        self._waits = waits

    def visit(self, node: ast.AST) -> ast.AST:
        """Return a node of the file.

        Raises:
            _NoCode: There is none.
        """
        if isinstance(node, ast.expr):
            replaced = self._leaf(node)
            if replaced is not None:
                return ast.parse(replaced, mode="eval").body
        if isinstance(node, ast.Name):
            raise _NoCode
        if isinstance(node, ast.Compare):
            _check_comparison(node)
        if isinstance(node, ast.Attribute):
            inner = self.visit(node.value)
            assert isinstance(inner, ast.expr)
            return ast.Subscript(value=inner, slice=ast.Constant(value=node.attr), ctx=ast.Load())
        if isinstance(node, ast.Call):
            return self._call(node)
        return self.generic_visit(node)

    def _leaf(self, node: ast.expr) -> str | None:
        """Return code for a name that stands for a value."""
        member = _member(node)
        if member is not None and isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.value, ast.Name):
            if node.value.id == "parameters":
                return self._names.parameters[member]
            if node.value.id == "run":
                return f"{self._names.workflow}.run.{member}"
        found = _leaf(node)
        if found is not None:
            if not self._waits:
                raise _NoCode
            best, step, field = found
            if best is None and step in self._fans:
                return f"[one{field}.result() for one in {self._names.runs[step]}]"
            return f"{_owner(best, self._names.runs[step])}{field}.result()"
        if _step(node) is not None:
            raise _NoCode
        return None

    def _call(self, node: ast.Call) -> ast.AST:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name == "len" and self._waits and len(node.args) == 1 and _step(node.args[0]) in self._fans:
            step = _step(node.args[0])
            assert step is not None
            return ast.parse(f"len({self._names.runs[step]})", mode="eval").body
        arguments = ", ".join(ast.unparse(self.visit(argument)) for argument in node.args)
        named = "".join(f", {one.arg}={ast.unparse(self.visit(one.value))}" for one in node.keywords)
        if name in _SAME:
            code = f"{name}({arguments}{named})"
        elif name == "range":
            code = f"list(range({arguments}))"
        elif name == "zip":
            code = f"[list(row) for row in zip({arguments}, strict=False)]"
        else:
            raise _NoCode
        return ast.parse(code, mode="eval").body


def _unparsed(tree: ast.AST) -> str:
    """Return code, with its texts in double quotes where that is safe to say without reading it again."""
    code = ast.unparse(tree)
    return code if '"' in code or "\\" in code else code.replace("'", '"')


def _check_comparison(node: ast.Compare) -> None:
    """Leave comparisons that linters dislike as the MLproject has them."""
    for operand in (node.left, *node.comparators):
        if isinstance(operand, ast.Constant) and (operand.value is None or isinstance(operand.value, bool)):
            raise _NoCode
    if any(isinstance(sign, ast.Is | ast.IsNot) for sign in node.ops):
        raise _NoCode
