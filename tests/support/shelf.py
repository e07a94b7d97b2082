"""A target for tests: releases are files on a shelf, which survive the process that put them there.

What a release answers is the number of its version; what goes wrong is said by the deployment's options.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.db.engine import open_database
from toolkit.deployments.bento import BuiltBento
from toolkit.deployments.changeover import Means
from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.endpoint import Answer
from toolkit.deployments.example_check import Asking
from toolkit.deployments.release import Releases
from toolkit.deployments.sql import SqlDeploymentStore
from toolkit.deployments.target import Health, Instance, Placement
from toolkit.errors import InvalidValue, MissingTool, NotFound, ReleaseRefused, TargetFailed
from toolkit.registry.records import ModelVersion
from toolkit.tracking.sql import SqlRunStore

DIES = "SHELF_DIES"
"""Environment variable: where the process is killed: ``start``, ``started``, ``health``, ``switch``, …"""


@dataclass(frozen=True)
class Shelf:
    """The target. Options: ``fails`` (``require``, ``start``, ``health``, ``switch``, ``stop``), ``stops`` (the same).

    Attributes:
        folder: The shelf.
        options: Of the deployment.
        serves: Whether it is one that serves.
    """

    folder: Path
    options: Mapping[str, str]
    serves: bool = True
    name: str = "shelf"

    @property
    def on_it(self) -> set[str]:
        """The ids of what is started and not stopped."""
        return {file.stem for file in self.folder.glob("*.release")}

    def found(self, deployment: str, release: int) -> list[Instance]:
        return [Instance(id=each) for each in self.on_it if each == f"{deployment}-{release}"]

    @property
    def traffic(self) -> str | None:
        """What has the traffic."""
        file = self.folder / "traffic"
        return file.read_text() if file.exists() else None

    def require(self, options: Mapping[str, str]) -> None:
        if options.get("fails") == "require":
            raise MissingTool("there is no carpenter: get one from the guild")
        self._happen("require")

    def start(self, placement: Placement) -> Instance:
        self._happen("start")
        if not self.serves:
            (placement.folder / "paper").write_text("apply me")
            return Instance(id=f"{placement.deployment}-{placement.release}")
        made = Instance(id=f"{placement.deployment}-{placement.release}", private_address="shelf:")
        (self.folder / f"{made.id}.release").write_text(str(placement.bento.version))
        self._happen("started")
        return made

    def health(self, instance: Instance) -> Health:
        self._happen("health")
        if instance.id not in self.on_it:
            return Health(state="gone")
        return Health(state="gone" if self.options.get("fails") == "end" else "ready", message="")

    def ask(
        self,
        instance: Instance,
        path: str,  # noqa: ARG002 - the form of a target's method
        body: bytes,  # noqa: ARG002 - the same
        *,
        content_type: str,  # noqa: ARG002 - the same
        timeout: float,  # noqa: ARG002 - the same
    ) -> Answer:
        if instance.id not in self.on_it:
            raise TargetFailed("it is not on the shelf")
        version = int((self.folder / f"{instance.id}.release").read_text())
        return Answer(status=200, body=json.dumps({"predictions": [version]}).encode())

    def switch(self, new: Instance, old: Instance | None) -> Instance:  # noqa: ARG002 - the same
        self._happen("switch")
        (self.folder / "traffic").write_text(new.id)
        self._happen("switched")
        return replace(new, address="shelf://public")

    def stop(self, instance: Instance) -> None:
        self._happen("stop")
        (self.folder / f"{instance.id}.release").unlink(missing_ok=True)

    def logs(
        self,
        instance: Instance,  # noqa: ARG002 - the same
        *,
        lines: int = 200,
        follow: bool = False,  # noqa: ARG002 - the same
    ) -> Iterator[str]:
        yield from ["it creaked", "it broke"][-lines:]

    def _happen(self, where: str) -> None:
        if os.environ.get(DIES) == where:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.options.get("fails") == where:
            raise TargetFailed(f"the {where} failed")
        if self.options.get("stops") == where:
            raise KeyboardInterrupt


def releases_on(folder: Path, *, aliases: Mapping[str, int] | None = None) -> tuple[Releases, SqlDeploymentStore]:
    """Return releases onto a shelf, remembered in a database beside it. Of versions 1 to 9, 7 answers wrongly."""
    folder.mkdir(parents=True, exist_ok=True)
    database = open_database(f"sqlite:///{folder}/toolkit.db", wait=240)
    SqlRunStore(database, "file:///artifacts/")
    store = SqlDeploymentStore(database)
    named = aliases if aliases is not None else {}

    def find(text: str) -> ModelVersion:
        text = text.removeprefix("models:/")
        if "@" in text:
            if text.partition("@")[2] not in named:
                raise NotFound(f"there is no alias {text}")
            text = f"wine/{named[text.partition('@')[2]]}"
        number = text.partition("/")[2]
        if number not in "123456789":
            raise InvalidValue(f"{text} is no version")
        return ModelVersion(name="wine", version=int(number), source="", location="", run_id="r" * 32)

    def build(version: ModelVersion, config: ServiceConfig) -> BuiltBento:
        if version.version == 9:
            raise InvalidValue("version 9 has no requirements")
        return BuiltBento(
            tag=f"wine:{version.version}",
            digest=f"{version.version}" * 64,
            path=folder,
            model="wine",
            version=version.version,
            run_id=version.run_id,
            model_path=folder,
            made=True,
        )

    def check(bento: BuiltBento, ask: Asking) -> str:
        if json.loads(ask(b"{}").body) != {"predictions": [bento.version]} or bento.version == 7:
            raise ReleaseRefused("it answers 8 where the model says 7")
        return "answers"

    means = Means(
        store=store,
        target=lambda name, options: Shelf(folder=folder, options=options, serves=name != "paper", name=name),
        find=find,
        build=build,
        folder=folder / "deployments",
        user="ann",
        check=check,
    )
    return Releases(means), store
