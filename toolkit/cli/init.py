"""``toolkit init``: a new project that runs at once."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import typer

from toolkit.cli.new_file import write_new_file
from toolkit.cli.render import say, show, show_json
from toolkit.errors import AlreadyExists, InvalidValue
from toolkit.templates import TEMPLATES, template_files

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog="Examples:  toolkit init wine --template workflow  |  toolkit init --list")
def init(
    directory: Path = typer.Argument(Path(), metavar="DIR", help="Where; made if it is not there."),
    template: str = typer.Option(
        "workflow", "-t", "--template", metavar="|".join(TEMPLATES), help="What to begin with; see --list."
    ),
    name: str | None = typer.Option(None, "--name", help="Name of the project; default: the directory's."),
    list_them: bool = typer.Option(False, "--list", help="List the templates, and make nothing."),
    as_json: bool = typer.Option(False, "--json", help="Print what was made as JSON."),
) -> None:
    """Make a new project from a template. It asks nothing, and overwrites nothing."""
    if list_them:
        if as_json:
            show_json({"schema": 1, "templates": dict(TEMPLATES)})
        for key, text in TEMPLATES.items() if not as_json else ():
            show(f"{key}\t{text}")
        return
    if template not in TEMPLATES:
        raise InvalidValue(f"--template is {template!r}: wanted {', '.join(TEMPLATES)}")
    chosen = _name(name, directory)
    files = template_files(template, chosen)
    _check(directory, files)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidValue(f"{directory} cannot be made ({error.strerror}): name another directory") from None
    for file, text in files.items():
        write_new_file(directory / file, text)
    if as_json:
        show_json({"schema": 1, "directory": str(directory.absolute()), "name": chosen, "files": sorted(files)})
    else:
        say(f"made {chosen} in {directory}: {', '.join(sorted(files))}")
        say(f"  run it:    toolkit run {shlex.quote(str(directory))}")
        say(f"  see it:    toolkit compile {shlex.quote(str(directory))}")
        say(f"  check it:  toolkit lint {shlex.quote(str(directory))}")


def _name(given: str | None, directory: Path) -> str:
    """Return the project's name: a word that needs no quotes in the files of any template."""
    if given is not None:
        if not re.fullmatch(r"[A-Za-z][\w.-]*", given, flags=re.ASCII):
            raise InvalidValue(f"--name is {given!r}: wanted letters, digits and . _ -, a letter first")
        return given
    found = re.sub(r"[^\w.-]+", "-", directory.absolute().resolve().name, flags=re.ASCII).strip("-._")
    return found if re.match(r"[A-Za-z]", found) else f"project-{found}".rstrip("-")


def _check(directory: Path, files: dict[str, str]) -> None:
    """Refuse to write into what is there already, before anything is written."""
    if directory.exists() and not directory.is_dir():
        raise InvalidValue(f"{directory} is a file: name a directory")
    there = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    taken = sorted(set(files) & set(there)) or [one for one in there if one.lower() == "mlproject"]
    if taken:
        raise AlreadyExists(
            f"{directory} has {', '.join(taken)} already, and nothing is overwritten: name another directory"
        )
