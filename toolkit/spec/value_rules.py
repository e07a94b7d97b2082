"""Rules of lint about values that YAML reads as something else than they look like."""

from __future__ import annotations

import re
from collections.abc import Iterator

from toolkit.spec.document import Node
from toolkit.spec.finding import Finding, Look

_FLOAT_TEXT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_OCTAL = re.compile(r"0\d+")
_SEXAGESIMAL = re.compile(r"\d+(:[0-5]?\d)+(\.\d*)?")
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?\b.*")
_WORDS = {"yes": True, "no": False, "on": True, "off": False, "y": True, "n": False}


def value_findings(look: Look) -> Iterator[Finding]:
    """Look at the defaults of all parameters."""
    for section in ("entry_points", "workflows"):
        owners = look.root.fields.get(section)
        for owner in owners.fields.values() if owners is not None else ():
            parameters = owner.fields.get("parameters")
            for name, parameter in parameters.fields.items() if parameters is not None else ():
                default = parameter.fields.get("default")
                kind = parameter.fields.get("type")
                if default is not None and default.kind == "scalar":
                    yield from _default(name, default, kind.text if kind is not None else "string")


def _default(name: str, node: Node, kind: str) -> Iterator[Finding]:
    written = node.spelling.text if node.spelling is not None else ""
    if written[:1] in ("'", '"') or not written:
        return
    said = None
    if isinstance(node.value, bool) and written.lower() in _WORDS and kind not in ("bool", "boolean"):
        said = f"reads {written} as {str(node.value).lower()}: write '{written}' in quotes"
    elif isinstance(node.value, str) and _FLOAT_TEXT.fullmatch(written) and kind in ("float", "double", "number"):
        said = f"reads {written} as a text, which reaches the command as it is: write {_with_dot(written)} for a number"
    elif isinstance(node.value, int) and _OCTAL.fullmatch(written):
        said = f"reads {written} as the octal number {node.value}: write '{written}' in quotes, or {int(written)}"
    elif isinstance(node.value, int | float) and _SEXAGESIMAL.fullmatch(written):
        said = f"reads {written} as {node.value}, to the base of 60: write '{written}' in quotes"
    elif _DATE.fullmatch(written) and isinstance(node.value, str) and kind == "string" and node.value != written:
        said = f"reads {written} as the date {node.value}: write '{written}' in quotes"
    elif isinstance(node.value, float) and kind in ("string", "str") and str(node.value) != written:
        said = f"reads {written} as the number {node.value}: write '{written}' in quotes"
    if said is not None:
        yield Finding(rule="unquoted-value", mark=node.mark, message=f"the default of {name!r}: YAML {said}")


def _with_dot(number: str) -> str:
    """Return a number as YAML 1.1 reads one: with a dot and a sign."""
    mantissa, _, exponent = number.lower().partition("e")
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else f'+{exponent}'}"
