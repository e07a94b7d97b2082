"""Which kinds of places there are to serve in. A target's module is imported when it is wanted.

What is built in stands in a table beside its entry points, so that no metadata of installed packages is read for it;
targets of other packages are asked after it.
"""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, cast

from toolkit.deployments.target import DependsOnOptions
from toolkit.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.deployments.target import Target

GROUP = "toolkit.targets"

BUILT_IN = {
    "local": "processes on this machine, kept running by a supervisor",
    "docker": "containers of this machine's engine: docker, podman",
    "kubernetes": "files for a cluster, or a cluster itself",
    "sagemaker": "an endpoint of Amazon SageMaker",
    "azureml": "files for a managed online endpoint of Azure Machine Learning",
    "bentocloud": "a deployment on BentoCloud",
}
"""What each target is, in one line, by its name; its module has its name, and a ``TARGET``."""


def names() -> list[str]:
    """Return the names of all targets, those that are built in first."""
    return [*BUILT_IN, *sorted(_others())]


def target_named(name: str, options: Mapping[str, str] | None = None) -> Target:
    """Return a target.

    Args:
        name: What it is called.
        options: The options of the deployment; with some of them a target serves that otherwise writes files only.

    Raises:
        InvalidValue: There is none of this name.
    """
    if name in BUILT_IN:
        found = importlib.import_module(f"toolkit.deployments.targets.{name}").TARGET
    else:
        others = _others()
        if name not in others:
            raise InvalidValue(f"there is no target {name!r}: there are {', '.join(names())}")
        found = others[name].load()
    if options and isinstance(found, DependsOnOptions):
        return found.with_options(options)
    return cast("Target", found)


def _others() -> dict[str, EntryPoint]:
    """Return the targets of other packages."""
    return {each.name: each for each in entry_points(group=GROUP) if each.name not in BUILT_IN}
