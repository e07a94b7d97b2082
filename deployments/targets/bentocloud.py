"""BentoCloud: ``bentoml deploy`` with a file.

The first release makes the deployment. Each later one is first a deployment of its own, which is asked for the model's
example; only then the one that clients know is updated to it, as BentoCloud does it: new replicas beside the old ones.
Everything is done by BentoML's own command, in a process of its own, so that a user can do the same by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from toolkit.deployments.endpoint import Answer, ask
from toolkit.deployments.target import Health, Instance
from toolkit.deployments.targets.files import write_files, yaml_text
from toolkit.deployments.targets.options import Option, choice, number, read_options, switch
from toolkit.errors import MissingTool, TargetFailed
from toolkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toolkit.deployments.target import Placement

OPTIONS = (
    Option(name="cluster", pattern="[a-z0-9][a-z0-9-]{0,62}", wanted="the name of a cluster"),
    Option(name="instance_type", pattern="[a-z0-9][a-z0-9._-]{0,62}", wanted="such as cpu.2"),
    number("replicas", "1"),
    number("max_replicas", "3"),
    choice("strategy", "RollingUpdate", "RampedSlowRollout", "BestEffortControlledRollout"),
    switch("access_authorization", "true"),
)

_MARK = "TOOLKIT_DEPLOYMENT"  # a variable by which we know our own
_READY = ("running", "scaled-to-zero")
_OVER = ("failed", "image-build-failed", "terminating", "terminated")
_BAD = ("unhealthy", "unknown")
_CALL, _PAUSE, _LONGEST_MOVE = 3600.0, 5.0, 3600.0  # seconds: a call may upload the model
_FILE, _CANDIDATE = "deployment.yaml", "candidate.yaml"


class BentoCloud:
    """Deployments on BentoCloud."""

    name = "bentocloud"
    serves = True

    def require(self, options: Mapping[str, str]) -> None:
        """Check the options, and that BentoCloud knows us.

        Raises:
            InvalidValue: An option is not known, or does not fit.
            MissingTool: There is no login, or it is no good.
        """
        read_options(self.name, OPTIONS, options)
        try:
            _bentoml("deployment", "list", "--output", "json")
        except TargetFailed as error:
            _token()
            raise MissingTool(
                f"BentoCloud does not know us: {error.message}; log in with bentoml cloud login"
            ) from None

    def start(self, placement: Placement) -> Instance:
        """Push the Bento, and deploy it: as the deployment itself the first time, later under a name of its own.

        Raises:
            TargetFailed: BentoCloud refused it; no deployment of the release is left.
        """
        options = read_options(self.name, OPTIONS, placement.options)
        public, own = placement.deployment, f"toolkit-{placement.deployment}-r{placement.release}"
        there = _find(options, public)
        if there is not None and _release(there, public) is None:
            raise TargetFailed(
                f"BentoCloud has a deployment {public} that toolkit did not make: give the deployment another name"
            )
        config = _config(placement, options)
        files = {
            _FILE: yaml_text(placement, {"name": public, **config}),
            _CANDIDATE: yaml_text(placement, {"name": own, **config}),
        }
        folder = write_files(placement, "", files, apply="", image="").id
        at, file = (public, _FILE) if there is None else (own, _CANDIDATE)
        detail = {"public": public, "own": own, "at": at, "folder": folder, "release": str(placement.release)}
        detail |= {name: options[name] for name in ("cluster", "access_authorization")}
        _bentoml("deploy", "--no-wait", "-f", str(Path(folder) / file))
        return Instance(id=at, detail=detail)

    def health(self, instance: Instance) -> Health:
        """Tell how BentoCloud says that it is."""
        at = instance.detail["at"]
        try:
            found = _find(instance.detail, at)
        except TargetFailed as error:
            return Health(state="failing", message=error.message)
        status = "terminated" if found is None else str(found["status"]["status"])
        if status in _READY:
            return Health(state="ready")
        if status in _OVER:
            return Health(state="gone", message=f"BentoCloud says that {at} is {status}")
        return Health(state="failing" if status in _BAD else "starting", message=f"BentoCloud says {status}")

    def switch(self, new: Instance, old: Instance | None) -> Instance:
        """Update the deployment that clients know, and delete the one that the release had to itself.

        Raises:
            TargetFailed: BentoCloud refused it, or the new replicas do not run; those before serve.
        """
        public, own, at = new.detail["public"], new.detail["own"], new.detail["at"]
        if at == own:
            _bentoml("deployment", "update", "-f", str(Path(new.detail["folder"]) / _FILE))
            try:
                found = _running(new.detail)
            except TargetFailed:
                if old is not None:
                    _bentoml("deployment", "update", "-f", str(Path(old.detail["folder"]) / _FILE))
                raise
            _delete(new.detail, own)
        else:
            found = _find(new.detail, public) or {}
        urls = found.get("endpoint_urls") or [None]
        return replace(new, id=public, address=urls[0], detail={**new.detail, "at": public})

    def stop(self, instance: Instance) -> None:
        """Delete the release's own deployment, or the one that clients know where this release has it.

        Raises:
            TargetFailed: BentoCloud refused it.
        """
        public, at = instance.detail["public"], instance.detail["at"]
        if at == public:  # where it is another release's by now, it stays
            found = _find(instance.detail, public)
            if found is None or _release(found, public) != instance.detail["release"]:
                return
        _delete(instance.detail, at)

    def ask(self, instance: Instance, path: str, body: bytes, *, content_type: str, timeout: float) -> Answer:
        """Send a body to a release, with the token of the login where it wants one.

        Raises:
            TargetFailed: It does not answer.
        """
        found = _find(instance.detail, instance.detail["at"]) or {}
        urls = found.get("endpoint_urls") or []
        if not urls:
            raise TargetFailed(f"BentoCloud tells no address of {instance.detail['at']}")
        protected = instance.detail["access_authorization"] == "true"
        headers = {"Authorization": f"Bearer {_token()}"} if protected else {}
        return ask(urls[0], path, body, content_type=content_type, timeout=timeout, headers=headers)

    def logs(self, instance: Instance, *, lines: int = 200, follow: bool = False) -> Iterator[str]:  # noqa: ARG002
        """Yield where BentoCloud shows them: its command does not give them out."""
        found = _find(instance.detail, instance.detail["at"]) or {}
        yield f"BentoCloud shows the output of {instance.detail['at']} at {found.get('admin_console', 'its console')}"


def _config(placement: Placement, options: Mapping[str, str]) -> dict[str, Any]:
    """Return what ``bentoml deploy -f`` reads, but for the name."""
    least = int(options["replicas"])
    service: dict[str, Any] = {
        "scaling": {"min_replicas": least, "max_replicas": max(least, int(options["max_replicas"]))},
        "deployment_strategy": options["strategy"],
    }
    if options["instance_type"]:
        service["instance_type"] = options["instance_type"]
    cluster = {"cluster": options["cluster"]} if options["cluster"] else {}
    return {
        "bento": placement.bento.tag,
        **cluster,
        "access_authorization": options["access_authorization"] == "true",
        "envs": [{"name": _MARK, "value": f"{placement.deployment}/{placement.release}"}],
        "services": {_service(placement.bento.path): service},
    }


def _service(bento: Path) -> str:
    """Return the name of a Bento's service.

    Raises:
        TargetFailed: The Bento does not tell it.
    """
    try:
        told = yaml.safe_load((bento / "bento.yaml").read_text(encoding="utf-8"))
        return str(told.get("entry_service") or told["services"][0]["name"])
    except (OSError, yaml.YAMLError, KeyError, IndexError, AttributeError):
        raise TargetFailed(f"{bento} is no Bento: its bento.yaml names no service") from None


def _release(found: Mapping[str, Any], public: str) -> str | None:
    """Return the number of the release that a deployment on BentoCloud runs; None where it is none of ours."""
    for each in (found.get("config") or {}).get("envs") or ():
        name, _, number = str(each.get("value", "")).partition("/")
        if each.get("name") == _MARK and name == public:
            return number
    return None


def _find(options: Mapping[str, str], name: str) -> dict[str, Any] | None:
    """Return what BentoCloud tells of a deployment; None where there is none."""
    try:
        told = json.loads(_bentoml("deployment", "get", name, *_cluster(options), "-o", "json"))
    except TargetFailed as error:
        if "not found" in error.message.lower():
            return None
        raise
    except ValueError:
        raise TargetFailed(f"bentoml deployment get {name} told what is no JSON") from None
    return told if isinstance(told, dict) else None


def _delete(options: Mapping[str, str], name: str) -> None:
    """End a deployment and delete it; what is gone already is no error."""
    for command in (["terminate", "--wait"], ["delete"]):
        try:
            _bentoml("deployment", command[0], name, *_cluster(options), *command[1:])
        except TargetFailed as error:
            if "not found" in error.message.lower():
                return
            raise


def _running(wanted: Mapping[str, str]) -> dict[str, Any]:
    """Wait until the deployment that clients know runs a release; return what BentoCloud tells of it.

    Raises:
        TargetFailed: It does not, or not in time.
    """
    public, deadline = wanted["public"], time.monotonic() + _LONGEST_MOVE
    while True:
        found = _find(wanted, public)
        status = "deleted" if found is None else str(found["status"]["status"])
        if found is not None and status in _READY and _release(found, public) == wanted["release"]:
            return found
        if found is None or status in (*_OVER, "unhealthy"):
            raise TargetFailed(f"BentoCloud did not bring release {wanted['release']} of {public} up: it says {status}")
        if time.monotonic() > deadline:
            raise TargetFailed(f"BentoCloud has not brought {public} up after {_LONGEST_MOVE:g} s: it says {status}")
        time.sleep(_PAUSE)


def _cluster(options: Mapping[str, str]) -> list[str]:
    return ["--cluster", options["cluster"]] if options.get("cluster") else []


def _token() -> str:
    """Return the token of BentoML's own login.

    Raises:
        MissingTool: There is none.
    """
    if token := environment().get("BENTO_CLOUD_API_KEY"):
        return token
    try:
        return str(json.loads(_bentoml("cloud", "current-context"))["api_token"])
    except (TargetFailed, ValueError, KeyError, TypeError):
        raise MissingTool(
            "there is no login to BentoCloud: log in with bentoml cloud login, or set BENTO_CLOUD_API_KEY and "
            "BENTO_CLOUD_API_ENDPOINT"
        ) from None


def _bentoml(*arguments: str) -> str:
    """Run BentoML's command, and return what it prints.

    Raises:
        TargetFailed: It failed; the message is its last line.
    """
    command = [sys.executable, "-P", "-m", "bentoml", *arguments]
    variables = environment(BENTOML_DO_NOT_TRACK="True", COLUMNS="1000", NO_COLOR="1")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_CALL, check=False, env=variables, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise TargetFailed(f"bentoml {arguments[0]} took longer than {_CALL:g} s") from None
    if done.returncode:
        said = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
        raise TargetFailed(f"bentoml {' '.join(arguments[:2])} failed: {(said or ['it does not say why'])[-1][:400]}")
    return done.stdout


TARGET = BentoCloud()
