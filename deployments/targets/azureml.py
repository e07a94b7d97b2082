"""Azure Machine Learning: files of a managed online endpoint and its deployment, for ``az ml``.

Each release is a deployment of its own below one endpoint. ``deploy.sh`` makes it beside the one that serves, sends it
the model's example, and only then gives it the traffic. The image brings its own server ("bring your own container"):
https://learn.microsoft.com/azure/machine-learning/how-to-deploy-custom-container
"""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING, Any

from toolkit.deployments.targets.files import FilesTarget, about, write_files, yaml_text
from toolkit.deployments.targets.options import IMAGE as _IMAGE
from toolkit.deployments.targets.options import Option, check_image, choice, image_of, number, read_options
from toolkit.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.deployments.target import Instance, Placement

_PORT = 3000
_LONGEST = 180.0  # seconds that a managed endpoint lets a request take at most
_SHORTEST_NAME, _LONGEST_NAME = 3, 32  # of an endpoint; it is unique in its region

OPTIONS = (
    Option(
        name="image",
        pattern=_IMAGE,
        wanted="an image's name, such as team.azurecr.io/wine:{version}",
        missing="the image in a registry that the workspace pulls from, such as team.azurecr.io/wine:{version}; make "
        "it with bentoml containerize, and push it",
    ),
    Option(name="endpoint", pattern="[a-z]([a-z0-9-]{1,30}[a-z0-9])", wanted="3 to 32 small letters, digits and '-'"),
    Option(name="resource_group", pattern=r"[\w.()-]{1,90}", wanted="the name of a resource group"),
    Option(name="workspace", pattern=r"[A-Za-z0-9][\w-]{1,32}", wanted="the name of a workspace"),
    Option(name="instance_type", default="Standard_DS2_v2", pattern=r"Standard_\w{1,40}", wanted="a size of machine"),
    number("instances", "1"),
    choice("auth_mode", "key", "aml_token", "aad_token"),
    choice("public_network_access", "enabled", "disabled"),
    Option(name="output", wanted="a folder"),
)


class AzureML(FilesTarget):
    """Files of a managed online endpoint."""

    name = "azureml"

    def require(self, options: Mapping[str, str]) -> None:
        """Check the options. Nothing else is needed to write the files; to apply them, ``az`` with its ``ml`` part.

        Raises:
            InvalidValue: One is not known, does not fit, or is missing.
        """
        check_image(self.name, read_options(self.name, OPTIONS, options)["image"])

    def start(self, placement: Placement) -> Instance:
        """Write the files of a release.

        Raises:
            InvalidValue: The deployment's name is none that an endpoint may have.
            TargetFailed: They cannot be written.
        """
        options = read_options(self.name, OPTIONS, placement.options)
        endpoint = options["endpoint"] or placement.deployment
        if not _SHORTEST_NAME <= len(endpoint) <= _LONGEST_NAME:
            raise InvalidValue(
                f"an endpoint of Azure Machine Learning cannot be called {endpoint!r}: wanted 3 to 32 characters; give "
                "another name with --option endpoint=…"
            )
        image, release = image_of(placement, options["image"]), f"r{placement.release}"
        example = placement.bento.model_path / "serving_input_example.json"
        files = {
            "endpoint.yml": yaml_text(placement, _endpoint(endpoint, options)),
            "deployment.yml": yaml_text(placement, _deployment(placement, endpoint, release, image, options)),
            "deploy.sh": _script(endpoint, release, options, about(placement), scored=example.is_file()),
        }
        if example.is_file():
            files["example.json"] = example.read_text(encoding="utf-8")
        return write_files(placement, options["output"], files, apply="{folder}/deploy.sh", image=image)


def _endpoint(endpoint: str, options: Mapping[str, str]) -> dict[str, Any]:
    return {
        "$schema": "https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json",
        "name": endpoint,
        "auth_mode": options["auth_mode"],
        "public_network_access": options["public_network_access"],
        "tags": {"made_by": "toolkit"},
    }


def _deployment(
    placement: Placement, endpoint: str, release: str, image: str, options: Mapping[str, str]
) -> dict[str, Any]:
    bento, config = placement.bento, placement.config
    routes = {"liveness_route": "/livez", "readiness_route": "/readyz", "scoring_route": "/invocations"}
    probe = {"period": 10, "timeout": 5, "failure_threshold": 30}
    tags = {"model": f"{bento.model}/{bento.version}", "bento": bento.tag, "bento_digest": bento.digest}
    return {
        "$schema": "https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json",
        "name": release,
        "endpoint_name": endpoint,
        "environment": {
            "image": image,
            "inference_config": {route: {"path": path, "port": _PORT} for route, path in routes.items()},
        },
        "environment_variables": {"BENTOML_PORT": str(_PORT), "BENTOML_HOST": "0.0.0.0"},  # noqa: S104 - in a container
        "instance_type": options["instance_type"],
        "instance_count": int(options["instances"]),
        "request_settings": {
            "request_timeout_ms": math.ceil(min(config.timeout, _LONGEST) * 1000),
            "max_concurrent_requests_per_instance": config.max_concurrency * config.workers,
        },
        "liveness_probe": {"initial_delay": 10, **probe},
        "readiness_probe": {"initial_delay": 5, **probe},
        "tags": tags | ({"run_id": bento.run_id} if bento.run_id else {}),
    }


_CHECK = """
# Whoever asks the release now asks it by its name: no traffic comes to it. Look at the answer before you go on.
az ml online-endpoint invoke --name {endpoint} --deployment-name {release} --request-file example.json {where}
"""

_SCRIPT = """#!/bin/sh
# {about}
# Needs the Azure CLI with its ml extension (az extension add -n ml), and a login (az login). What it is given is passed
# on to each command of az: ./deploy.sh --resource-group GROUP --workspace-name NAME
set -eu
cd "$(dirname "$0")"

command -v az >/dev/null || {{ echo "deploy.sh: there is no az: install the Azure CLI" >&2; exit 2; }}
az ml --help >/dev/null 2>&1 || {{ echo "deploy.sh: az has no ml: az extension add -n ml" >&2; exit 2; }}

az ml online-endpoint show --name {endpoint} {where} >/dev/null 2>&1 ||
  az ml online-endpoint create --file endpoint.yml {where}

# Beside the deployment that serves: it gets no traffic until the last command.
az ml online-deployment create --file deployment.yml {where}
{check}
az ml online-endpoint update --name {endpoint} --traffic {release}=100 {where}
echo "{endpoint} answers with {release}; az ml online-deployment delete removes the release before it"
"""


def _script(endpoint: str, release: str, options: Mapping[str, str], told: str, *, scored: bool) -> str:
    """Return the commands that apply the files, in the order in which no request is lost."""
    flags = {"--resource-group": options["resource_group"], "--workspace-name": options["workspace"]}
    where = " ".join([*(f"{flag} {shlex.quote(value)}" for flag, value in flags.items() if value), '"$@"'])
    check = _CHECK.format(endpoint=endpoint, release=release, where=where) if scored else ""
    return _SCRIPT.format(about=told, endpoint=endpoint, release=release, where=where, check=check)


TARGET = AzureML()
