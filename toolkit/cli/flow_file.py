"""The command line of a flow that stands in a file of its own: ``python flow.py --alpha 0.3``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from toolkit.cli.main import answered
from toolkit.wiring.request import RunRequest

if TYPE_CHECKING:
    from toolkit.spec.project import Parameter


def main(workflow: Any, flow: Any) -> None:  # noqa: ANN401 - `toolkit.workflow.Workflow` and its flow, which are above
    """Run a flow with the values of the command line, and exit as ``toolkit run`` does.

    Args:
        workflow: The workflow.
        flow: Its flow.
    """
    parameters = workflow.parameters(flow.function)
    options = vars(_parser(flow.function.__doc__, parameters).parse_args())
    own = {name: options.pop(f"toolkit {name}") for name in ("run_name", "experiment_name", "debug")}
    given = {name: value for name, value in options.items() if value is not None}

    def work() -> int:
        from toolkit.cli.progress import Progress  # noqa: PLC0415 - when something runs
        from toolkit.flows.called_flow import FlowProgram  # noqa: PLC0415 - imports Prefect

        progress = Progress()
        outcome = workflow.execute(
            flow.function,
            given,
            program=FlowProgram(flow),
            request=RunRequest(uri=".", run_name=own["run_name"], experiment_name=own["experiment_name"]),
            reporter=progress,
        )
        progress.summary(outcome)
        return int(outcome.exit_code)

    sys.exit(answered(work, debug=bool(own["debug"])))


def _parser(description: str | None, parameters: dict[str, Parameter]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    taken = set()
    for name, parameter in parameters.items():
        option = f"--{name.replace('_', '-')}"
        taken |= {option, f"--{name}"}
        parser.add_argument(
            *dict.fromkeys((option, f"--{name}")),
            dest=name,
            metavar=parameter.type.upper(),
            required=parameter.required,
            help="required" if parameter.required else f"default: {parameter.default!r}".replace("%", "%%"),
        )
    for name, text in (("run-name", "Name of the run."), ("experiment-name", "Experiment of the runs.")):
        options = [f"--{name}"] if f"--{name}" not in taken else [f"--toolkit-{name}"]
        parser.add_argument(*options, dest=f"toolkit {name.replace('-', '_')}", metavar="NAME", help=text)
    debug = "--debug" if "--debug" not in taken else "--toolkit-debug"
    parser.add_argument(debug, dest="toolkit debug", action="store_true", help="Show the traceback of an error.")
    return parser
