"""``toolkit registry gates``: what a version must show before it takes a stage or an alias."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import typer

from toolkit.cli.registered import registry
from toolkit.cli.registry_target import ALIAS, JSON, NAME, REASON, STAGE, VERSION, target_of
from toolkit.cli.render import show_json, show_table
from toolkit.errors import AlreadyExists, GateFailed, InvalidValue
from toolkit.registry.gates import read_gate
from toolkit.registry.judging import Report
from toolkit.registry.policy_file import read_policies
from toolkit.registry.promotion import Policy
from toolkit.registry.promotion_codec import policy_out, report_out

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Say what a version must show before it takes a stage or an alias, and check it.",
)


@app.callback()
def root() -> None:
    """Group the commands."""


@app.command("show")
def show_gates(name: str = NAME, as_json: bool = JSON) -> None:
    """Show what the stages and aliases of a model ask for."""
    with registry() as here:
        _show_policies(here.promotions.policies(name), as_json=as_json)


@app.command("set")
def set_gates(
    name: str = NAME,
    stage: str | None = STAGE,
    alias: str | None = ALIAS,
    file: Path | None = typer.Option(
        None, "-f", "--file", metavar="FILE", help="YAML: stages and aliases, with gates."
    ),
    lines: list[str] = typer.Option(
        [], "--gate", metavar="GATE", help="Such as 'accuracy >= 0.9' or 'rmse lower by 0.02'; may be repeated."
    ),
    approvals: int = typer.Option(0, "--approvals", min=0, metavar="NUMBER", help="How many others must approve."),
    approvers: list[str] = typer.Option(
        [], "--approver", metavar="USER", help="Who may approve; without a number all must. May be repeated."
    ),
    clear: bool = typer.Option(False, "--clear", help="Let it ask for nothing any more."),
    create: bool = typer.Option(False, "--create", help="Register the model, without versions, if it is not there."),
    reason: str | None = REASON,
    as_json: bool = JSON,
) -> None:
    """Say what a stage or an alias asks for, in place of what it asked for; or several by a file."""
    if file is not None:
        if stage is not None or alias is not None or lines or approvals or approvers or clear:
            raise InvalidValue("--file says it all: give no other option with it, but --reason")
        policies = read_policies(file)
    else:
        said = Policy(
            target=target_of(stage, alias),
            gates=tuple(map(read_gate, lines)),
            approvals=approvals,
            approvers=tuple(approvers),
        )
        if said.says == clear:
            raise InvalidValue("give --gate, --approvals or --approver; or --clear, and none of them")
        policies = [said]
    with registry(reason=reason) as here:
        if create:
            with suppress(AlreadyExists):
                here.registry.create_model(name)
        _show_policies(here.promotions.set_policies(name, policies), as_json=as_json)


@app.command("check")
def check_gates(
    target: str = VERSION, stage: str | None = STAGE, alias: str | None = ALIAS, as_json: bool = JSON
) -> None:
    """Check a version by the gates of a stage or an alias, line by line; nothing is changed. Exit code 2: one fails."""
    wanted = target_of(stage, alias)
    with registry() as here:
        version = here.version(target)
        report = here.promotions.check(version.name, version.version, wanted)
    _show_report(report, as_json=as_json)
    if not report.passed:
        failed = sum(not line.passed for line in report.lines)
        raise GateFailed(f"{report.name}/{report.version} does not pass {failed} of {len(report.lines)} gates")


def _show_policies(policies: Sequence[Policy], *, as_json: bool) -> None:
    if as_json:
        show_json({"schema": 1, "policies": [policy_out(policy) for policy in policies]})
        return
    rows = []
    for policy in policies:
        rows += [(str(policy.target), str(gate)) for gate in policy.gates]
        rows += [(str(policy.target), f"approved by {policy.who()}")] if policy.needed else []
    show_table(("target", "asks for"), rows)


def _show_report(report: Report, *, as_json: bool) -> None:
    if as_json:
        show_json({"schema": 1, **report_out(report)})
        return
    rows = [("passed" if line.passed else "FAILED", line.gate, line.found) for line in report.lines]
    show_table(("", "gate", "found"), rows)
