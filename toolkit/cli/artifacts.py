"""``toolkit artifacts``: list, get, log and delete the files of runs. MLflow's commands and options work too."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import typer

from toolkit.cli.files_progress import FilesProgress
from toolkit.cli.render import say, show, show_json, show_table, size
from toolkit.cli.store import find_run, opened
from toolkit.errors import AlreadyExists, InvalidValue, NotFound
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import ArtifactEntry, Run, RunQuery

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List, get, log and delete the files of runs.",
)
RUN = typer.Argument(..., metavar="RUN", help="Id, beginning of an id, name, or @last.")
_RUN = typer.Argument(None, metavar="[RUN]", help="Id, beginning of an id, name, or @last.")
_RUN_ID = typer.Option(None, "-r", "--run-id", metavar="RUN", help="The same as an option, as MLflow has it.")
_PATH = typer.Argument(None, metavar="[PATH]", help="Only what is at or below this path.")
_ARTIFACT_PATH = typer.Option(None, "-a", "--artifact-path", metavar="PATH", help="The path as an option.")
_UNDER = typer.Option(None, "-a", "--artifact-path", metavar="PATH", help="Folder among the artifacts to put it in.")
_THE_RUN = typer.Option(..., "-r", "--run-id", metavar="RUN", help="Id, beginning of an id, name, or @last.")
_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.callback()
def root() -> None:
    """Group the commands."""


@app.command("list")
def list_(
    run: str | None = _RUN,
    path: str | None = _PATH,
    run_id: str | None = _RUN_ID,
    artifact_path: str | None = _ARTIFACT_PATH,
    as_json: bool = _JSON,
) -> None:
    """List a run's artifacts."""
    with opened() as stores:
        found = find_run(stores, _one("RUN", run, run_id))
        entries = _entries(stores, found, _either("PATH", path, artifact_path))
    if as_json:
        rows = [{"path": entry.path, "size": entry.size, "sha256": entry.sha256} for entry in entries]
        show_json({"schema": 1, "artifacts": rows})
        return
    show_table(("path", "size", "sha256"), [(entry.path, size(entry.size), entry.sha256[:12]) for entry in entries])


