"""Releases: a version is built, started beside the one that serves, checked, and takes the traffic; or it does not.

Whatever fails, the release before goes on serving, and the rows say so. A process that is killed in the middle leaves a
release that is being started: who comes next ends it, or brings it to its end where traffic had begun to move.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.endpoint import JSON, Answer, ask
from toolkit.deployments.example_check import Asking, check_example
from toolkit.deployments.names import check_name
from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.deployments.starter import Starter, check_host, starter_of
from toolkit.deployments.target import AsksItself, FindsStarted, Instance, Placement
from toolkit.errors import AlreadyExists, Conflict, InvalidValue, NotFound, ReleaseRefused, TargetFailed, ToolkitError
from toolkit.ids import now_ms
from toolkit.recording.process import host_name

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
_SETTLED = tuple(state for state in DeploymentState if state not in (*_UNFINISHED, DeploymentState.DELETED))
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds between two questions for its health
_INTERRUPTED = ("it was interrupted", "the process that released it was interrupted")
_LOCKS = ".locks"  # no deployment can be called so
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
class Wanted:
    """What is to serve where.

    Attributes:
        name: Of the deployment.
        model: The version: ``models:/wine/3``, ``wine@champion``.
        target: The target's name.
        config: How it runs.
        options: The target's own options.
        follow_alias: The alias of that model whose version it is to follow.
        why: The reason that the user gives.
        patience: Seconds that it has to become healthy.
    """

    name: str
    model: str
    target: str = "local"
    config: ServiceConfig = field(default_factory=ServiceConfig)
    options: Mapping[str, str] = field(default_factory=dict)
    follow_alias: str | None = None
    why: str = ""
    patience: float = PATIENCE


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What of a deployment is to be otherwise; what is not given stays.

    Attributes:
        model: The version; default: the one that serves, or that of the alias that it follows.
        config: Some of the configuration, by its fields' names.
        options: Some of the target's options; an empty text takes one away.
        follow_alias: The alias to follow from now on; an empty text: none.
        why: The reason that the user gives.
        patience: Seconds that it has to become healthy.
    """

    model: str | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    follow_alias: str | None = None
    why: str = ""
    patience: float = PATIENCE


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """A release that is to be made of a deployment."""

    version: ModelVersion
    config: ServiceConfig
    options: Mapping[str, str]
    why: str
    patience: float


