"""The container engine: Docker's, or another one that speaks its API, such as Podman's.

The one module that finds and talks to it. Its failures become one line that says what to do.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils import parse_repository_tag
from requests.exceptions import RequestException

from toolkit.errors import EnvironmentBuildError
from toolkit.flows.codebase import SourceFile
from toolkit.flows.environments.container import CODE
from toolkit.flows.environments.prepared import Report

ENGINE_FAILURES = (DockerException, RequestException, OSError)
"""What a call of the engine raises where it cannot be done."""

_DEFAULT = "unix:///var/run/docker.sock"
_ANSWERS_IN = 10.0
_DOES_IN = 120.0  # seconds without a word from it, of what it is asked to do
_TAIL = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """An image that the engine has.

    Attributes:
        name: As it was asked for.
        id: Digest of its content, ``sha256:…``.
        digests: Names with a digest by which registries know it.
        labels: What it says of itself.
    """

    name: str
    id: str
    digests: tuple[str, ...] = ()
    labels: Mapping[str, str]


class Engine:
    """A container engine that answers.

    Args:
        client: Docker's SDK.
        address: Where the engine is.
        environ: The environment.
    """

    def __init__(self, client: docker.DockerClient, address: str, environ: Mapping[str, str]) -> None:
        self.client = client
        self.address = address
        self._environ = environ
        self._on_desktop: bool | None = None

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine, so that files and the loopback address are the same for both."""
        return urlsplit(self.address).scheme in ("unix", "http+unix", "npipe")

    @property
    def is_desktop(self) -> bool:
        """Whether it runs containers in a virtual machine, as Docker Desktop does: its host network is another one."""
        if self._on_desktop is None:
            self._on_desktop = "desktop" in str(self.client.info().get("OperatingSystem", "")).lower()
        return self._on_desktop

    def close(self) -> None:
        """Close its connections."""
        self.client.close()

    # -- images ------------------------------------------------------------------------------------

    def image(self, name: str, report: Report) -> Image:
        """Return an image, fetching it from its registry where the engine does not have it.

        Raises:
            EnvironmentBuildError: There is none of this name, here or there.
        """
        found = self.find_image(name)
        if found is None:
            report(f"pulling image {name}")
            self._pull(name)
            found = self.find_image(name)
        if found is None:
            raise EnvironmentBuildError(_missing(name, "the engine does not have it after pulling it"))
        return found

    def find_image(self, name: str) -> Image | None:
        """Return an image that the engine has; ``None`` where it does not."""
        try:
            image = self.client.images.get(name)
        except ImageNotFound:
            return None
        except ENGINE_FAILURES as error:
            raise EnvironmentBuildError(f"the image {name} cannot be looked up: {words(error)}") from error
        return Image(
            name=name,
            id=str(image.id),
            digests=tuple(image.attrs.get("RepoDigests") or ()),
            labels=image.labels or {},
        )

    def _pull(self, name: str) -> None:
        repository, tag = parse_repository_tag(name)
        said = ""
        try:
            for line in self.client.api.pull(repository, tag=tag or "latest", stream=True, decode=True):
                said = str(line.get("error") or "") or said
        except ENGINE_FAILURES as error:
            said = words(error)
        if said:
            raise EnvironmentBuildError(_missing(name, said))

    def build(
        self, base: str, project: Path, files: Iterable[SourceFile], *, tag: str, labels: Mapping[str, str]
    ) -> Image:
        """Build the image that has a project's files in MLflow's folder on top of a base image.

        Args:
            base: Name of the base image, which the engine has.
            project: The project's directory.
            files: Its files.
            tag: Name of the new image.
            labels: What it says of itself.

        Raises:
            EnvironmentBuildError: It cannot be built; the message has the engine's last words.
        """
        said: list[str] = []
        failure = ""
        with tempfile.TemporaryFile() as context:
            _write_context(context, base, project, files)
            context.seek(0)
            try:
                for line in self.client.api.build(
                    fileobj=context, custom_context=True, tag=tag, labels=dict(labels), rm=True, decode=True
                ):
                    failure = str(line.get("error") or "") or failure
                    said += str(line.get("stream") or "").splitlines()
            except ENGINE_FAILURES as error:
                failure = words(error)
        found = None if failure else self.find_image(tag)
        if found is None:
            shown = "".join(f"\n    {line}" for line in [line for line in said if line.strip()][-_TAIL:])
            raise EnvironmentBuildError(
                f"the image of {project} cannot be built on {base}: {failure or 'the engine has none after it'}"
                + (f"; the engine says:{shown}" if shown else "")
            )
        return found


def connect(environ: Mapping[str, str]) -> Engine:
    """Return the engine that the environment names, else the one that answers on this machine.

    ``DOCKER_HOST``, then Docker's current context, then the sockets that Docker, Docker Desktop, rootless Docker and
    Podman usually have.

    Raises:
        EnvironmentBuildError: None answers.
    """
    failures: dict[str, BaseException] = {}
    for address in _addresses(environ):
        try:
            return _open(address, environ)
        except ENGINE_FAILURES as error:
            failures[address] = error
    raise EnvironmentBuildError(_explain(failures))


