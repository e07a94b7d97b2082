"""One release takes the place of another: it is started beside it, checked, switched to and recorded; or taken away.

Whatever fails, the release before goes on serving, and the rows say so. A process that is killed in the middle leaves a
release that is being started: who comes next ends it, or brings it to its end where traffic had begun to move.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.deployments import proofs, steps
from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.endpoint import JSON, ask
from toolkit.deployments.example_check import Asking, check_example
from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.deployments.starter import Starter, check_host, starter_of
from toolkit.deployments.target import AsksItself, FindsStarted, Instance, Placement
from toolkit.errors import ReleaseRefused, TargetFailed, ToolkitError
from toolkit.ids import now_ms

if TYPE_CHECKING:
    from toolkit.deployments.bento import BuiltBento
    from toolkit.deployments.store import DeploymentStore
    from toolkit.deployments.target import Target
    from toolkit.registry.records import ModelVersion

PATIENCE = 300.0
"""Seconds that a release has to become healthy, unless the user says otherwise."""

ON_A_MACHINE = ("local", "docker")
"""Targets whose processes are on the machine that started them."""

_UNFINISHED = (DeploymentState.CREATING, DeploymentState.UPDATING)
SETTLED = tuple(state for state in DeploymentState if state not in (*_UNFINISHED, DeploymentState.DELETED))
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds between two questions for its health
INTERRUPTED = ("it was interrupted", "the process that released it was interrupted")
"""Messages of releases that were refused for no fault of theirs."""

_LOG_LINES = 20
_SCORED_WITHIN = 60.0  # seconds, at least: the first answer of some models takes long


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What releases are made with.

    Attributes:
        store: Where deployments are remembered.
        target: Gives the target of a name, as it is with some options.
        find: Gives the version that a text names: ``models:/wine/3``, ``wine@champion``.
        build: Makes the Bento of a version.
        folder: Where files of deployments are kept on this machine.
        user: Who asks for it.
        check: Scores the example of a Bento's model by asking a service, and tells what was found.
        report: Takes lines of progress.
        changed: Takes a deployment whenever it may follow another alias than before, or none any more.
    """

    store: DeploymentStore
    target: Callable[[str, Mapping[str, str]], Target]
    find: Callable[[str], ModelVersion]
    build: Callable[[ModelVersion, ServiceConfig], BuiltBento]
    folder: Path
    user: str
    check: Callable[[BuiltBento, Asking], str] = check_example
    report: Callable[[str], None] = field(default=lambda _: None)
    changed: Callable[[Deployment], None] = field(default=lambda _: None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A release that is to be made of a deployment.

    Attributes:
        version: What is to serve.
        config: How it runs.
        options: The target's own options.
        why: The reason that is given.
        patience: Seconds that it has to become healthy.
        digest: What it must be built from, in SHA-256; empty: whatever it is built from now.
    """

    version: ModelVersion
    config: ServiceConfig
    options: Mapping[str, str]
    why: str
    patience: float
    digest: str = ""


class Changeover:
    """Makes releases, and takes them away. Who calls it keeps others from changing the deployment meanwhile.

    Args:
        means: What they are made with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._store = means.store

    def make(
        self, deployment: Deployment, target: Target, plan: Plan, bento: BuiltBento, done: steps.Steps = ()
    ) -> Deployment:
        """Make a release of a deployment that is marked as being changed.

        Args:
            deployment: The deployment.
            target: Where it is.
            plan: What is to serve, and how.
            bento: What was built of it.
            done: The steps that are done already.

        Raises:
            ReleaseRefused: It failed its checks, and is taken away; what served before serves.
        """
        kept: dict[str, object] = {"config": plan.config.to_dict(), "options": dict(plan.options)}
        kept |= {"starter": Starter.here().to_dict(), steps.KEY: steps.told(steps.begun(done, steps.START))}
        release = self._store.begin_release(
            Release(
                deployment_id=deployment.id,
                number=0,
                model=plan.version.name,
                version=plan.version.version,
                run_id=plan.version.run_id,
                bento=bento.tag,
                bento_digest=bento.digest,
                instance=kept,
                created_at=now_ms(),
                created_by=self._means.user,
                why=plan.why,
            )
        )
        try:
            return self._brought_to_traffic(deployment, target, release, plan, bento)
        except BaseException as error:
            self._refuse(deployment, target, self._latest(release), _told(error))
            if isinstance(error, ToolkitError):
                raise ReleaseRefused(self._refusal(deployment, release, error)) from error
            raise

    def _brought_to_traffic(
        self, deployment: Deployment, target: Target, release: Release, plan: Plan, bento: BuiltBento
    ) -> Deployment:
        old = self.serving(deployment)
        placement = Placement(
            deployment=deployment.name,
            release=release.number,
            bento=bento,
            config=plan.config,
            options=plan.options,
            folder=self._folder(deployment, release),
            address=deployment.address,
        )
        placement.folder.mkdir(parents=True, exist_ok=True)
        self._means.report(f"{deployment.name}: starting release {release.number}, {release.model}/{release.version}")
        instance = target.start(placement)
        writes = not target.serves and instance.private_address is None and instance.address is None
        release = self._remember(release, instance, "" if writes else steps.CHECK)
        if writes:
            for line in target.logs(instance):  # where the files are, and what applies them
                self._means.report(f"{deployment.name}: {line}")
            return self._concluded(deployment, target, release, instance, old)
        found = self._checked(target, instance, bento, plan)
        self._means.report(f"{deployment.name}: release {release.number} {found}")
        release = self._remember(release, instance, steps.SWITCH, found)
        instance = target.switch(instance, None if old is None else Instance.from_dict(old.instance))
        return self._concluded(deployment, target, release, instance, old)

    def _checked(self, target: Target, instance: Instance, bento: BuiltBento, plan: Plan) -> str:
        """Wait until a release is healthy, let it score its example, and return what was found.

        Raises:
            ReleaseRefused: It fails, or takes too long.
        """
        deadline, pause = time.monotonic() + plan.patience, _FIRST_PAUSE
        while (health := target.health(instance)).state != "ready":
            if health.state == "gone":
                raise ReleaseRefused(f"it ended before it was ready{_because(health.message, target, instance)}")
            if time.monotonic() > deadline:
                told = _because(health.message, target, instance)
                raise ReleaseRefused(f"it was not ready after {plan.patience:g} s{told}")
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        timeout = max(plan.config.timeout, _SCORED_WITHIN)
        if isinstance(target, AsksItself):
            asking = partial(target.ask, instance, "/invocations", content_type=JSON, timeout=timeout)
        elif instance.private_address is not None:
            asking = partial(ask, instance.private_address, "/invocations", timeout=timeout)
        else:
            return "is ready; not scored, for the target gives it no address before traffic moves"
        return self._means.check(bento, asking)

    def _concluded(
        self, deployment: Deployment, target: Target, release: Release, instance: Instance, old: Release | None
    ) -> Deployment:
        """Record a release that has the traffic, or whose files are written, and end the one before."""
        served = target.serves or instance.address is not None
        done = ReleaseState.SERVING if served else ReleaseState.WRITTEN
        release = self._remember(release, instance, state=done)
        if served:
            proofs.note(self._means.folder, deployment, release)
        deployment = self._store.change(
            deployment.id,
            state=DeploymentState.SERVING if served else DeploymentState.WRITTEN,
            message="",
            address=instance.address or "",
            release=release.number,
            config=mapping(release.instance.get("config")),
            options={key: str(value) for key, value in (mapping(release.instance.get("options")) or {}).items()},
        )
        if old is not None:
            self._retire(target, deployment, old)
        return deployment

    def _remember(
        self,
        release: Release,
        instance: Instance,
        next_: str = "",
        said: str = "",
        *,
        state: ReleaseState | None = None,
    ) -> Release:
        """Write down what was started, that a step has ended with something said, and which one begins."""
        kept: dict[str, object] = {name: release.instance.get(name) for name in ("config", "options")}
        kept |= instance.to_dict()
        done = steps.ended(steps.read(release.instance), said)
        kept[steps.KEY] = steps.told(steps.begun(done, next_) if next_ else done)
        if state is None:
            kept |= {"starter": release.instance.get("starter"), "switching": next_ == steps.SWITCH}
        return self._store.change_release(
            release.deployment_id,
            release.number,
            state=state,
            instance=kept,
            image=instance.image,
            image_digest=instance.image_digest,
        )

    # -- what did not go well ------------------------------------------------------------------------

    def _refuse(self, deployment: Deployment, target: Target, release: Release, why: str) -> Deployment:
        """Take a release away that never had traffic, and say so in the rows."""
        self._stop(target, deployment, release)
        failed = steps.ended(steps.read(release.instance), why, failed=True)
        kept = {**release.instance, steps.KEY: steps.told(failed)}
        self._store.change_release(
            release.deployment_id, release.number, state=ReleaseState.REFUSED, message=why, instance=kept
        )
        shutil.rmtree(self._folder(deployment, release), ignore_errors=True)
        message = f"release {release.number} ({release.model}/{release.version}) was refused: {why}"
        return self._store.change(deployment.id, state=self._state_without(deployment), message=message)

    def _state_without(self, deployment: Deployment) -> DeploymentState:
        """Return the state of a deployment but for the release that is being made."""
        old = self.serving(deployment)
        if old is None:
            return DeploymentState.FAILED
        return DeploymentState.WRITTEN if old.state is ReleaseState.WRITTEN else DeploymentState.SERVING

    def _refusal(self, deployment: Deployment, release: Release, error: ToolkitError) -> str:
        old = self.serving(deployment)
        still = (
            f"release {old.number} ({old.model}/{old.version}) still serves"
            if old is not None
            else f"nothing serves; toolkit deployments update -n {deployment.name} tries again, logs shows its output"
        )
        number = f"release {release.number} of {deployment.name} ({release.model}/{release.version})"
        return f"{number} was refused: {error.message}; {still}"

    def mended(self, deployment: Deployment) -> Deployment:
        """Bring a deployment to an end that another process has left in the middle, and return it.

        Raises:
            Conflict: That process still is at it, or may be.
        """
        releases = self._store.releases(deployment.id)
        target = self.target_of(deployment)
        if deployment.state in _UNFINISHED:
            check_host(deployment)
            starting = next((each for each in releases if each.state is ReleaseState.STARTING), None)
            starter_of(deployment, starting).check_gone()
            self._means.report(f"{deployment.name}: mending what another process has left in the middle")
            deployment = self._resumed(deployment, target, releases, starting)
            releases = self._store.releases(deployment.id)
        for each in releases:
            if each.state in (ReleaseState.SERVING, ReleaseState.WRITTEN) and each.number != deployment.release:
                self._retire(target, deployment, each)
        return deployment

    def _resumed(
        self, deployment: Deployment, target: Target, releases: Sequence[Release], starting: Release | None
    ) -> Deployment:
        """Go on with, or take back, what was left in the middle."""
        interrupted = INTERRUPTED[1]
        if starting is not None and starting.instance.get("switching"):
            old = self.serving(deployment)
            instance = Instance.from_dict(starting.instance)
            try:
                instance = target.switch(instance, None if old is None else Instance.from_dict(old.instance))
            except TargetFailed as error:
                return self._refuse(deployment, target, starting, f"{interrupted}, and {error.message}")
            return self._concluded(deployment, target, starting, instance, old)
        if starting is not None:
            return self._refuse(deployment, target, starting, interrupted)
        done = (ReleaseState.SERVING, ReleaseState.WRITTEN)
        newest = next((each for each in releases if each.state in done), None)
        if newest is not None and newest.number != deployment.release:
            old = self.serving(deployment)
            return self._concluded(deployment, target, newest, Instance.from_dict(newest.instance), old)
        return self._store.change(deployment.id, state=self._state_without(deployment), message=interrupted)

    # -- ends ----------------------------------------------------------------------------------------

    def target_of(self, deployment: Deployment) -> Target:
        """Return the target of a deployment, as it is with its options."""
        return self._means.target(deployment.target, deployment.options)

    def serving(self, deployment: Deployment) -> Release | None:
        """Return the release that a deployment's row says serves."""
        if deployment.release is None:
            return None
        there = (ReleaseState.SERVING, ReleaseState.WRITTEN)
        found = self._store.releases(deployment.id)
        return next((each for each in found if each.number == deployment.release and each.state in there), None)

    def _latest(self, release: Release) -> Release:
        found = self._store.releases(release.deployment_id)
        return next(each for each in found if each.number == release.number)

    def _retire(self, target: Target, deployment: Deployment, release: Release) -> None:
        """End a release whose place another one has taken; where that fails, the next command does it."""
        try:
            self.end(target, deployment, release, ReleaseState.REPLACED)
        except TargetFailed as error:
            self._means.report(f"{deployment.name}: release {release.number} could not be ended: {error}")

    def end(self, target: Target, deployment: Deployment, release: Release, state: ReleaseState) -> None:
        """End what a release has started, and record what became of it.

        Raises:
            TargetFailed: The target did not end it.
        """
        for each in _started(target, deployment, release):
            target.stop(each)
        self._store.change_release(release.deployment_id, release.number, state=state)
        shutil.rmtree(self._folder(deployment, release), ignore_errors=True)

    def _stop(self, target: Target, deployment: Deployment, release: Release) -> None:
        """End what was started of a release that is refused, as far as that can be done."""
        try:
            for each in _started(target, deployment, release):
                target.stop(each)
        except TargetFailed as error:
            self._means.report(f"{deployment.name}: what was started of release {release.number} may run on: {error}")

    def _folder(self, deployment: Deployment, release: Release) -> Path:
        return self._means.folder / deployment.name / str(release.number)


def _started(target: Target, deployment: Deployment, release: Release) -> Sequence[Instance]:
    """Return what was started of a release, also where its process had no time to write it down."""
    if release.instance.get("id"):
        return [Instance.from_dict(release.instance)]
    return target.found(deployment.name, release.number) if isinstance(target, FindsStarted) else []


def _because(message: str, target: Target, instance: Instance) -> str:
    """Return why a release does not serve: what its target says, else the last line of its output."""
    if not message:
        with contextlib.suppress(ToolkitError, OSError):
            lines = [line.strip() for line in target.logs(instance, lines=_LOG_LINES) if line.strip()]
            message = lines[-1] if lines else ""
    return f": {message[:500]}" if message else ""


def mapping(value: object) -> Mapping[str, object] | None:
    """Return what a release's row holds, if it is a mapping."""
    return value if isinstance(value, Mapping) else None


def _told(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return INTERRUPTED[0]
    return error.message if isinstance(error, ToolkitError) else f"{type(error).__name__}: {error}"
