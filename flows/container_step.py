"""A step in a container: what its paths are there, what it is told, and how its files come back."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from toolkit.errors import StepFailed, ToolkitError
from toolkit.flows.container_process import RUN_LABEL, ContainerProcess, ContainerSpec
from toolkit.flows.environments.container import CODE, DESKTOP, HOME, INPUTS, SOURCE, Bind, Container
from toolkit.flows.process import Exit
from toolkit.flows.stop import Stop
from toolkit.flows.workspace import Workspace
from toolkit.recording.lease import process_tag
from toolkit.recording.process import host_name, is_alive, this_process
from toolkit.settings import environment
from toolkit.spec.project import EntryPoint
from toolkit.spec.scope import OutputRef
from toolkit.tracking.records import Owner

CONTAINER_TAG = "toolkit.container"
"""Tag of a step's run: the id of its container."""

_LOOPBACK = re.compile(r"(?i)(https?://(?:[^@/]*@)?)(?:127\.0\.0\.1|localhost|\[::1\])(?=[:/]|$)")
_WHO_ASKS = ("USERNAME", "PASSWORD", "TOKEN", "INSECURE_TLS")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Marker:
    """The note of a container that may be there, for whoever comes after a process that died."""

    folder: Path
    run_id: str

    @property
    def file(self) -> Path:
        return self.folder / f"{self.run_id}.json"

    def write(self, address: str, name: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        note = {"engine": address, "name": name, "owner": process_tag(this_process())}
        self.file.write_text(json.dumps(note), encoding="utf-8")


class ContainerStep:
    """One run of a step in a container.

    Args:
        container: What the container is made from.
        entry_point: What runs.
        project: The project's directory.
        folder: The step's own folder on this machine.
        home: Toolkit's home.
    """

    def __init__(
        self, container: Container, entry_point: EntryPoint, *, project: Path, folder: Path, home: Path
    ) -> None:
        self._container = container
        self._entry_point = entry_point
        self._project = project
        self._home = home
        self._inputs: dict[str, Bind] = {}
        self.workspace = Workspace(
            project=project,
            entry_point=entry_point,
            folder=folder / "workspace",
            seen_at=Path(SOURCE),
            linked=container.code == "mounted",
        )

    # -- what is where -----------------------------------------------------------------------------

    def located(self, values: Mapping[str, object], located: Mapping[str, object]) -> dict[str, object]:
        """Return the values of a command with the paths that they have in the container.

        Args:
            values: The values as they were bound.
            located: The same with paths of this machine.
        """
        return {name: self._there(name, values.get(name), value) for name, value in located.items()}

    def _there(self, name: str, given: object, value: object) -> object:
        if isinstance(value, list | tuple) and isinstance(given, list | tuple):
            return [self._there(name, part, place) for part, place in zip(given, value, strict=True)]
        parameter = self._entry_point.parameters.get(name)
        fetched = isinstance(given, OutputRef) or str(given).startswith("runs:/")
        if not fetched and (parameter is None or parameter.type != "path"):
            return value
        return self._path(str(value), read_only=fetched)

    def _path(self, here: str, *, read_only: bool) -> str:
        place = Path(here)
        root = {"mounted": SOURCE if self.workspace.is_made else CODE, "built": CODE}.get(self._container.code or "")
        if root and place.is_relative_to(self._project):
            return str(PurePosixPath(root, *place.relative_to(self._project).parts))
        if here not in self._inputs:
            there = f"{INPUTS}/{len(self._inputs)}/{place.name}"
            self._inputs[here] = Bind(here=here, there=there, read_only=read_only)
        return self._inputs[here].there

    def _binds(self) -> list[Bind]:
        inputs = list(self._inputs.values())
        if self._container.code != "mounted":
            return inputs
        if not self.workspace.is_made:
            return [Bind(here=str(self._project), there=CODE), *inputs]
        workspace = Bind(here=str(self.workspace.directory), there=CODE)
        return [workspace, Bind(here=str(self._project), there=SOURCE), *inputs]

    # -- what it is told ---------------------------------------------------------------------------

    def _variables(self, told: Mapping[str, str | None], server: str | None) -> tuple[dict[str, str], bool]:
        """Return the container's variables, and whether it needs this machine's network for them."""
        variables = {name: value for name, value in told.items() if value is not None and name not in ("PWD", "PATH")}
        variables["TOOLKIT_HOME"] = HOME
        named = variables.get("TOOLKIT_TRACKING_URI", "").startswith(("http://", "https://"))
        if server is not None:
            variables["TOOLKIT_TRACKING_URI"] = server
        root = variables.get("TOOLKIT_ARTIFACT_ROOT", "")
        if not named or urlsplit(root).scheme in ("", "file"):
            variables.pop("TOOLKIT_ARTIFACT_ROOT", None)  # the server hands artifacts out
        if named:
            said = environment()
            names = [f"{tool}_TRACKING_{name}" for tool in ("TOOLKIT", "MLFLOW") for name in _WHO_ASKS]
            variables |= {name: said[name] for name in names if said.get(name)}
        network = self._container.options.get("network_mode")
        local = any(_LOOPBACK.match(value) for value in variables.values())
        shared = local and network is None and self._container.shares_network
        if local and not shared and network != "host":
            variables = {name: _LOOPBACK.sub(rf"\g<1>{DESKTOP}", value) for name, value in variables.items()}
        return variables | dict(self._container.variables), shared

    # -- running -----------------------------------------------------------------------------------

    def run(
        self,
        command: str,
        told: Mapping[str, str | None],
        *,
        server: str | None,
        run_id: str,
        timeout: float | None,
        grace: float,
        on_line: Callable[[str], None],
        stop: Stop,
        started: Callable[[str], None],
    ) -> Exit:
        """Run a command in a container; bring back what it leaves, if it ends well.

        Args:
            command: The shell command.
            told: Variables for it; those without a value are left out.
            server: Address of a tracking server.
            run_id: The step's run.
            timeout: Seconds after which it is ended.
            grace: Seconds between SIGTERM and SIGKILL.
            on_line: Takes each line of its output.
            stop: The wish to stop.
            started: Called with the container's id.

        Raises:
            StepFailed: The engine does not start it, or fails while it runs.
        """
        variables, shared = self._variables(told, server)
        spec = ContainerSpec(
            container=self._container,
            command=command,
            strict=self._entry_point.strict,
            run_id=run_id,
            directory=self._container.directory,
            binds=self._binds(),
            variables=variables,
            host_network=shared,
            timeout=timeout,
            grace=grace,
        )
        marker = _Marker(folder=self._home / "containers", run_id=run_id)
        marker.write(self._container.engine.address, spec.name)
        process = ContainerProcess(spec, on_line=on_line, stop=stop)
        try:
            with process:
                started(process.start())
                ended = process.wait()
                if ended.code == 0 and self._container.code != "mounted":
                    self._bring_out(process)
        finally:
            if process.is_gone:
                marker.file.unlink(missing_ok=True)
        return ended

    def _bring_out(self, process: ContainerProcess) -> None:
        """Copy what the command leaves from the container: its files are not here."""
        from toolkit.flows.environments.engine import ENGINE_FAILURES, copy_out, words  # noqa: PLC0415 - the SDK

        for path in (*self._entry_point.outputs.values(), *self._entry_point.metrics):
            target = self.workspace.file(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                copy_out(process.container, str(PurePosixPath(self._container.directory, path)), target)
            except ENGINE_FAILURES as error:
                raise StepFailed(f"{path} cannot be copied out of the container: {words(error)}") from error


# -- after a process that died -----------------------------------------------------------------------


def remove_left_containers(home: Path, report: Callable[[str], None]) -> int:
    """Remove the containers of steps whose process died without a word; return how many there were.

    An engine that does not answer now is asked again the next time.

    Args:
        home: Toolkit's home.
        report: Told of each that was removed.
    """
    left = [(file, note) for file, note in _notes(home / "containers") if not _in_use(str(note.get("owner", "")))]
    if not left:
        return 0
    from toolkit.flows.environments.engine import ENGINE_FAILURES, connect  # noqa: PLC0415 - imports the SDK

    removed = 0
    for file, note in left:
        with suppress(*ENGINE_FAILURES, ToolkitError):
            engine = connect({**environment(), "DOCKER_HOST": str(note.get("engine", ""))})
            try:
                wanted = {"label": f"{RUN_LABEL}={file.stem}"}
                for container in engine.client.containers.list(all=True, filters=wanted):
                    container.remove(force=True, v=True)
                    report(f"removed the container {container.name}, which a run that was lost had left")
                    removed += 1
            finally:
                engine.close()
            file.unlink(missing_ok=True)
    return removed


def _notes(folder: Path) -> list[tuple[Path, dict[str, object]]]:
    found = []
    try:
        files = [Path(entry) for entry in os.scandir(folder) if entry.name.endswith(".json")]
    except OSError:
        return []
    for file in files:
        with suppress(OSError, ValueError):
            found.append((file, json.loads(file.read_text(encoding="utf-8"))))
    return found


def _in_use(owner: str) -> bool:
    """Tell whether the process that made a container is there; one on another machine may be."""
    host, pid, started = [*owner.rsplit(":", 2), "", ""][:3]
    if host != host_name() or not pid.isdigit() or not started.isdigit():
        return bool(host) and host != host_name()
    return is_alive(Owner(host=host, pid=int(pid), started=int(started)))