def _addresses(environ: Mapping[str, str]) -> list[str]:
    if environ.get("DOCKER_HOST"):
        return [environ["DOCKER_HOST"]]
    found = []
    with contextlib.suppress(*ENGINE_FAILURES, ValueError, KeyError):
        context = docker.context.ContextAPI.get_current_context()
        if context is not None and context.name != "default" and context.Host:
            found.append(str(context.Host))
    home, runtime = Path("~").expanduser(), environ.get("XDG_RUNTIME_DIR", "")
    places = [home / ".docker/run/docker.sock", home / ".docker/desktop/docker.sock", Path("/run/podman/podman.sock")]
    if runtime:
        places += [Path(runtime) / "docker.sock", Path(runtime) / "podman" / "podman.sock"]
    return list(dict.fromkeys([*found, _DEFAULT, *(f"unix://{place}" for place in places if _is_socket(place))]))


def _is_socket(place: Path) -> bool:
    try:
        return stat.S_ISSOCK(place.stat().st_mode)
    except OSError:
        return False


def _open(address: str, environ: Mapping[str, str]) -> Engine:
    place = urlsplit(address)
    if place.scheme in ("unix", "http+unix"):  # the SDK does not close a socket that cannot be connected
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(_ANSWERS_IN)
            knock.connect(place.netloc + place.path)
    variables = {**environ, "DOCKER_HOST": address}
    client = docker.from_env(environment=variables, timeout=_ANSWERS_IN)
    client.api.timeout = _DOES_IN
    return Engine(client, address, environ)


def _explain(failures: Mapping[str, BaseException]) -> str:
    """Say why no engine can be used: one that refuses us is worth more than those that are not there."""
    for address, error in failures.items():
        if _cause(error, PermissionError):
            return (
                f"the container engine at {address} refuses this user (permission denied): add the user to the group "
                "that owns the socket (usually: sudo usermod -aG docker $USER, then log in again), or name an engine "
                "of the user's own in DOCKER_HOST"
            )
    address, error = next(iter(failures.items()))
    reason = "there is no such socket" if _cause(error, FileNotFoundError) else words(error)
    if _cause(error, ConnectionRefusedError):
        reason = "nobody listens there"
    return (
        f"docker_env needs a container engine, and none answers at {address} ({reason}): start Docker, or Podman's "
        "service (systemctl --user start podman.socket), or name an engine in DOCKER_HOST"
    )


def _cause(error: BaseException, kind: type[OSError]) -> bool:
    """Tell whether an exception of a kind is at the bottom of another one."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, kind):
            return True
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            waiting += [*found.args, found.__cause__, found.__context__, getattr(found, "reason", None)]
    return False


def words(error: BaseException) -> str:
    """Return in one line what the engine, or the way to it, says is wrong."""
    text = str(error)
    if isinstance(error, APIError):
        text = str(error.explanation or error)
        with contextlib.suppress(ValueError, AttributeError):
            text = str(json.loads(text).get("message") or text)
    return " ".join(text.split())[:500] or type(error).__name__


def _missing(name: str, said: str) -> str:
    return (
        f"the image {name} is not on this machine and cannot be pulled ({' '.join(said.split())[:400]}): build it "
        f"first (docker build -t {name} DIRECTORY), log in to its registry, or correct docker_env's image"
    )


# -- what an image is built from ---------------------------------------------------------------------


def _write_context(target: IO[bytes], base: str, project: Path, files: Iterable[SourceFile]) -> None:
    recipe = f"FROM {base}\nCOPY project/ {CODE}/\nWORKDIR {CODE}/\n".encode()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(recipe)
        archive.addfile(entry, io.BytesIO(recipe))
        folder = tarfile.TarInfo("project")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for file in files:
            archive.add(project / file.path, arcname=f"project/{file.path}", recursive=False, filter=_nobodys)


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Take from an entry who owns it and when it changed: the same files give the same layer."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


# -- what comes out of a container -------------------------------------------------------------------


def copy_out(container: Any, path: str, target: Path) -> bool:  # noqa: ANN401 - the SDK has no types
    """Copy a file or folder from a container to a path here; tell whether it was there.

    Args:
        container: The SDK's container.
        path: Absolute, in the container.
        target: Where it goes; what is there is replaced.

    Raises:
        DockerException: The engine failed.
        OSError: It cannot be written.
    """
    try:
        stream, _ = container.get_archive(path)
    except docker.errors.NotFound:
        return False
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        with tarfile.open(fileobj=_Chunks(stream), mode="r|") as archive:
            for entry in archive:
                _unpack(archive, entry, Path(folder))
        (top,) = Path(folder).iterdir()
        os.replace(top, target)  # noqa: PTH105 - the same, and it takes folders
    return True


def _unpack(archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> None:
    """Write one entry of an archive below a folder: folders and files, and links that stay inside."""
    parts = PurePosixPath(entry.name).parts
    if ".." in parts or entry.name.startswith("/"):
        raise OSError(f"the engine sent the file {entry.name!r}, which lies outside of what was asked for")
    place = folder.joinpath(*parts)
    if not place.parent.resolve().is_relative_to(folder.resolve()):
        raise OSError(f"the engine sent the file {entry.name!r} below a link")
    if entry.isdir():
        place.mkdir(exist_ok=True)
    elif entry.issym():
        if not entry.linkname.startswith("/") and ".." not in PurePosixPath(entry.linkname).parts:
            place.symlink_to(entry.linkname)
    elif (content := archive.extractfile(entry)) is not None:
        with content, place.open("wb") as file:
            shutil.copyfileobj(content, file)
        place.chmod(0o755 if entry.mode & 0o100 else 0o644)


class _Chunks(io.RawIOBase):
    """Chunks of bytes as a file to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to so many bytes; none at the end."""
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        size = len(self._rest) if size < 0 else size
        given, self._rest = self._rest[:size], self._rest[size:]
        return given
