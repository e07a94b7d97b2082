"""``docker_env``: from what a project declares to what its containers are made from."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from toolkit import settings
from toolkit.errors import EnvironmentBuildError
from toolkit.flows import codebase
from toolkit.flows.codebase import SourceFile
from toolkit.flows.environments.container import CODE, Bind, Container, DockerOptions
from toolkit.flows.environments.docker_arguments import read_arguments
from toolkit.flows.environments.prepared import PreparedEnvironment, Report
from toolkit.flows.plan import Plan
from toolkit.flows.source import project_files
from toolkit.spec.project import DockerEnv, EnvironmentRef

if TYPE_CHECKING:
    from toolkit.flows.environments.engine import Engine, Image

BUILT_FROM = "toolkit.built-from"
"""Label of an image that was built here: what it was built from."""
PROJECT = "toolkit.project"
"""Label of such an image: the project in it."""

_AWS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "MLFLOW_S3_ENDPOINT_URL",
    "MLFLOW_S3_IGNORE_TLS",
)
_AZURE = ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCESS_KEY")
_NOT_IN_A_TAG = re.compile(r"[^a-z0-9._-]+")


def prepare(
    ref: EnvironmentRef, *, plan: Plan, options: DockerOptions, artifact_root: str, report: Report
) -> PreparedEnvironment:
    """Return what a container needs to be started: the image is there, and all that was asked for is understood.

    Args:
        ref: The ``docker_env``.
        plan: What is to run.
        options: What the user asks for besides.
        artifact_root: Where artifacts are kept: its credentials are passed on, as MLflow does.
        report: Takes short lines of progress.

    Raises:
        EnvironmentBuildError: No engine answers, the image cannot be had or built, or a variable is not set here.
        InvalidValue: An argument of ``docker run`` is wrong.
    """
    from toolkit.flows.environments.engine import connect  # noqa: PLC0415 - imports the SDK

    assert ref.docker is not None
    started = time.perf_counter()
    environ = settings.environment()
    wanted = read_arguments(options.arguments, host=environ)
    variables = _variables(ref.docker, environ, ref) | wanted.variables
    engine = connect(environ)
    try:
        base = engine.image(ref.docker.image, report)
        image = _built(ref.docker, plan, engine, base, report) if options.build_image else base
        directory = str(engine.client.images.get(image.id).attrs.get("Config", {}).get("WorkingDir") or "/")
        shared = engine.is_here and not engine.is_desktop
    except BaseException:
        engine.close()
        raise
    code: Literal["mounted", "built"] | None = (
        "built" if options.build_image else "mounted" if ref.docker.mount else None
    )
    secrets, binds = _credentials(artifact_root, environ)
    container = Container(
        engine=engine,
        image=image.name,
        image_id=image.id,
        code=code,
        directory=CODE if code else directory,
        variables=secrets | variables,
        volumes=[_volume(text, plan.project.directory) for text in ref.docker.volumes],
        binds=binds,
        options=wanted.engine,
        shares_network=shared,
    )
    report(f"using image {image.name} ({image.id.removeprefix('sha256:')[:12]})")
    digests = [f"# digest {digest}" for digest in sorted(image.digests)]
    return PreparedEnvironment(
        kind="docker",
        key=image.id.removeprefix("sha256:")[:16],
        directory=None,
        python="",
        lock="\n".join([f"# image {image.name}", f"# id {image.id}", *digests]) + "\n",
        reused=True,
        seconds=time.perf_counter() - started,
        container=container,
        release=engine.close,
    )


def _variables(docker: DockerEnv, environ: Mapping[str, str], ref: EnvironmentRef) -> dict[str, str]:
    """Return the variables that a project wants in its containers."""
    variables: dict[str, str] = {}
    for item in docker.environment:
        if isinstance(item, tuple):
            variables[item[0]] = item[1]
        elif item in environ:
            variables[item] = environ[item]
        else:
            raise EnvironmentBuildError(
                f"docker_env copies the variable {item} into the container, and it is not set here: set it, or write "
                f"[{item}, VALUE]",
                mark=ref.mark,
            )
    return variables


def _volume(text: str, project: Path) -> str:
    """Return a volume with the path here made absolute: ``~`` is the user's, ``./`` relative to the project."""
    here, colon, rest = text.partition(":")
    if here.startswith("~"):
        here = str(Path(here).expanduser())
    elif here in (".", "..") or here.startswith(("./", "../")):
        here = str((project / here).resolve())
    return here + colon + rest


def _credentials(artifact_root: str, environ: Mapping[str, str]) -> tuple[dict[str, str], list[Bind]]:
    """Return what a container needs to reach a remote artifact store itself, as MLflow passes it on."""
    scheme = urlsplit(artifact_root).scheme
    if scheme in ("s3", "s3a", "s3n"):
        found = {name: environ[name] for name in _AWS if name in environ}
        folder = Path("~/.aws").expanduser()
        if not folder.is_dir():
            return found, []
        found |= {"AWS_SHARED_CREDENTIALS_FILE": "/.aws/credentials", "AWS_CONFIG_FILE": "/.aws/config"}
        return found, [Bind(here=str(folder), there="/.aws", read_only=True)]
    if scheme in ("wasbs", "abfs", "abfss", "az"):
        return {name: environ[name] for name in _AZURE if name in environ}, []
    file = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if scheme == "gs" and file and Path(file).is_file():
        there = f"/.gcs/{Path(file).name}"
        return {"GOOGLE_APPLICATION_CREDENTIALS": there}, [Bind(here=file, there=there, read_only=True)]
    return {}, []


# -- images with the project in them -----------------------------------------------------------------


def _built(docker: DockerEnv, plan: Plan, engine: Engine, base: Image, report: Report) -> Image:
    """Return the image with the project in it: the one that is there, if it has the same files on the same base."""
    files = _files(plan)
    origin = hashlib.sha256(f"{base.id} {codebase.digest(plan.project.directory, files)}".encode()).hexdigest()
    tag = _tag(plan)
    found = engine.find_image(tag)
    if found is not None and found.labels.get(BUILT_FROM) == origin:
        return found
    report(f"building image {tag} on {docker.image} ({len(files)} file{'' if len(files) == 1 else 's'})")
    labels = {BUILT_FROM: origin, PROJECT: str(plan.project.directory)}
    return engine.build(docker.image, plan.project.directory, files, tag=tag, labels=labels)


def _files(plan: Plan) -> list[SourceFile]:
    """Return the project's files without those that its commands are declared to leave behind."""
    entries = (*plan.project.entry_points.values(), *plan.entry_points.values())
    left = {path.strip("/") for entry in entries for path in (*entry.outputs.values(), *entry.metrics)}

    def stays(file: SourceFile) -> bool:
        parts = file.path.split("/")
        return not any("/".join(parts[:count]) in left for count in range(1, len(parts) + 1))

    return [file for file in project_files(plan.source) if stays(file)]


def _tag(plan: Plan) -> str:
    """Return the image's name as MLflow forms it: the project's, and the beginning of the commit."""
    name = _NOT_IN_A_TAG.sub("-", (plan.project.name or plan.project.directory.name).lower()).strip("-._")
    version = plan.source.commit if plan.source.commit and not plan.source.dirty else plan.source.digest
    return f"{name or 'project'}:{version[:7]}"