@app.command("get")
def get(
    run: str = RUN,
    path: str = typer.Argument("", metavar="[PATH]", help="File or folder among the artifacts; default: all."),
    target: Path = typer.Option(Path(), "-d", "--dst-path", metavar="DIR", help="Where to put it; default: here."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace files that are there already."),
    as_json: bool = _JSON,
) -> None:
    """Copy artifacts of a run to a local directory, checking their digests."""
    with opened() as stores:
        files = _fetch(stores, find_run(stores, run), path, target, overwrite=overwrite)
    if as_json:
        show_json({"schema": 1, "files": [str(file) for file in files]})
        return
    for file in files:
        say(f"{file}")


@app.command("download")
def download(
    run_id: str | None = typer.Option(None, "-r", "--run-id", metavar="RUN", help="Id, name, or @last."),
    artifact_path: str | None = typer.Option(
        None, "-a", "--artifact-path", metavar="PATH", help="File or folder among the artifacts; default: all."
    ),
    uri: str | None = typer.Option(
        None, "-u", "--artifact-uri", metavar="URI", help="Instead of both: runs:/RUN_ID/PATH."
    ),
    target: Path | None = typer.Option(
        None, "-d", "--dst-path", metavar="DIR", help="Where to put it; default: a new temporary directory."
    ),
) -> None:
    """Copy artifacts as MLflow's command does: print where they are, and replace what is there."""
    if uri is not None:
        if run_id is not None or artifact_path is not None:
            raise InvalidValue("artifacts were named by --artifact-uri and by --run-id or --artifact-path: choose one")
        run_id, artifact_path = _run_and_path(uri)
    path = (artifact_path or "").strip("/")
    folder = (target or Path(tempfile.mkdtemp(prefix="toolkit-"))).absolute()
    with opened() as stores:
        _fetch(stores, find_run(stores, _one("--run-id", run_id, None)), path, folder, overwrite=True)
    show(str(folder / path))


@app.command("log")
def log(
    run: str = RUN,
    source: Path = typer.Argument(..., metavar="SOURCE", help="A local file or directory."),
    path: str | None = typer.Argument(None, metavar="[PATH]", help="Its path among the artifacts; default: its name."),
) -> None:
    """Store a local file or directory as artifacts of a run."""
    _log(run, source, path or source.resolve().name)


@app.command("log-artifact")
def log_artifact(
    file: Path = typer.Option(..., "-l", "--local-file", metavar="FILE", help="A local file."),
    run_id: str = _THE_RUN,
    artifact_path: str | None = _UNDER,
) -> None:
    """Store a local file as an artifact of a run, as MLflow's command does."""
    if file.is_dir():
        raise InvalidValue(f"{file} is a directory: log it with toolkit artifacts log-artifacts --local-dir {file}")
    _log(run_id, file, str(PurePosixPath(artifact_path or "") / file.name))


@app.command("log-artifacts")
def log_artifacts(
    directory: Path = typer.Option(..., "-l", "--local-dir", metavar="DIR", help="A local directory."),
    run_id: str = _THE_RUN,
    artifact_path: str | None = _UNDER,
) -> None:
    """Store what is in a local directory as artifacts of a run, as MLflow's command does."""
    if not directory.is_dir():
        raise NotFound(f"there is no directory {directory} to log")
    _log(run_id, directory, artifact_path or "")


@app.command("delete")
def delete(
    run: str = RUN,
    path: str = typer.Argument(..., metavar="PATH", help="File among the artifacts, or folder with --recursive."),
    recursive: bool = typer.Option(False, "-R", "--recursive", help="Also a folder, with all that is below it."),
) -> None:
    """Delete an artifact of a run, for good."""
    with opened() as stores:
        found = find_run(stores, run)
        entries = _entries(stores, found, path)
        if not entries:
            raise _nothing(found, path)
        if not recursive and [entry.path for entry in entries] != [path]:
            raise InvalidValue(f"{path!r} is a folder of {len(entries)} artifacts: give --recursive to delete them all")
        gone = RecordedRun(stores, found, strict=True).remove([entry.path for entry in entries])
    say(f"deleted {len(gone)} {'artifact' if len(gone) == 1 else 'artifacts'} of run {found.info.run_id}")


def _log(run: str, source: Path, path: str) -> None:
    with opened() as stores, FilesProgress("stored") as progress:
        found = find_run(stores, run)
        recorded = RecordedRun(stores, found, strict=True)
        if source.is_dir():
            entries = recorded.log_folder(source, path, report=progress)
        else:
            entries = recorded.log_path(source, path)
    total = size(sum(entry.size for entry in entries))
    files = f"{len(entries)} {'file' if len(entries) == 1 else 'files'}"
    say(f"stored {files} ({total}) of run {found.info.run_id}")


def _fetch(stores: Stores, run: Run, path: str, target: Path, *, overwrite: bool) -> Sequence[Path]:
    """Copy artifacts to a directory; return the files."""
    entries = _entries(stores, run, path)
    if not entries:
        children = stores.runs.list_runs(RunQuery(parent_run_id=run.info.run_id, limit=20)).items
        if not path and children:
            steps = ", ".join(f"{child.info.run_id[:8]} ({child.info.run_name})" for child in reversed(children))
            raise NotFound(f"run {run.info.run_id} has no artifacts of its own; its steps may have: {steps}")
        raise _nothing(run, path)
    there = next((file for entry in entries if (file := target / entry.path).exists()), None)
    if there and not overwrite:
        raise AlreadyExists(f"{there} is there already: give --overwrite to replace it, or another --dst-path")
    with FilesProgress("fetched") as progress:
        return list(RecordedRun(stores, run).fetch_all(entries, target, report=progress).values())


def _entries(stores: Stores, run: Run, path: str) -> list[ArtifactEntry]:
    """Return all that is listed at or below a path."""
    page = stores.runs.list_artifacts(run.info.run_id, prefix=path)
    found = list(page.items)
    while page.next_page_token is not None:
        page = stores.runs.list_artifacts(run.info.run_id, prefix=path, page_token=page.next_page_token)
        found += page.items
    return found


def _nothing(run: Run, path: str) -> NotFound:
    return NotFound(f"run {run.info.run_id} has no artifact {path!r}: see toolkit artifacts list {run.info.run_id}")


def _run_and_path(uri: str) -> tuple[str, str]:
    if not uri.startswith("runs:/"):
        raise InvalidValue(f"{uri!r} names no artifacts of a run: wanted runs:/RUN_ID/PATH")
    run_id, _, path = uri.removeprefix("runs:").lstrip("/").partition("/")
    return run_id, path


def _either(what: str, argument: str | None, option: str | None) -> str:
    """Return what was given as an argument or as an option; empty if neither was."""
    if argument is not None and option is not None and argument != option:
        raise InvalidValue(f"{what} was given twice, as {argument!r} and as {option!r}: choose one")
    return argument or option or ""


def _one(what: str, argument: str | None, option: str | None) -> str:
    found = _either(what, argument, option)
    if not found:
        raise InvalidValue(f"no run was named: wanted {what}, an id, the beginning of one, a name, or @last")
    return found
