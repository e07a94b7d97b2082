"""Deployments as users ask for them: created, updated, rolled back and deleted; following an alias; asked."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toolkit.deployments import proofs, steps
from toolkit.deployments.alone import alone
from toolkit.deployments.changeover import (
    INTERRUPTED,
    ON_A_MACHINE,
    PATIENCE,
    SETTLED,
    Changeover,
    Means,
    Plan,
    mapping,
)
from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.endpoint import JSON, Answer, ask
from toolkit.deployments.names import check_name
from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.deployments.starter import check_host
from toolkit.deployments.target import AsksItself, Instance
from toolkit.errors import AlreadyExists, Conflict, InvalidValue, NotFound, TargetFailed, ToolkitError
from toolkit.ids import now_ms
from toolkit.recording.process import host_name

if TYPE_CHECKING:
    from toolkit.deployments.bento import BuiltBento
    from toolkit.registry.records import ModelVersion


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


class Releases:
    """Makes releases of deployments, and takes them away. One at a time for each deployment.

    Args:
        means: What they are made with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._store = means.store
        self._changeover = Changeover(means)

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
        with alone(self._means.folder, wanted.name):
            self._refuse_second(wanted.name)
            version = self._means.find(wanted.model)
            follow = self._followed(version, wanted.follow_alias)
            if follow:
                version = self._means.find(follow)
            target.require(wanted.options)
            bento, built = self._built(version, wanted.config)
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
            plan = Plan(
                version=version,
                config=wanted.config,
                options=dict(wanted.options),
                why=wanted.why,
                patience=wanted.patience,
            )
            return self._changeover.make(deployment, target, plan, bento, built)

    def update(self, name: str, change: Change) -> Deployment:
        """Release another version, or the same one otherwise, beside the one that serves.

        Raises:
            NotFound: There is no such deployment or version.
            Conflict: Another process changes it at this moment, or its processes are on another machine.
            InvalidValue: Something that is to change does not fit.
            MissingTool: The target takes something that is not there. So far nothing was changed.
            ReleaseRefused: The release failed its checks: the one before still serves.
        """
        with alone(self._means.folder, name):
            deployment = self._changeover.mended(self._store.get(name))
            config = ServiceConfig.from_dict({**deployment.config, **change.config})
            options = _with(deployment, change)
            follow = deployment.follow_alias
            version = self._means.find(change.model or follow or self._served(deployment))
            if change.follow_alias is not None:
                follow = self._followed(version, change.follow_alias) or ""
                if follow and change.model is None:
                    version = self._means.find(follow)
            if change.follow_alias is None or not self._serves(deployment, version, change):
                plan = Plan(version=version, config=config, options=options, why=change.why, patience=change.patience)
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
        serving = self._changeover.serving(there)
        if serving is None or there.state not in (DeploymentState.SERVING, DeploymentState.WRITTEN):
            return False
        same = (version.name, version.version) == (serving.model, serving.version)
        return same and {**there.config, **change.config} == there.config and _with(there, change) == there.options

    def rollback(
        self,
        name: str,
        *,
        to: int | None = None,
        why: str = "",
        patience: float = PATIENCE,
        as_served: bool = False,
    ) -> Deployment:
        """Release again what served before: the version and the configuration of an earlier release.

        Args:
            name: The deployment.
            to: The number of that release; default: the last one that served before the present one.
            why: The reason that the user gives.
            patience: Seconds that it has to become healthy.
            as_served: Whether it must be what this machine itself has noted to have served on it
                (`toolkit.deployments.proofs`), built from the same files.

        Raises:
            NotFound: There is no such deployment, no such release, or none that served before.
            InvalidValue: That release never served, or serves; or it is not proven.
            ToolkitError: As `update` does.
        """
        with alone(self._means.folder, name):
            deployment = self._changeover.mended(self._store.get(name))
            earlier = _earlier(deployment, self._store.releases(deployment.id), to)
            if as_served and not proofs.is_noted(self._means.folder, deployment, earlier):
                raise InvalidValue(
                    f"release {earlier.number} of {name} is not known to have served on this machine as it stands in "
                    "the store: go back by toolkit deployments rollback, at the machine"
                )
            version = self._means.find(f"models:/{earlier.model}/{earlier.version}")
            config = ServiceConfig.from_dict(mapping(earlier.instance.get("config")) or deployment.config)
            told = f"rollback to release {earlier.number}" + (f": {why}" if why else "")
            plan = Plan(
                version=version,
                config=config,
                options=deployment.options,
                why=told,
                patience=patience,
                digest=earlier.bento_digest if as_served else "",
            )
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
        with alone(self._means.folder, name):
            deployment = self._store.get(name)
            if not force:
                check_host(deployment)
            try:
                deployment = self._changeover.mended(deployment)
                target = self._changeover.target_of(deployment)
                for release in self._store.releases(deployment.id):
                    if release.state in (ReleaseState.SERVING, ReleaseState.WRITTEN, ReleaseState.STARTING):
                        self._changeover.end(target, deployment, release, ReleaseState.STOPPED)
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
        known = [self._changeover.serving(deployment)]
        if latest is not None and latest.state is ReleaseState.REFUSED and latest.message not in INTERRUPTED:
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
        target, release = self._changeover.target_of(deployment), self._changeover.serving(deployment)
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
        return self._changeover.target_of(deployment).logs(Instance.from_dict(one.instance), lines=lines, follow=follow)

    # -- how ----------------------------------------------------------------------------------------

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

    def _updated(self, deployment: Deployment, plan: Plan) -> Deployment:
        check_host(deployment)
        target = self._means.target(deployment.target, plan.options)
        target.require(plan.options)
        bento, built = self._built(plan.version, plan.config)
        if plan.digest not in ("", bento.digest):
            raise InvalidValue(
                f"{bento.tag} is built from other files than when it served (of the model, its packages or toolkit): "
                "release it at its machine, by toolkit deployments rollback or update"
            )
        deployment = self._store.change(deployment.id, expected=SETTLED, state=DeploymentState.UPDATING)
        return self._changeover.make(deployment, target, plan, bento, built)

    def _built(self, version: ModelVersion, config: ServiceConfig) -> tuple[BuiltBento, steps.Steps]:
        """Build a Bento; return it, and the step that it was."""
        begun = steps.begun((), steps.BUILD)
        bento = self._means.build(version, config)
        said = "built" if bento.made else "was built already"
        self._means.report(f"{bento.tag}: {said}")
        return bento, steps.ended(begun, said)


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
