"""``toolkit server``: serve a store to a team, in MLflow's API."""

from __future__ import annotations

from pathlib import Path

import typer

from toolkit.cli.render import say
from toolkit.errors import InvalidSetting
from toolkit.settings import Settings, load

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(
    epilog="Examples:  toolkit server  |  toolkit server --backend-store-uri postgresql://db/toolkit --workers 4",
)
def server(
    backend_store_uri: str | None = typer.Option(
        None, "--backend-store-uri", metavar="URL", help="Database that runs are kept in. Default: toolkit's own."
    ),
    artifacts_destination: str | None = typer.Option(
        None, "--artifacts-destination", metavar="URL", help="Where the server keeps artifacts that clients send it."
    ),
    default_artifact_root: str | None = typer.Option(
        None,
        "--default-artifact-root",
        metavar="URL",
        help="Where clients keep artifacts themselves, by-passing the server, such as s3://bucket/runs.",
    ),
    serve_artifacts: bool | None = typer.Option(
        None,
        "--serve-artifacts/--no-serve-artifacts",
        help="Whether artifacts go through the server. Default: unless --default-artifact-root is given.",
        show_default=False,
    ),
    host: str = typer.Option("127.0.0.1", "--host", "-h", metavar="ADDRESS", help="Address to listen on."),
    port: int = typer.Option(5000, "--port", "-p", min=0, max=65535, help="Port to listen on; 0: any that is free."),
    workers: int = typer.Option(1, "--workers", "-w", min=1, help="How many processes serve."),
    static_prefix: str = typer.Option("", "--static-prefix", metavar="PATH", help="What stands before each path."),
    allowed_hosts: str | None = typer.Option(
        None, "--allowed-hosts", metavar="NAMES", help="Names by which it may be called, with commas between them."
    ),
    ssl_keyfile: Path | None = typer.Option(None, "--ssl-keyfile", metavar="FILE", help="Key, to speak TLS."),
    ssl_certfile: Path | None = typer.Option(None, "--ssl-certfile", metavar="FILE", help="Certificate, to speak TLS."),
    access_log: bool = typer.Option(False, "--access-log", help="Write a line of JSON on stderr for each request."),
    insecure_no_auth: bool = typer.Option(
        False, "--insecure-no-auth", help="Let other machines in, though nobody is asked who they are."
    ),
) -> int:
    """Serve runs and artifacts to a team: MLflow's clients and toolkit's own find all that they know.

    Exit code: 0 after SIGTERM, 130 after Ctrl-C, 1 if the server cannot go on, 2 if the call is wrong.
    """
    from toolkit.server.process import ServerOptions, serve  # noqa: PLC0415 - uvicorn and SQLAlchemy

    settings = load()
    if default_artifact_root is not None and serve_artifacts:
        raise InvalidSetting("--default-artifact-root by-passes the server: leave out --serve-artifacts")
    if default_artifact_root is not None and artifacts_destination is not None:
        raise InvalidSetting("--artifacts-destination and --default-artifact-root: there is one place, choose one")
    by_passed = default_artifact_root or (settings.default_artifact_root if artifacts_destination is None else None)
    destination = by_passed or artifacts_destination or settings.artifacts_destination
    settings = _with_stores(settings, backend_store_uri or settings.backend_store_uri, destination)
    options = ServerOptions(
        host=host,
        port=port,
        workers=workers,
        prefix=static_prefix,
        serve_artifacts=by_passed is None if serve_artifacts is None else serve_artifacts,
        allowed_hosts=_names((settings.allowed_hosts if allowed_hosts is None else allowed_hosts) or ""),
        ssl_keyfile=ssl_keyfile,
        ssl_certfile=ssl_certfile,
        access_log=access_log,
        no_auth=insecure_no_auth,
    )
    return serve(settings, options, say)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _with_stores(settings: Settings, store: str | None, artifacts: str | None) -> Settings:
    """Return the settings with other stores, where such are named."""
    changes = {"tracking_uri": store, "artifact_root": artifacts}
    return settings.model_copy(update={name: value for name, value in changes.items() if value is not None})
