"""What moves need, in SQL: policies, and whether a version passes their gates. Inside a transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from toolkit.db.dialect import insert
from toolkit.db.tables import registry_policies
from toolkit.errors import ApprovalNeeded, GateFailed
from toolkit.ids import now_ms
from toolkit.registry import sql_moves, sql_versions
from toolkit.registry.checks import Findings, Needed, Unseen
from toolkit.registry.gates import Example, Gate, Signature, read_gate
from toolkit.registry.history import Action
from toolkit.registry.judging import Evidence, Finding, Line, Report, judge
from toolkit.registry.promotion import Policy, Target
from toolkit.registry.sql_evidence import evidence
from toolkit.registry.sql_history import Recorder


def policies(connection: Connection, model: int) -> list[Policy]:
    """Return all that moves of a model's versions need."""
    wanted = select(registry_policies).where(registry_policies.c.model == model).order_by(registry_policies.c.target)
    return [_policy(row) for row in connection.execute(wanted)]


def policy_of(connection: Connection, model: int, target: Target) -> Policy:
    """Return what a move needs; of which nothing was said: nothing."""
    ours = registry_policies.c.model == model
    wanted = select(registry_policies).where(ours, registry_policies.c.target == str(target))
    row = connection.execute(wanted).first()
    return Policy(target=target) if row is None else _policy(row)


def _policy(row: Row[Any]) -> Policy:
    return Policy(
        target=Target.read(row.target),
        gates=tuple(read_gate(line) for line in row.gates.splitlines()),
        approvals=row.approvals,
        approvers=tuple(json.loads(row.approvers)),
    )


def put_policy(connection: Connection, model: int, policy: Policy, record: Recorder, dialect: str) -> None:
    """Say what moves to a target need from now on; a policy that asks for nothing is removed."""
    old = policy_of(connection, model, policy.target)
    if old == policy:
        return
    key = {"model": model, "target": str(policy.target)}
    if policy.says:
        values = {
            "gates": "\n".join(map(str, policy.gates)),
            "approvals": policy.approvals,
            "approvers": json.dumps(list(policy.approvers), ensure_ascii=False),
            "updated": now_ms(),
        }
        setting = insert(registry_policies, dialect).values(**key, **values)
        connection.execute(setting.on_conflict_do_update(index_elements=["model", "target"], set_=values))
    else:
        ours = registry_policies.c.model == model
        connection.execute(delete(registry_policies).where(ours, registry_policies.c.target == str(policy.target)))
    record.add(Action.GATES, key=str(policy.target), old=_written(old), new=_written(policy))


def _written(policy: Policy) -> str | None:
    """Return a policy as text, for the record of changes."""
    if not policy.says:
        return None
    lines = [str(gate) for gate in policy.gates]
    return "\n".join([*lines, f"approvals: {policy.who()}"] if policy.needed else lines)


def report(
    connection: Connection,
    name: str,
    row: Row[Any],
    policy: Policy,
    findings: Findings | None,
    dialect: str,
) -> Report:
    """Judge a version by the gates of a policy.

    Args:
        connection: In a transaction.
        name: The registered model.
        row: The version.
        policy: What is asked.
        findings: What was found of gates that need files; ``None``: nobody can read them.
        dialect: Kind of database.

    Raises:
        Unseen: Findings are missing.
    """
    other = sql_moves.holder(connection, row.model, policy.target, but=row.id)
    gates = policy.gates
    missing = [] if findings is None else _missing(connection, name, row, other, gates, findings, dialect)
    if missing:
        raise Unseen(missing)
    ours = evidence(connection, row, gates)
    theirs = None if other is None else evidence(connection, other, gates)
    lines = []
    for gate in gates:
        found = _judged(gate, ours, theirs, findings)
        lines.append(Line(gate=str(gate), passed=found.passed, found=found.found))
    return Report(
        name=name,
        version=row.number,
        target=str(policy.target),
        holder=None if other is None else other.number,
        lines=tuple(lines),
    )


def _judged(gate: Gate, ours: Evidence, theirs: Evidence | None, findings: Findings | None) -> Finding:
    if isinstance(gate, Signature | Example) and findings is not None:
        holder = theirs.version if theirs is not None and isinstance(gate, Signature) else None
        return findings[gate, ours.version, holder]
    return judge(gate, ours, theirs)


def _missing(
    connection: Connection,
    name: str,
    row: Row[Any],
    other: Row[Any] | None,
    gates: Sequence[Gate],
    findings: Findings,
    dialect: str,
) -> list[Needed]:
    """Return the gates of which it must be found first what files say."""
    wanted = [gate for gate in gates if isinstance(gate, Signature | Example)]
    if not wanted:
        return []
    version = sql_versions.get(connection, name, row.number, dialect)
    holder = None if other is None else sql_versions.get(connection, name, other.number, dialect)
    needed = [Needed(gate, version, holder) for gate in wanted]
    return [each for each in needed if each.key not in findings]


def admit(
    connection: Connection, name: str, row: Row[Any], target: Target, findings: Findings | None, dialect: str
) -> None:
    """Let a version pass that takes a target without a request.

    Raises:
        ApprovalNeeded: Others must approve it.
        GateFailed: It does not show what it must.
        Unseen: Findings are missing.
    """
    policy = policy_of(connection, row.model, target)
    if policy.needed:
        raise ApprovalNeeded(
            f"{name}/{row.number} takes {target} only by a request that {policy.who()} must approve: "
            f"toolkit registry request {name}/{row.number} {target.options} (POST /api/v1/registry/requests); "
            "nothing was changed"
        )
    check(report(connection, name, row, policy, findings, dialect), target)


def check(told: Report, target: Target) -> None:
    """Check that every gate is passed.

    Raises:
        GateFailed: One is not.
    """
    if told.passed:
        return
    failed = sum(not line.passed for line in told.lines)
    count = "a gate fails" if failed == 1 else f"{failed} gates fail"
    raise GateFailed(
        f"{told.name}/{told.version} may not take {target}: {count}, of {len(told.lines)}: {told.failures()}. Nothing "
        f"was changed; toolkit registry gates check {told.name}/{told.version} {target.options} shows them all"
    )
