"""What is remembered of a deployment: which version serves where, since when, and by whose will."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class DeploymentState(StrEnum):
    """How a deployment is, as far as was recorded last."""

    CREATING = "creating"
    """Its first release is being started."""
    SERVING = "serving"
    UPDATING = "updating"
    """A release serves, and another is being started beside it."""
    FAILED = "failed"
    """Nothing of it serves."""
    WRITTEN = "written"
    """Its files are written; applying them is somebody else's."""
    STOPPED = "stopped"
    DELETED = "deleted"
    """Its row is kept for the lineage; its name is free again."""


class ReleaseState(StrEnum):
    """What became of a release."""

    STARTING = "starting"
    SERVING = "serving"
    REFUSED = "refused"
    """It failed its checks and never took traffic."""
    REPLACED = "replaced"
    """It served until another took its place."""
    WRITTEN = "written"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A version that serves somewhere.

    Attributes:
        id: Its own, for ever; 32 hexadecimal digits.
        name: What users call it; of all that are not deleted it is the only one with this name.
        target: The kind of place.
        state: How it was last.
        message: What went wrong last, in one line; empty where nothing did.
        address: Where clients reach it; None where they cannot.
        release: The number of the release that serves; None where none does.
        follow_alias: The alias whose version it follows, ``NAME@ALIAS``; None where it follows none.
        config: The service's configuration, as `ServiceConfig.to_dict` gives it.
        options: The target's own options.
        host: The machine whose processes or engine it uses, for targets that are on a machine; else empty.
        created_at: Milliseconds since 1970.
        created_by: Who.
        updated_at: Milliseconds since 1970.
    """

    id: str
    name: str
    target: str
    state: DeploymentState
    message: str = ""
    address: str | None = None
    release: int | None = None
    follow_alias: str | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    created_at: int = 0
    created_by: str = ""
    updated_at: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One version in the life of a deployment.

    Attributes:
        deployment_id: Whose.
        number: From 1, dense.
        model: The registered model's name.
        version: Its number.
        run_id: The run that made it, where that is known.
        bento: The Bento's tag, ``wine-quality:3``.
        bento_digest: What it was built from, in SHA-256.
        image: The image's name, where there is one.
        image_digest: The image's digest, where there is one.
        instance: What the target finds it by, as `Instance` holds it in JSON.
        state: What became of it.
        message: Why it was refused, in one line.
        created_at: Milliseconds since 1970.
        created_by: Who.
        ended_at: When it was refused, replaced or stopped; None while it serves.
        why: What the user gave as the reason, or what made it: ``alias champion moved``, ``rollback``.
    """

    deployment_id: str
    number: int
    model: str
    version: int
    run_id: str | None = None
    bento: str = ""
    bento_digest: str = ""
    image: str | None = None
    image_digest: str | None = None
    instance: Mapping[str, object] = field(default_factory=dict)
    state: ReleaseState = ReleaseState.STARTING
    message: str = ""
    created_at: int = 0
    created_by: str = ""
    ended_at: int | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bento:
    """What was built of a version, whether it serves or not.

    Attributes:
        tag: ``wine-quality:3``.
        digest: What it was built from, in SHA-256.
        model: The registered model's name.
        version: Its number.
        run_id: The run that made the model, where that is known.
        created_at: When it was remembered first; milliseconds since 1970.
        created_by: Who built it.
    """

    tag: str
    digest: str
    model: str
    version: int
    run_id: str | None = None
    created_at: int = 0
    created_by: str = ""
