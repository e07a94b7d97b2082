"""``toolkit reproduce``: make an earlier run again, and show what came of it beside what it had left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from toolkit.cli.render import number, say, show, show_json, show_table
from toolkit.cli.store import find_run, opened
from toolkit.errors import InvalidValue, NotReproducible, RunKilled
from toolkit.settings import load
from toolkit.wiring.reproductions import ReproduceRequest, reproduce_run

if TYPE_CHECKING:
    from toolkit.flows.comparison import Comparison
    from toolkit.flows.reproduced import Reproduced

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_ALLOWANCES = ("environment", "inputs", "platform")


@app.command(
    epilog="Examples:  toolkit reproduce @last  |  toolkit reproduce 3f2a91c0 --tolerance rmse=1% --tolerance 1e-9",
)
def reproduce(
    run: str = typer.Argument(
        ..., metavar="RUN", help="Run of a workflow, or of a step alone: id, beginning of one, name, @last."
    ),
    tolerance: list[str] = typer.Option(
        [],
        "--tolerance",
        metavar="X|METRIC=X",
        help="How far metrics may be apart: 0.01 by itself or as a part of the old value, 1% as a part of it only; "
        "METRIC=X for one metric; may be repeated. Default: 0.",
    ),
    outputs: bool = typer.Option(False, "--outputs", help="The digests of the files that steps left count, too."),
    inputs: list[str] = typer.Option(
        [],
        "--input",
        metavar="NAME=PATH",
        help="Where the data of a parameter are now; they must be the same. May be repeated.",
    ),
    allow: list[str] = typer.Option(
        [],
        "--allow",
        metavar="environment|inputs|platform",
        help="What may be different from then; may be repeated.",
    ),
    check: bool = typer.Option(False, "--check", help="Only say whether the run can be made again; run nothing."),
    keep: bool = typer.Option(False, "--keep", help="Keep the copy of the code that it ran in."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="Print only the table and what fails."),
) -> int:
    """Make an earlier run again, with its code, environments, parameters and data, and compare what comes of it.

    Exit code: 0 if it came to the same within the tolerance, 1 if it did not, 2 if it cannot be made again or the call
    is wrong, 130 after Ctrl-C.
    """
    from toolkit.cli.progress import Progress  # noqa: PLC0415 - the spec and the flows
    from toolkit.flows.comparison import read_tolerance  # noqa: PLC0415 - the same
    from toolkit.flows.reproduced import as_json as plain  # noqa: PLC0415 - the same

    limits = read_tolerance(tolerance)
    places = _places(inputs)
    for word in allow:
        if word not in _ALLOWANCES:
            raise InvalidValue(f"--allow {word!r}: wanted one of {', '.join(_ALLOWANCES)}")
    with opened() as stores:
        run_id = find_run(stores, run).info.run_id
    progress = Progress(quiet=quiet or load().quiet)
    request = ReproduceRequest(
        run_id=run_id,
        tolerance=limits,
        outputs=outputs,
        allow=frozenset(allow),
        inputs=places,
        keep=keep,
        check=check,
    )
    try:
        result = reproduce_run(request, progress)
    except NotReproducible as error:
        if as_json:
            problems = [{"kind": one.kind, "text": one.text} for one in error.problems]
            show_json({"schema": 1, "run_id": run_id, "reproducible": False, "problems": problems})
        raise
    except KeyboardInterrupt:  # once it has begun, a run ends in order and says so itself
        raise RunKilled("interrupted before the run began: nothing was recorded") from None
    if as_json:
        show_json({"schema": 1, "reproducible": True, **plain(result)})
    _report(result, outputs=outputs, tables=not as_json)
    return result.exit_code


def _places(texts: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in texts:
        name, sign, path = text.partition("=")
        if not name or not sign or not path:
            raise InvalidValue(f"--input {text!r}: wanted NAME=PATH")
        if name in found:
            raise InvalidValue(f"--input {name!r} is given twice: give it once")
        found[name] = Path(path).expanduser().absolute()
    return found


def _report(result: Reproduced, *, outputs: bool, tables: bool) -> None:
    """Print the tables, and in one line what came of it."""
    for note in result.notes:
        say(f"note: {note}")
    if result.outcome is None or result.comparison is None:
        say(f"run {result.old} can be reproduced: code, data and locks are there (environments are built when it runs)")
        return
    if tables:
        _tables(result.comparison)
    found = result.comparison
    if result.outcome.exit_code:
        say(f"error: {result.outcome.reason or result.outcome.status}")
    far = sum(not row.within for row in found.metrics)
    files = sum(not row.same for row in found.outputs)
    missing = [f"step {label} did not run again" for label in found.only_old]
    missing += [f"step {label} had not run then" for label in found.only_new]
    metrics = f"{far} of {len(found.metrics)} metrics beyond the tolerance" if far else "metrics agree"
    if not found.metrics:
        metrics = "no metrics"
    left = f"{files} of {len(found.outputs)} files differ" if files else "files are the same"
    if not found.outputs:
        left = "no files"
    counted = "" if outputs or not files else " (not counted without --outputs)"
    verdict = "reproduced" if result.same else "not reproduced"
    say(f"{verdict}: {'; '.join([metrics, left + counted, *missing])}")
    say(f"  see it:   toolkit runs show {result.new}")


def _tables(found: Comparison) -> None:
    if found.metrics:
        show_table(
            ("step", "metric", "old", "new", "difference", "relative", ""),
            [
                (
                    row.step,
                    row.metric,
                    _value(row.old),
                    _value(row.new),
                    _value(row.difference),
                    "" if row.relative is None else f"{row.relative:.2g}",
                    "" if row.within else "differs",
                )
                for row in found.metrics
            ],
        )
    if found.metrics and found.outputs:
        show("")
    if found.outputs:
        show_table(
            ("step", "file", "old", "new", ""),
            [
                (row.step, row.path, (row.old or "-")[:12], (row.new or "-")[:12], "" if row.same else "differs")
                for row in found.outputs
            ],
        )


def _value(value: float | None) -> str:
    return "-" if value is None else number(value)
