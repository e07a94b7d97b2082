"""Images of Bentos, by ``bentoml containerize`` with whichever builder is here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import BuildFailed, MissingTool
from toolkit.settings import environment

if TYPE_CHECKING:
    from toolkit.deployments.bento import BuiltBento

BACKENDS = ("docker", "podman", "buildah", "nerdctl")
"""Programs that BentoML builds images with, the likeliest first."""

_LONGEST = 3_600.0  # seconds: a first build fetches all that the model needs
_TAIL = 8
_DIGITS = 12


def backend_of(wanted: str, *, engine: str = "") -> str:
    """Return the program that builds images.

    Args:
        wanted: The one that the user names; empty: whichever is here.
        engine: The one whose engine is to run them: it is tried first.

    Raises:
        MissingTool: It is not here, or none is.
    """
    if wanted:
        if shutil.which(wanted) is None:
            raise MissingTool(f"images are to be built with {wanted}, and there is no such program here: install it")
        return wanted
    for name in (engine, *BACKENDS):
        if name and shutil.which(name):
            return name
    raise MissingTool(
        f"an image is built with {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}, and none of them is here: install one "
        "(apt-get install podman, or Docker's packages)"
    )


def image_name(bento: BuiltBento) -> str:
    """Return what the image of a Bento is called: the same inputs, the same name.

    Images of this machine are in ``localhost/``, where Podman looks for them and Docker does as well.
    """
    name, _, _ = bento.tag.partition(":")
    name = re.sub(r"[-._]{2,}", "-", name)  # BentoML takes what no registry does
    return f"localhost/{name}:{bento.version}-{bento.digest[:_DIGITS]}"


def containerize(bento: BuiltBento, image: str, backend: str, *, home: Path, log: Path | None = None) -> None:
    """Build the image of a Bento.

    Args:
        bento: In BentoML's store.
        image: What it is to be called.
        backend: One of `BACKENDS`.
        home: Where BentoML's store is.
        log: Where what the build prints is kept.

    Raises:
        BuildFailed: It could not be built; the message ends with what the builder said.
    """
    command = [sys.executable, "-P", "-m", "bentoml", "containerize", bento.tag, "--backend", backend, "-t", image]
    variables = environment(BENTOML_HOME=str(home), BENTOML_DO_NOT_TRACK="True")
    try:
        done = subprocess.run(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildFailed(f"the image {image} was not built in {_LONGEST:g} s") from None
    if log is not None:
        log.write_text(done.stdout, encoding="utf-8")
    if done.returncode:
        raise BuildFailed(f"the image {image} cannot be built with {backend}: {_said(done.stdout.splitlines())}")


def _said(lines: Sequence[str]) -> str:
    """Return the last of what a builder printed, in one line."""
    told = [line.strip() for line in lines if line.strip()]
    return " | ".join(told[-_TAIL:])[-1_500:] or "it said nothing"
