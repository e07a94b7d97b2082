"""Deployments, releases and Bentos as JSON of our API: both ways, for the server and for its client."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from toolkit.deployments.records import Bento, Deployment, DeploymentState, Release, ReleaseState

if TYPE_CHECKING:
    from toolkit.tracking.http_codec import Json

_DEPLOYMENT = tuple(field.name for field in fields(Deployment))
_RELEASE = tuple(field.name for field in fields(Release))
_BENTO = tuple(field.name for field in fields(Bento))
# What a store gives out by itself, what the path says, and who asks, which the headers say.
_NOT_ASKED = ("release", "updated_at", "ended_at", "deployment_id", "number", "created_by")


def deployment_out(record: Deployment) -> Json:
    """Return a deployment as JSON."""
    told: Json = {name: getattr(record, name) for name in _DEPLOYMENT}
    told.update(state=record.state.value, config=dict(record.config), options=dict(record.options))
    return told


def deployment_in(told: Json) -> Deployment:
    """Return the deployment of `deployment_out`."""
    values = {name: told[name] for name in _DEPLOYMENT}
    return Deployment(**{**values, "state": DeploymentState(told["state"])})


def new_deployment_out(new: Deployment) -> Json:
    """Return a deployment that is to be remembered."""
    return _asked(deployment_out(new))


def release_out(record: Release) -> Json:
    """Return a release as JSON."""
    told: Json = {name: getattr(record, name) for name in _RELEASE}
    told.update(state=record.state.value, instance=dict(record.instance))
    return told


def release_in(told: Json) -> Release:
    """Return the release of `release_out`."""
    values = {name: told[name] for name in _RELEASE}
    return Release(**{**values, "state": ReleaseState(told["state"])})


def new_release_out(new: Release) -> Json:
    """Return a release that is to be remembered."""
    return _asked(release_out(new))


def bento_out(record: Bento) -> Json:
    """Return a Bento as JSON."""
    return {name: getattr(record, name) for name in _BENTO}


def new_bento_out(new: Bento) -> Json:
    """Return a Bento that is to be remembered."""
    return _asked(bento_out(new))


def bento_in(told: Json) -> Bento:
    """Return the Bento of `bento_out`."""
    return Bento(**{name: told[name] for name in _BENTO})


def _asked(told: Json) -> Json:
    return {name: value for name, value in told.items() if name not in _NOT_ASKED}
