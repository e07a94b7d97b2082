"""The command ``toolkit``: its table of commands, and the one door where errors become output."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import Abort, TyperException

import toolkit
from toolkit.errors import ToolkitError

COMMANDS = {
    "run": ("toolkit.cli.run", "Run a project as a Prefect flow, with every step tracked."),
    "reproduce": ("toolkit.cli.reproduce", "Make an earlier run again, and compare what comes of it."),
    "compile": ("toolkit.cli.compile", "Show the flow that a project compiles to; nothing runs."),
    "flows": ("toolkit.cli.flows", "Deploy projects: on a schedule, on request, on other machines."),
    "init": ("toolkit.cli.init", "Make a new project from a template."),
    "lint": ("toolkit.cli.lint", "Say what is wrong or old-fashioned in a project, with file and line."),
    "up": ("toolkit.cli.up", "Start the local services that are not running."),
    "down": ("toolkit.cli.down", "Stop the local services."),
    "status": ("toolkit.cli.status", "Show the local services."),
    "ui": ("toolkit.cli.ui", "Look at runs, models and deployments in a browser."),
    "server": ("toolkit.cli.server", "Serve runs and artifacts to a team: MLflow's clients and toolkit's own."),
    "experiments": ("toolkit.cli.experiments", "List, make, rename, delete and restore experiments."),
    "runs": ("toolkit.cli.runs", "List, show, make, delete and restore runs."),
    "models": ("toolkit.cli.models", "List, show, use and compare the models that runs logged."),
    "registry": (
        "toolkit.cli.registry",
        "Register models; move versions to stages and aliases; ask where they come from.",
    ),
    "deployments": (
        "toolkit.cli.deployments",
        "Let versions serve: build, release, undo, watch; see what serves where.",
    ),
    "sync": ("toolkit.cli.sync", "Send what processes have logged and could not bring to the store."),
    "import": ("toolkit.cli.import_", "Bring experiments and runs from an export or from MLflow."),
    "export": ("toolkit.cli.export", "Write experiments and runs to a folder that import reads."),
    "gc": ("toolkit.cli.gc", "Show, or remove for good, what was deleted and what nobody needs."),
    "envs": ("toolkit.cli.envs", "List and remove the environments that steps run in."),
    "artifacts": ("toolkit.cli.artifacts", "List and get the files that runs left."),
    "db": ("toolkit.cli.db", "Look after the database that runs are recorded in."),
}
"""Each command's module, and the line that ``--help`` shows without importing it."""


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are called, so that ``toolkit --help`` is quick."""

    def __init__(self, **attrs: Any) -> None:  # noqa: ANN401 - what Typer gives
        super().__init__(**attrs)
        for name, (_, text) in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=text)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - the form of Typer's method
        """Return the commands in the table's order."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - Typer's own types
        """Import the command that is called."""
        if args and args[0] in COMMANDS:
            module = importlib.import_module(COMMANDS[args[0]][0])
            command = typer.main.get_command(module.app)
            command.name = args[0]
            self.commands[args[0]] = command
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="The machine-learning lifecycle in one package: projects as Prefect flows, tracked in SQL.",
    epilog="Add --debug to any command to see the traceback of an error.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"toolkit {toolkit.__version__}")  # noqa: T201 - data on standard output
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Hold the options of the command itself."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit code: 0 done, 1 the work failed, 2 the call was wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = _take_debug(arguments)
    return answered(lambda: _invoke(arguments), debug=debug)


def answered(work: Callable[[], int], *, debug: bool) -> int:
    """Do what a command does; return its exit code, with one line instead of a traceback where it fails.

    Args:
        work: Does it, and returns its exit code.
        debug: Whether the traceback is wanted, too.
    """
    try:
        code = work()
        sys.stdout.flush()  # a reader that has gone is noticed here, not when the interpreter ends
        return code
    except TyperException as error:
        return _usage_error(error)
    except ToolkitError as error:
        if debug:
            traceback.print_exc()
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, Abort):
        return _fail("interrupted", 130)
    except BrokenPipeError:
        return _nobody_reads()
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # what Typer makes of it
            return _nobody_reads()
        raise
    except Exception as error:  # noqa: BLE001 - the door: no traceback unless it was asked for
        if debug:
            traceback.print_exc()
        return _fail(f"{type(error).__name__}: {error} (a fault of toolkit's: run again with --debug and report it)", 1)


def _invoke(arguments: list[str]) -> int:
    result = typer.main.get_command(app)(args=arguments, prog_name="toolkit", standalone_mode=False)
    return result if isinstance(result, int) else 0


def _take_debug(arguments: list[str]) -> bool:
    """Take ``--debug`` out of the arguments, wherever it stands before ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if "--debug" not in arguments[:end]:
        return False
    arguments.remove("--debug")
    return True


def _usage_error(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    text = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        print(text, file=sys.stderr)  # noqa: T201 - the short help
        return 2
    path = context.command_path if context is not None else "toolkit"
    return _fail(f"{text.rstrip('.')}; see {path} --help", error.exit_code)


def _nobody_reads() -> int:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - be quiet at exit
    return 141


def _fail(text: str, code: int) -> int:
    print(f"error: {text}", file=sys.stderr)  # noqa: T201 - the one place that prints errors
    return code


def script() -> None:
    """Be the console script."""
    gc.set_threshold(200_000, 20, 20)  # Prefect's import alone makes a million objects that stay; see benchmarks.md
    code = main()
    gc.freeze()  # else Python looks through them all once more on its way out
    sys.exit(code)
