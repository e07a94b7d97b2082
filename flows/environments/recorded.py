"""Environments as they were in an earlier run: what its locks list, and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from toolkit.errors import EnvironmentBuildError, ProjectError
from toolkit.flows.environments import local, uv
from toolkit.flows.environments.prepared import PreparedEnvironment, Report, canonical, machine
from toolkit.spec.environment import read_environment
from toolkit.spec.project import EnvironmentRef, Project

_CONDA, _IMAGE_ID, _DIGEST = "# conda ", "# id ", "# digest "
_INCLUDES = ("-r", "--requirement", "-c", "--constraint")
_NAMES_A_PACKAGE = ("-e", "--editable")
_ALLOW = "--allow environment builds what the project declares as it is resolved now"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedEnvironment:
    """What a step of an earlier run ran in.

    Attributes:
        kind: What provided it: ``uv``, ``conda``, ``docker``, ``local``.
        key: Its key then.
        lock: Its lock.
    """

    kind: str
    key: str
    lock: str

    @property
    def python(self) -> str:
        """Full version of its Python; empty where it has none, and for a container."""
        return self._comment("# python ")

    @property
    def platform(self) -> str:
        """The platform that its packages are for; empty for a container."""
        return self._comment("# platform ")

    @property
    def distributions(self) -> list[str]:
        """A line for each Python distribution."""
        return [line for line in self.lock.splitlines() if line.strip() and not line.startswith("#")]

    @property
    def image_id(self) -> str:
        """Id of the image, of a container."""
        return self._comment(_IMAGE_ID)

    @property
    def image_digests(self) -> list[str]:
        """Names by which the registry gives this very image out."""
        return [line.removeprefix(_DIGEST) for line in self.lock.splitlines() if line.startswith(_DIGEST)]

    def _comment(self, begin: str) -> str:
        return next((line.removeprefix(begin) for line in self.lock.splitlines() if line.startswith(begin)), "")


@dataclass(kw_only=True)
class RecordedEnvironments:
    """Gives steps what they ran in then.

    Attributes:
        by_ref: What was recorded, by what declares it; ``None`` is for steps that declare nothing.
        directory: Where the project was then: packages in it are installed from where it is now.
        changes: What is not as it was: filled as environments are made.
    """

    by_ref: Mapping[EnvironmentRef | None, RecordedEnvironment]
    directory: Path | None = None
    changes: list[str] = field(default_factory=list)

    def prepare(
        self, ref: EnvironmentRef | None, *, project: Project, home: Path, report: Report
    ) -> PreparedEnvironment | None:
        """Return the environment that a lock describes; ``None`` where none is recorded.

        Raises:
            EnvironmentBuildError: It cannot be built.
        """
        recorded = self.by_ref.get(ref)
        if recorded is None:
            return None
        if recorded.kind == "conda":
            return self._conda(recorded, home, project.directory, report)
        if recorded.kind == "local":
            here = local.prepare()
            if here.lock == recorded.lock:
                return here
        else:
            there = uv.kept(recorded.key, recorded.lock, home=home, project=project.directory, report=report)
            if there is not None:
                return there
        prepared = uv.prepare_locked(
            [self._moved(line, project.directory) for line in recorded.distributions],
            options=list(_options(ref, project)),
            python=recorded.python,
            home=home,
            project=project.directory,
            report=report,
        )
        self.changes += changes(recorded.lock, prepared.lock)
        return prepared

    def image(
        self, ref: EnvironmentRef, prepare: Callable[[EnvironmentRef], PreparedEnvironment]
    ) -> PreparedEnvironment:
        """Return a container of the very image that a step ran in, wherever that is to be had.

        Args:
            ref: The ``docker_env``.
            prepare: Prepares one.

        Raises:
            EnvironmentBuildError: The image is another one by now.
        """
        recorded = self.by_ref.get(ref)
        assert ref.docker is not None
        if recorded is None or not recorded.image_id:
            return prepare(ref)
        found: list[str] = []
        for name in dict.fromkeys([ref.docker.image, recorded.image_id, *recorded.image_digests]):
            try:
                prepared = prepare(replace(ref, docker=replace(ref.docker, image=name)))
            except EnvironmentBuildError as error:
                found.append(str(error).splitlines()[0])
                continue
            if prepared.container is not None and prepared.container.image_id == recorded.image_id:
                return prepared
            found.append(f"{name} is {_short(prepared)} by now")
            prepared.release()
        raise EnvironmentBuildError(
            f"the image {recorded.image_id.removeprefix('sha256:')[:12]} that the run had is not to be had:"
            f" {'; '.join(found)}; {_ALLOW}"
        )

    def _conda(self, recorded: RecordedEnvironment, home: Path, project: Path, report: Report) -> PreparedEnvironment:
        from toolkit.flows.environments import conda  # noqa: PLC0415 - few projects need it

        return conda.prepare_locked(recorded.key, recorded.lock, home=home, project=project, report=report)

    def _moved(self, line: str, project: Path) -> str:
        """Return the line of a package in the project's directory with where that is now."""
        head, sign, url = line.rpartition("file://")
        if not sign or self.directory is None:
            return line
        path = Path(unquote(urlsplit(f"file://{url}").path))
        if not path.is_relative_to(self.directory):
            return line
        return f"{head}file://{quote(str(project / path.relative_to(self.directory)))}"


def changes(old: str, new: str) -> list[str]:
    """Return what differs between two locks, a line each; packages that are installed from a path do not count."""
    before, now = dict(_pairs(old)), dict(_pairs(new))
    return [
        f"{name} {before.get(name, '(none)')} -> {now.get(name, '(none)')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def is_here(recorded: RecordedEnvironment) -> bool:
    """Tell whether an environment is one of this platform's; a container is of none."""
    return recorded.platform in ("", machine())


def _pairs(lock: str) -> Iterator[tuple[str, str]]:
    for line in lock.splitlines():
        if line.startswith("# python "):
            yield "python", line.removeprefix("# python ")
        elif "file://" not in line and not line.startswith("#") and (line := line.strip()):
            name, _, version = line.partition("==" if "==" in line else " @ ")
            if canonical(name) != "toolkit":  # the one that runs this, as a path or by its version
                yield canonical(name), version


def _short(prepared: PreparedEnvironment) -> str:
    return "" if prepared.container is None else prepared.container.image_id.removeprefix("sha256:")[:12]


def _options(ref: EnvironmentRef | None, project: Project) -> Iterator[str]:
    """Yield what the project's own requirements say of where packages come from."""
    if ref is None or ref.docker is not None:
        return
    try:
        spec = read_environment(project, ref)
    except ProjectError:
        return
    yield from dict.fromkeys(_option_lines((*spec.build_dependencies, *spec.dependencies), project.directory, set()))


def _option_lines(lines: Iterable[str], base: Path, seen: set[Path]) -> Iterator[str]:
    for line in lines:
        text = line.strip()
        words: Sequence[str] = shlex.split(text, comments=True) if text.startswith("-") else ()
        if not words or words[0].startswith(_NAMES_A_PACKAGE):
            continue
        if words[0].startswith(_INCLUDES):
            file = base / words[-1].partition("=")[2] if "=" in words[0] else base / words[-1]
            if file.is_file() and file not in seen:
                seen.add(file)
                yield from _option_lines(file.read_text(encoding="utf-8").splitlines(), file.parent, seen)
        else:
            yield text
