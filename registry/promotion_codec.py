"""Changes, policies, reports and requests as JSON of our API: both ways, for the server and for its client."""

from __future__ import annotations

from dataclasses import asdict, fields

from toolkit.registry.gates import read_gate
from toolkit.registry.history import Action, Change, Held
from toolkit.registry.judging import Line, Report
from toolkit.registry.promotion import Approval, Comment, NewRequest, Policy, Request, RequestState, Target
from toolkit.registry.records import Stage
from toolkit.tracking.http_codec import Json

_CHANGE = tuple(field.name for field in fields(Change))
_REQUEST = tuple(field.name for field in fields(Request))
_APPROVAL = tuple(field.name for field in fields(Approval))
_COMMENT = tuple(field.name for field in fields(Comment))
_LINE = tuple(field.name for field in fields(Line))


def change_out(change: Change) -> Json:
    """Return a change as JSON."""
    return {name: getattr(change, name) for name in _CHANGE}


def change_in(told: Json) -> Change:
    """Return the change of `change_out`."""
    values = {name: told[name] for name in _CHANGE}
    values["action"] = Action(told["action"])
    return Change(**values)


def held_out(held: Held) -> Json:
    """Return who held what as JSON."""
    stages = {str(number): stage.value for number, stage in held.stages.items()}
    return {"name": held.name, "time": held.time, "aliases": dict(held.aliases), "stages": stages}


def held_in(told: Json) -> Held:
    """Return what `held_out` says."""
    stages = {int(number): Stage(stage) for number, stage in told["stages"].items()}
    return Held(name=told["name"], time=told["time"], aliases=dict(told["aliases"]), stages=stages)


def policy_out(policy: Policy) -> Json:
    """Return what a target asks for as JSON."""
    return {
        "target": str(policy.target),
        "gates": [str(gate) for gate in policy.gates],
        "approvals": policy.approvals,
        "approvers": list(policy.approvers),
    }


def policy_in(told: Json) -> Policy:
    """Return the policy of `policy_out`.

    Raises:
        InvalidValue: It is none.
    """
    return Policy(
        target=Target.read(told["target"]),
        gates=tuple(read_gate(line) for line in told["gates"]),
        approvals=told["approvals"],
        approvers=tuple(told["approvers"]),
    )


def report_out(report: Report) -> Json:
    """Return a report as JSON."""
    return {**asdict(report), "lines": [asdict(line) for line in report.lines], "passed": report.passed}


def report_in(told: Json) -> Report:
    """Return the report of `report_out`."""
    lines = tuple(Line(**{name: line[name] for name in _LINE}) for line in told["lines"])
    named = {name: told[name] for name in ("name", "version", "target", "holder")}
    return Report(**named, lines=lines)


def new_request_out(new: NewRequest) -> Json:
    """Return a request to be made as JSON."""
    return {**asdict(new), "target": str(new.target)}


def request_out(request: Request) -> Json:
    """Return a request as JSON."""
    told: Json = {name: getattr(request, name) for name in _REQUEST}
    told.update(
        target=str(request.target),
        approvers=list(request.approvers),
        approvals=[asdict(approval) for approval in request.approvals],
        comments=[asdict(comment) for comment in request.comments],
    )
    return told


def request_in(told: Json) -> Request:
    """Return the request of `request_out`."""
    values = {name: told[name] for name in _REQUEST if name in told}  # an older server tells of no comments
    values.update(
        target=Target.read(told["target"]),
        state=RequestState(told["state"]),
        approvers=tuple(told["approvers"]),
        approvals=tuple(Approval(**{name: said[name] for name in _APPROVAL}) for said in told["approvals"]),
        comments=tuple(Comment(**{name: said[name] for name in _COMMENT}) for said in told.get("comments", ())),
    )
    return Request(**values)
