"""Evaluate expressions: a walk over the checked tree, with a limit on the size of everything that is made.

Nothing of Python is reachable but what this module does itself: attributes and subscripts are looked up in our own
records and in plain mappings and lists, never with ``getattr``.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.spec.formula import Flaw, Formula
from toolkit.spec.function import FUNCTIONS, MAX_BITS, Each, check_size, describe, weight
from toolkit.spec.scope import OUTPUT_FIELDS, RUN_FIELDS, STEP_FIELDS, OutputRef, RunFacts, Scope, StepResult, Trials
from toolkit.spec.suggestion import hint

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, container: operator.contains(container, item),
    ast.NotIn: lambda item, container: not operator.contains(container, item),
}
_NUMERIC: Mapping[type[ast.operator], Callable[[float, float], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


def evaluate(formula: Formula, scope: Scope) -> object:
    """Return the value of an expression: plain values and `OutputRef` objects, also in lists and dictionaries.

    Raises:
        Flaw: It cannot be evaluated in this scope.
    """
    return _released(_Walk(formula, scope).value(formula.tree), formula)


def _released(value: object, formula: Formula) -> object:
    """Return a result as plain lists and dictionaries; refuse what only expressions can use."""
    if isinstance(value, StepResult | RunFacts):
        fields = "outputs.NAME or .metrics.NAME" if isinstance(value, StepResult) else "id or .name"
        raise formula.flaw(formula.tree, f"the result is {describe(value)}, not a value: go on with .{fields}")
    if isinstance(value, Mapping):
        return {key: _released(item, formula) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_released(item, formula) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class _Walk:
    """One evaluation of one expression."""

    formula: Formula
    scope: Scope

    def value(self, node: ast.expr) -> object:
        """Return a node's value.

        Raises:
            Flaw: It has none in this scope.
        """
        rule = _RULES[type(node)]
        try:
            made = rule(self, node)
            return check_size(made) if isinstance(node, _MAKERS) else made
        except Flaw as error:
            # A flaw without a place comes from a function, or is about the size: it is this node's.
            raise error if error.placed else self.formula.flaw(node, error.message) from error
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise self.formula.flaw(node, f"{ast.unparse(node)}: {_problem(error)}") from error

    def constant(self, node: ast.Constant) -> object:
        return node.value

    def name(self, node: ast.Name) -> object:
        if node.id == "parameters":
            return self.scope.parameters
        if node.id == "steps":
            return {
                name: Each(result) if type(result) is tuple else result for name, result in self.scope.steps.items()
            }
        if self.scope.run is None:
            raise self.formula.flaw(node, "'run' is not known here")
        return self.scope.run

    def attribute(self, node: ast.Attribute) -> object:
        return self._member(node, self.value(node.value), node.attr)

    def subscript(self, node: ast.Subscript) -> object:
        owner = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            return self._part(node, owner, node.slice)
        key = self.value(node.slice)
        if isinstance(owner, list | tuple) and isinstance(key, int):
            if not -len(owner) <= key < len(owner):
                raise self.formula.flaw(node, f"{ast.unparse(node.value)} has {len(owner)} items: no item {key}")
            return owner[key]
        return self._member(node, owner, key)

    def _part(self, node: ast.Subscript, owner: object, part: ast.Slice) -> object:
        if not isinstance(owner, list | tuple):
            raise self.formula.flaw(node, f"{ast.unparse(node.value)} is {describe(owner)}: only a list has parts")
        bounds = [self._bound(bound) for bound in (part.lower, part.upper, part.step)]
        taken = owner[slice(*bounds)]
        return Each(taken) if isinstance(owner, Each) else list(taken)

    def _bound(self, node: ast.expr | None) -> int | None:
        value = None if node is None else self.value(node)
        if value is None or isinstance(value, int):
            return value
        raise Flaw(f"a part of a list is from one whole number to another, not {describe(value)}")

    def _member(self, node: ast.Attribute | ast.Subscript, owner: object, key: object) -> object:
        """Return a field of a record or an entry of a mapping; of a fan-out, a list of those of each child."""
        subject = ast.unparse(node.value)
        if isinstance(owner, Trials):
            return owner.best if key == "best" else self._member(node, Each(owner), key)
        if isinstance(owner, Each):
            return Each(self._member(node, item, key) for item in owner)
        members = _members(owner)
        if members is None:
            raise self.formula.flaw(node, f"{subject} is {describe(owner)}: it has no {key!r}")
        if isinstance(key, str | int | float | bool | None) and key in members:
            return members[key]
        if isinstance(key, str):
            names = [str(name) for name in members]
            raise self.formula.flaw(node, f"{subject} has no {key!r}: {hint(key, names)}")
        raise self.formula.flaw(node, f"{subject} has no {key!r}")

    def call(self, node: ast.Call) -> object:
        assert isinstance(node.func, ast.Name)
        arguments = [self.value(argument) for argument in node.args]
        named = {keyword.arg: self.value(keyword.value) for keyword in node.keywords if keyword.arg}
        return FUNCTIONS[node.func.id](*arguments, **named)

    def sequence(self, node: ast.List | ast.Tuple) -> object:
        return [self.value(item) for item in node.elts]

    def mapping(self, node: ast.Dict) -> object:
        made: dict[object, object] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                raise self.formula.flaw(node, "'**' is not allowed in an expression")
            made[self.value(key)] = self.value(item)
        return made

    def either(self, node: ast.IfExp) -> object:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def logic(self, node: ast.BoolOp) -> object:
        result: object = None
        for part in node.values:
            result = self.value(part)
            if bool(result) is isinstance(node.op, ast.Or):
                break
        return result

    def unary(self, node: ast.UnaryOp) -> object:
        operand = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return not operand
        if not isinstance(operand, int | float):
            raise self.formula.flaw(node, f"{ast.unparse(node.operand)} is {describe(operand)}, not a number")
        return -operand if isinstance(node.op, ast.USub) else +operand

    def compare(self, node: ast.Compare) -> object:
        left = self.value(node.left)
        for sign, other in zip(node.ops, node.comparators, strict=True):
            right = self.value(other)
            if not _COMPARE[type(sign)](left, right):
                return False
            left = right
        return True

    def binary(self, node: ast.BinOp) -> object:
        left, right, sign = self.value(node.left), self.value(node.right), type(node.op)
        if isinstance(left, int | float) and isinstance(right, int | float):
            return _number(sign, left, right)
        if sign is ast.Add and isinstance(left, str) and isinstance(right, str):
            return left + right
        if sign is ast.Add and isinstance(left, list | tuple) and isinstance(right, list | tuple):
            return [*left, *right]
        if sign is ast.Mult and isinstance(left, str | list) and isinstance(right, int):
            return _repeated(left, right)
        if sign is ast.Mult and isinstance(left, int) and isinstance(right, str | list):
            return _repeated(right, left)
        raise self.formula.flaw(node, f"{ast.unparse(node)}: not possible with {describe(left)} and {describe(right)}")


def _members(owner: object) -> Mapping[object, object] | None:
    """Return what attributes and keys of a value are reachable, or ``None`` where none is."""
    if isinstance(owner, StepResult):
        return {name: getattr(owner, name) for name in STEP_FIELDS}
    if isinstance(owner, OutputRef):
        return {name: str(owner) if name == "uri" else getattr(owner, name) for name in OUTPUT_FIELDS}
    if isinstance(owner, RunFacts):
        return {name: getattr(owner, name) for name in RUN_FIELDS}
    return owner if isinstance(owner, Mapping) else None


def _number(sign: type[ast.operator], left: float, right: float) -> object:
    """Calculate with two numbers; refuse results that would take long to work out or to keep."""
    if (
        sign is ast.Pow
        and isinstance(left, int)
        and isinstance(right, int)
        and left.bit_length() * abs(right) > MAX_BITS
    ):
        raise Flaw("the result of ** is too large")
    result = _NUMERIC[sign](left, right)
    if isinstance(result, complex):
        raise Flaw("the result of ** is not a real number")
    return result


def _repeated(value: str | list[object], times: int) -> object:
    check_size(None, extra=weight(value) * max(times, 0))
    return value * times


def _problem(error: Exception) -> str:
    """Return what Python says, as one line."""
    return str(error).partition("\n")[0] or type(error).__name__


_MAKERS = (ast.BinOp, ast.Call, ast.List, ast.Tuple, ast.Dict)
"""What makes new values; others only hand out what is there, however large it is."""

_RULES: Mapping[type[ast.expr], Callable[..., object]] = {
    ast.Constant: _Walk.constant,
    ast.Name: _Walk.name,
    ast.Attribute: _Walk.attribute,
    ast.Subscript: _Walk.subscript,
    ast.Call: _Walk.call,
    ast.List: _Walk.sequence,
    ast.Tuple: _Walk.sequence,
    ast.Dict: _Walk.mapping,
    ast.IfExp: _Walk.either,
    ast.BoolOp: _Walk.logic,
    ast.UnaryOp: _Walk.unary,
    ast.Compare: _Walk.compare,
    ast.BinOp: _Walk.binary,
}