class Releases:
    """Makes releases of deployments, and takes them away. One at a time for each deployment.

    Args:
        means: What they are made with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._store = means.store

    # -- what users ask for --------------------------------------------------------------------------

    def create(self, wanted: Wanted) -> Deployment:
        """Make a deployment, and its first release.

        Raises:
            AlreadyExists: There is one of this name.
            Conflict: Another process makes it at this moment.
            InvalidValue: The name, the model, the target or an option is none.
            NotFound: There is no such version.
            MissingTool: The target takes something that is not there. So far nothing was changed.
            ReleaseRefused: The release failed its checks: the deployment is there, and nothing of it serves.
        """
        check_name(wanted.name)
        target = self._means.target(wanted.target, wanted.options)
        with self._alone(wanted.name):
            self._refuse_second(wanted.name)
            version = self._means.find(wanted.model)
            follow = self._followed(version, wanted.follow_alias)
            if follow:
                version = self._means.find(follow)
            target.require(wanted.options)
            bento = self._built(version, wanted.config)
            now = now_ms()
            deployment = self._store.create(
                Deployment(
                    id=uuid.uuid4().hex,
                    name=wanted.name,
                    target=target.name,
                    state=DeploymentState.CREATING,
                    follow_alias=follow,
                    config=wanted.config.to_dict(),
                    options=dict(wanted.options),
                    host=host_name() if target.name in ON_A_MACHINE else "",
                    created_at=now,
                    created_by=self._means.user,
                    updated_at=now,
                )
            )
            self._means.changed(deployment)
            plan = _Plan(
                version=version,
                config=wanted.config,
                options=dict(wanted.options),
                why=wanted.why,
                patience=wanted.patience,
            )
            return self._release(deployment, target, plan, bento)

    def update(self, name: str, change: Change) -> Deployment:
        """Release another version, or the same one otherwise, beside the one that serves.

        Raises:
            NotFound: There is no such deployment or version.
            Conflict: Another process changes it at this moment, or its processes are on another machine.
            InvalidValue: Something that is to change does not fit.
            MissingTool: The target takes something that is not there. So far nothing was changed.
            ReleaseRefused: The release failed its checks: the one before still serves.
        """
        with self._alone(name):
            deployment = self._mended(self._store.get(name))
            config = ServiceConfig.from_dict({**deployment.config, **change.config})
            options = _with(deployment, change)
            follow = deployment.follow_alias
            version = self._means.find(change.model or follow or self._served(deployment))
            if change.follow_alias is not None:
                follow = self._followed(version, change.follow_alias) or ""
                if follow and change.model is None:
                    version = self._means.find(follow)
            if change.follow_alias is None or not self._serves(deployment, version, change):
                plan = _Plan(version=version, config=config, options=options, why=change.why, patience=change.patience)
                deployment = self._updated(deployment, plan)
            if change.follow_alias is not None:
                deployment = self._store.change(deployment.id, follow_alias=follow)
                self._means.changed(deployment)
            return deployment

    def ensure(self, wanted: Wanted, change: Change) -> Deployment:
        """Make a deployment, or change it where there is one; where it serves just so already, leave it alone.

        Args:
            wanted: What it is to be.
            change: The same as a change: what is not said stays as it is.

        Raises:
            Conflict: It is on another target.
            ToolkitError: As `create` and `update` do.
        """
        try:
            there = self._store.get(check_name(wanted.name))
        except NotFound:
            return self.create(wanted)
        if there.target != wanted.target:
            raise Conflict(
                f"deployment {there.name} is on {there.target}, not on {wanted.target}: delete it first, or give this "
                "one another name"
            )
        if self._is_so(there, change):
            self._means.report(f"{there.name}: release {there.release} serves just so already")
            return there
        return self.update(wanted.name, change)

    def _is_so(self, there: Deployment, change: Change) -> bool:
        """Tell whether a change would change nothing."""
        version = self._means.find(change.model or self._served(there))
        follow = self._followed(version, change.follow_alias) if change.follow_alias else there.follow_alias
        return follow == there.follow_alias and self._serves(there, version, change)

    def _serves(self, there: Deployment, version: ModelVersion, change: Change) -> bool:
        """Tell whether a deployment serves a version as it would after a change."""
        serving = self._serving(there)
        if serving is None or there.state not in (DeploymentState.SERVING, DeploymentState.WRITTEN):
            return False
        same = (version.name, version.version) == (serving.model, serving.version)
        return same and {**there.config, **change.config} == there.config and _with(there, change) == there.options

    def rollback(self, name: str, *, to: int | None = None, why: str = "", patience: float = PATIENCE) -> Deployment:
        """Release again what served before: the version and the configuration of an earlier release.

        Args:
            name: The deployment.
            to: The number of that release; default: the last one that served before the present one.
            why: The reason that the user gives.
            patience: Seconds that it has to become healthy.

        Raises:
            NotFound: There is no such deployment, no such release, or none that served before.
            InvalidValue: That release never served, or serves.
            ToolkitError: As `update` does.
        """
        with self._alone(name):
            deployment = self._mended(self._store.get(name))
            earlier = _earlier(deployment, self._store.releases(deployment.id), to)
            version = self._means.find(f"models:/{earlier.model}/{earlier.version}")
            config = ServiceConfig.from_dict(_mapping(earlier.instance.get("config")) or deployment.config)
            told = f"rollback to release {earlier.number}" + (f": {why}" if why else "")
            plan = _Plan(version=version, config=config, options=deployment.options, why=told, patience=patience)
            done = self._updated(deployment, plan)
            if done.follow_alias:  # else the alias would take it forward again at once
                self._means.report(f"{name} follows {done.follow_alias} no longer: it was rolled back")
                done = self._store.change(done.id, follow_alias="")
                self._means.changed(done)
            return done

    def delete(self, name: str, *, force: bool = False) -> Deployment:
        """End all that a deployment runs, and free its name; its row stays for the lineage.

        Args:
            name: The deployment.
            force: Whether it is forgotten also where its target does not end it.

        Raises:
            NotFound: There is no such deployment.
            Conflict: Another process changes it at this moment, or its processes are on another machine.
            TargetFailed: The target did not end it.
        """
        with self._alone(name):
            deployment = self._store.get(name)
            if not force:
                check_host(deployment)
            try:
                deployment = self._mended(deployment)
                target = self._target(deployment)
                for release in self._store.releases(deployment.id):
                    if release.state in (ReleaseState.SERVING, ReleaseState.WRITTEN, ReleaseState.STARTING):
                        self._end(target, deployment, release, ReleaseState.STOPPED)
            except (TargetFailed, Conflict) as error:
                if not force:
                    raise
                self._means.report(f"{name} is forgotten, and what it runs may still run: {error}")
            done = self._store.change(deployment.id, state=DeploymentState.DELETED, address="")
            self._means.changed(done)
            shutil.rmtree(self._means.folder / name, ignore_errors=True)
            return done

    def follow(self, name: str) -> Deployment | None:
        """Release the version that the alias of a deployment stands for now, if another one serves.

        A version that was refused is not tried again until the alias moves on.

        Returns:
            The deployment after a new release; None where there was nothing to do.

        Raises:
            ToolkitError: As `update` does.
        """
        deployment = self._store.get(name)
        if not deployment.follow_alias or deployment.state is DeploymentState.STOPPED:
            return None
        version = self._means.find(deployment.follow_alias)
        latest = next(iter(self._store.releases(deployment.id)), None)
        known = [self._serving(deployment)]
        if latest is not None and latest.state is ReleaseState.REFUSED and latest.message not in _INTERRUPTED:
            known.append(latest)
        if any(each is not None and (each.model, each.version) == (version.name, version.version) for each in known):
            return None
        alias = deployment.follow_alias.rpartition("@")[2]
        self._means.report(f"{name}: alias {alias} moved to {version.name}/{version.version}")
        return self.update(name, Change(why=f"alias {alias} moved"))

    def follow_all(self, names: Sequence[str] = ()) -> list[str]:
        """Do `follow` for each deployment that follows an alias, and whose processes may be changed from here.

        Args:
            names: Only for these, if any are named.

        Returns:
            What went wrong, a line each.
        """
        problems = []
        for each in self._store.list():
            if not each.follow_alias or (names and each.name not in names) or each.host not in ("", host_name()):
                continue
            try:
                self.follow(each.name)
            except ToolkitError as error:
                problems.append(f"{each.name}: {error}")
        return problems

    # -- what it serves ------------------------------------------------------------------------------

    def ask(self, name: str, body: bytes, *, content_type: str = JSON, timeout: float = 60.0) -> Answer:
        """Send a body to ``/invocations`` of a deployment, and return what it answers.

        Raises:
            NotFound: There is no such deployment.
            InvalidValue: It has no address.
            TargetFailed: It does not answer.
        """
        deployment = self._store.get(name)
        target, release = self._target(deployment), self._serving(deployment)
        if isinstance(target, AsksItself) and release is not None and release.state is ReleaseState.SERVING:
            instance = Instance.from_dict(release.instance)
            return target.ask(instance, "/invocations", body, content_type=content_type, timeout=timeout)
        if deployment.address is None:
            told = f": {deployment.message}" if deployment.message else ""
            raise InvalidValue(f"deployment {name} has no address to ask ({deployment.state.value}){told}")
        return ask(deployment.address, "/invocations", body, content_type=content_type, timeout=timeout)

    def logs(self, name: str, *, release: int | None = None, lines: int = 200, follow: bool = False) -> Iterator[str]:
        """Return the last lines that a release printed, and those that come.

        Args:
            name: The deployment.
            release: The release's number; default: the one that serves, else the last.
            lines: How many of the last.
            follow: Whether those are wanted, too, that come.

        Raises:
            NotFound: There is no such deployment or release.
            InvalidValue: Nothing of it was started.
        """
        deployment = self._store.get(name)
        check_host(deployment)
        found = self._store.releases(deployment.id)
        wanted = release or deployment.release or (found[0].number if found else 0)
        one = next((each for each in found if each.number == wanted), None)
        if one is None:
            raise NotFound(f"deployment {name} has no release {wanted or ''}: it has had {len(found)}")
        if not one.instance.get("id"):
            raise InvalidValue(f"release {one.number} of {name} printed nothing: it was not started ({one.message})")
        return self._target(deployment).logs(Instance.from_dict(one.instance), lines=lines, follow=follow)

    # -- one at a time -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Keep other processes of this machine from changing the deployment meanwhile.

        Raises:
            Conflict: One does.
        """
        check_name(name)
        locks = self._means.folder / _LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise Conflict(
                f"deployment {name} is being changed by another process at this moment: see toolkit deployments show "
                f"{name}, and try again when it is done"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _refuse_second(self, name: str) -> None:
        with contextlib.suppress(NotFound):
            there = self._store.get(name)
            state = f"{there.state.value}, on {there.target}"
            raise AlreadyExists(
                f"there is a deployment {name} already ({state}): toolkit deployments update gives it another version, "
                "delete takes it away"
            )

    def _followed(self, version: ModelVersion, alias: str | None) -> str | None:
        """Return the alias to follow with its model's name.

        Raises:
            NotFound: The model has no such alias.
        """
        if not alias:
            return None
        text = f"{version.name}@{alias.rpartition('@')[2]}"
        self._means.find(text)
        return text

    def _served(self, deployment: Deployment) -> str:
        """Return the version that serves, or that was tried last."""
        releases = self._store.releases(deployment.id)
        serving = [each for each in releases if each.number == deployment.release] or list(releases[:1])
        if not serving:
            raise InvalidValue(f"deployment {deployment.name} has had no release: name a version with --model")
        return f"models:/{serving[0].model}/{serving[0].version}"

    # -- a release -----------------------------------------------------------------------------------

    def _updated(self, deployment: Deployment, plan: _Plan) -> Deployment:
        check_host(deployment)
        target = self._means.target(deployment.target, plan.options)
        target.require(plan.options)
        bento = self._built(plan.version, plan.config)
        deployment = self._store.change(deployment.id, expected=_SETTLED, state=DeploymentState.UPDATING)
        return self._release(deployment, target, plan, bento)

    def _built(self, version: ModelVersion, config: ServiceConfig) -> BuiltBento:
        bento = self._means.build(version, config)
        self._means.report(f"{bento.tag}: {'built' if bento.made else 'was built already'}")
        return bento

    def _release(self, deployment: Deployment, target: Target, plan: _Plan, bento: BuiltBento) -> Deployment:
        """Make a release of a deployment that is marked as being changed.

        Raises:
            ReleaseRefused: It failed its checks, and is taken away; what served before serves.
        """
        kept = {"config": plan.config.to_dict(), "options": dict(plan.options), "starter": Starter.here().to_dict()}
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
        self, deployment: Deployment, target: Target, release: Release, plan: _Plan, bento: BuiltBento
    ) -> Deployment:
        old = self._serving(deployment)
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
        release = self._remember(release, instance)
        if not target.serves and instance.private_address is None and instance.address is None:
            for line in target.logs(instance):  # where the files are, and what applies them
                self._means.report(f"{deployment.name}: {line}")
            return self._concluded(deployment, target, release, instance, old)
        found = self._checked(target, instance, bento, plan)
        self._means.report(f"{deployment.name}: release {release.number} {found}")
        release = self._remember(release, instance, switching=True)
        instance = target.switch(instance, None if old is None else Instance.from_dict(old.instance))
        return self._concluded(deployment, target, release, instance, old)

    def _checked(self, target: Target, instance: Instance, bento: BuiltBento, plan: _Plan) -> str:
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
        self._remember(release, instance, state=done)
        deployment = self._store.change(
            deployment.id,
            state=DeploymentState.SERVING if served else DeploymentState.WRITTEN,
            message="",
            address=instance.address or "",
            release=release.number,
            config=_mapping(release.instance.get("config")),
            options={key: str(value) for key, value in (_mapping(release.instance.get("options")) or {}).items()},
        )
        if old is not None:
            self._retire(target, deployment, old)
        return deployment

    def _remember(
        self, release: Release, instance: Instance, *, switching: bool = False, state: ReleaseState | None = None
    ) -> Release:
        kept: dict[str, object] = {name: release.instance.get(name) for name in ("config", "options")}
        kept |= instance.to_dict()
        if state is None:
            kept |= {"starter": release.instance.get("starter"), "switching": switching}
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
        self._store.change_release(release.deployment_id, release.number, state=ReleaseState.REFUSED, message=why)
        shutil.rmtree(self._folder(deployment, release), ignore_errors=True)
        message = f"release {release.number} ({release.model}/{release.version}) was refused: {why}"
        return self._store.change(deployment.id, state=self._state_without(deployment), message=message)

    def _state_without(self, deployment: Deployment) -> DeploymentState:
        """Return the state of a deployment but for the release that is being made."""
        old = self._serving(deployment)
        if old is None:
            return DeploymentState.FAILED
        return DeploymentState.WRITTEN if old.state is ReleaseState.WRITTEN else DeploymentState.SERVING

    def _refusal(self, deployment: Deployment, release: Release, error: ToolkitError) -> str:
        old = self._serving(deployment)
        still = (
            f"release {old.number} ({old.model}/{old.version}) still serves"
            if old is not None
            else f"nothing serves; toolkit deployments update -n {deployment.name} tries again, logs shows its output"
        )
        number = f"release {release.number} of {deployment.name} ({release.model}/{release.version})"
        return f"{number} was refused: {error.message}; {still}"

    def _mended(self, deployment: Deployment) -> Deployment:
        """Bring a deployment to an end that another process has left in the middle, and return it.

        Raises:
            Conflict: That process still is at it, or may be.
        """
        releases = self._store.releases(deployment.id)
        target = self._target(deployment)
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
        interrupted = _INTERRUPTED[1]
        if starting is not None and starting.instance.get("switching"):
            old = self._serving(deployment)
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
            old = self._serving(deployment)
            return self._concluded(deployment, target, newest, Instance.from_dict(newest.instance), old)
        return self._store.change(deployment.id, state=self._state_without(deployment), message=interrupted)

    # -- ends ----------------------------------------------------------------------------------------

    def _target(self, deployment: Deployment) -> Target:
        return self._means.target(deployment.target, deployment.options)

    def _serving(self, deployment: Deployment) -> Release | None:
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
            self._end(target, deployment, release, ReleaseState.REPLACED)
        except TargetFailed as error:
            self._means.report(f"{deployment.name}: release {release.number} could not be ended: {error}")

    def _end(self, target: Target, deployment: Deployment, release: Release, state: ReleaseState) -> None:
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


