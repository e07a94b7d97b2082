"""``toolkit lint``: what is wrong or old-fashioned in a project, with file, line and column."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from toolkit.cli import project
from toolkit.cli.render import say, show, show_json
from toolkit.errors import InvalidValue, ProjectError
from toolkit.wiring.request import RunRequest
from toolkit.wiring.runs import fetch_source

if TYPE_CHECKING:
    from toolkit.spec.finding import Finding, Level
    from toolkit.spec.project import EntryPoint

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog="Examples:  toolkit lint  |  toolkit lint examples/wine-quality --ignore no-name --json")
def lint(
    uri: str = project.URI,
    version: str | None = project.VERSION,
    ignore: list[str] | None = typer.Option(
        None, "--ignore", metavar="RULE", help="Leave a rule out; may be repeated."
    ),
    rules: bool = typer.Option(False, "--rules", help="List the rules, and look at nothing."),
    as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON."),
) -> int:
    """Say what is wrong, likely wrong or old-fashioned in a project's MLproject and environment files.

    Exit code: 0 if there is nothing, or only notes; 1 if there are warnings or errors; 2 if it cannot be read.
    """
    from toolkit.spec.rules import RULES, lint_directory  # noqa: PLC0415 - the spec, when something is looked at
    from toolkit.spec.suggestion import hint  # noqa: PLC0415 - the same

    for name in ignore or ():
        if name not in RULES:
            guess = hint(name, RULES)
            raise InvalidValue(f"--ignore {name}: {guess if guess.endswith('?') else 'see toolkit lint --rules'}")
    if rules:
        if as_json:
            show_json({"schema": 1, "rules": dict(RULES)})
        for name, text in RULES.items() if not as_json else ():
            show(f"{name}\t{text}")
        return 0
    source = fetch_source(RunRequest(uri=uri, version=version), say)
    linted = lint_directory(source.directory, shell=_shell)
    if linted.file is None:
        raise ProjectError(f"{source.directory} has no MLproject file: make one with toolkit init, or name another one")
    findings = [one for one in linted.findings if one.rule not in (ignore or ())]
    counts = Counter(one.level for one in findings)
    if as_json:
        show_json(
            {"schema": 1, "file": str(linted.file), "counts": dict(counts), "findings": list(map(_row, findings))}
        )
    else:
        for one in findings:
            show(f"{_place(one)}: {one.level}: {one.message} [{one.rule}]")
        say(_summary(str(_near(linted.file)), counts))
    return 1 if counts["error"] or counts["warning"] else 0


def _row(one: Finding) -> dict[str, object]:
    return {
        "rule": one.rule,
        "level": one.level,
        "file": one.mark.file,
        "line": one.mark.line,
        "column": one.mark.column,
        "message": one.message,
    }


def _place(one: Finding) -> str:
    place = f"{_near(Path(one.mark.file))}:{one.mark.line}"
    return f"{place}:{one.mark.column}" if one.mark.column else place


def _near(file: Path) -> Path:
    """Return a file's path from here, where it is below."""
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


def _summary(file: str, counts: Mapping[Level, int]) -> str:
    if not counts:
        return f"{file}: nothing to say"
    levels: tuple[Level, ...] = ("error", "warning", "note")
    said = [f"{counts[level]} {level}{'s' if counts[level] > 1 else ''}" for level in levels if counts.get(level)]
    return f"{file}: {', '.join(said)}"


def _shell(entry: EntryPoint) -> str | None:
    """Return what bash says about a command, with a plain word for each parameter; it runs nothing."""
    from toolkit.spec.command import render  # noqa: PLC0415 - the spec, when something is looked at

    bash = shutil.which("bash")
    if bash is None:
        return None
    try:
        command = render(entry, dict.fromkeys(entry.parameters, "value"), {})
    except ProjectError:
        return None  # said already
    done = subprocess.run(
        [bash, "-n", "-c", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        check=False,
    )
    said = done.stderr.strip().partition("\n")[0]
    return said.removeprefix(f"{bash}: ") if done.returncode != 0 and said else None
