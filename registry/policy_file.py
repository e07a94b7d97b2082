"""Gates from a file: YAML that says what each stage and alias of a model asks for.

::

    Production:
      gates:
        - accuracy >= 0.9
        - accuracy higher by 0.01 on wine-test
        - signature
      approvals: 2
      approvers: [ada, bob, cy]
    "@champion":
      gates: [example, tag reviewed = yes, test drift]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.errors import InvalidValue, NotFound
from toolkit.registry.gates import read_gate
from toolkit.registry.promotion import Policy, Target

_KEYS = ("gates", "approvals", "approvers")
_LARGEST = 1 << 20


def read_policies(path: Path) -> Sequence[Policy]:
    """Return what a file says.

    Raises:
        InvalidValue: It is no such file; the message says where.
        NotFound: There is none.
    """
    import yaml  # noqa: PLC0415 - when a file is read

    try:
        text = path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read ({error.strerror}): wanted a YAML file of gates") from None
    if len(text) > _LARGEST:
        raise InvalidValue(f"{path} has more than {_LARGEST >> 20} MiB: that is no file of gates")
    try:
        told = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        raise InvalidValue(f"{path} is no YAML: {said}") from None
    if not isinstance(told, Mapping) or not told:
        raise InvalidValue(f"{path}: wanted stages and aliases, such as 'Production:' or '\"@champion\":', with gates")
    try:
        return [_policy(str(target), asked) for target, asked in told.items()]
    except InvalidValue as error:
        raise InvalidValue(f"{path}: {error.message}") from None


def _policy(name: str, asked: object) -> Policy:
    target = Target.read(name)
    if asked is None:
        return Policy(target=target)
    if isinstance(asked, list):  # gates alone
        asked = {"gates": asked}
    if not isinstance(asked, Mapping):
        raise InvalidValue(f"{target} has {asked!r}: wanted gates, approvals, approvers")
    unknown = [str(key) for key in asked if key not in _KEYS]
    if unknown:
        raise InvalidValue(f"{target} has {', '.join(unknown)}: wanted {', '.join(_KEYS)}")
    approvals = asked.get("approvals") or 0
    if not isinstance(approvals, int) or isinstance(approvals, bool):
        raise InvalidValue(f"{target}: approvals is {approvals!r}: wanted a number")
    gates = [read_gate(line) for line in _texts(target, "gates", asked.get("gates"))]
    approvers = _texts(target, "approvers", asked.get("approvers"))
    return Policy(target=target, gates=tuple(gates), approvals=approvals, approvers=tuple(approvers))


def _texts(target: Target, key: str, value: object) -> Sequence[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidValue(f"{target}: {key} is {value!r}: wanted a list of texts")
    return value