def _earlier(deployment: Deployment, releases: Sequence[Release], to: int | None) -> Release:
    """Return the release to go back to.

    Raises:
        NotFound: There is none.
        InvalidValue: It never served, or serves.
    """
    served = [each for each in releases if each.state in (ReleaseState.REPLACED, ReleaseState.STOPPED)]
    if to is None:
        before = [each for each in served if deployment.release is None or each.number < deployment.release]
        if not before:
            raise NotFound(f"no release of {deployment.name} served before: there is nothing to go back to")
        return before[0]
    named = next((each for each in releases if each.number == to), None)
    if named is None:
        raise NotFound(f"{deployment.name} has no release {to}: it has had {len(releases)}")
    if named.number == deployment.release:
        raise InvalidValue(f"release {to} of {deployment.name} is the one that serves")
    if named not in served:
        raise InvalidValue(f"release {to} of {deployment.name} never served ({named.state.value}: {named.message})")
    return named


def _with(deployment: Deployment, change: Change) -> dict[str, str]:
    """Return the options of a deployment after a change."""
    return {key: value for key, value in {**deployment.options, **change.options}.items() if value != ""}


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


def _mapping(value: object) -> Mapping[str, object] | None:
    return value if isinstance(value, Mapping) else None


def _told(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return _INTERRUPTED[0]
    return error.message if isinstance(error, ToolkitError) else f"{type(error).__name__}: {error}"
