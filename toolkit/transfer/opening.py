"""Which kind of source a URI means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toolkit.artifacts.location import Elsewhere
from toolkit.errors import InvalidValue, NotFound
from toolkit.transfer import archive
from toolkit.transfer.export_source import ExportSource
from toolkit.transfer.locations import Locations, read_mapping
from toolkit.transfer.mlflow_folder import MlflowFolder
from toolkit.transfer.source import Source

_SQLITE_HEADER = b"SQLite format 3\0"


def open_source(uri: str, artifacts_from: Sequence[str] = (), elsewhere: Elsewhere | None = None) -> Source:
    """Open what shall be imported.

    Args:
        uri: A folder that `toolkit export` made, an ``mlruns`` folder, a database file or a database URL.
        artifacts_from: ``URI=DIR``: where artifacts with such URIs lie; ``DIR``: those behind MLflow's server.
        elsewhere: Opens artifacts that are not on this machine.

    Raises:
        InvalidValue: It is nothing that can be imported.
        NotFound: There is nothing.
    """
    mapped = [read_mapping(text) for text in artifacts_from]
    scheme = uri.partition(":")[0] if "://" in uri or uri.startswith("file:") else ""
    if scheme in ("http", "https"):
        raise InvalidValue(f"{uri}: a server cannot be imported from; give the database or the folder behind it")
    if scheme not in ("", "file"):
        return _database(uri, mapped, elsewhere)
    path = Path(unquote(urlsplit(uri).path) if scheme else uri).expanduser().absolute()
    if path.is_dir():
        if (path / archive.MANIFEST).is_file():
            return ExportSource(path)
        if (path / archive.RUNS).is_file():
            raise InvalidValue(f"{path} is an export that was not finished: run toolkit export again")
        return MlflowFolder(path, Locations(mapped, path.parent, elsewhere))
    if not path.exists():
        raise NotFound(f"there is nothing at {path} to import")
    with path.open("rb") as file:
        if file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER:
            return _database(f"sqlite:///{path}", mapped, elsewhere)
    raise InvalidValue(f"{path} is no SQLite database: wanted a database, an mlruns folder or an export")


def _database(url: str, mapped: Sequence[tuple[str, Path]], elsewhere: Elsewhere | None) -> Source:
    from toolkit.transfer.mlflow_database import MlflowDatabase  # noqa: PLC0415 - SQLAlchemy

    file = urlsplit(url).path.removeprefix("/") if url.startswith("sqlite") else ""
    return MlflowDatabase(url, Locations(mapped, Path(file).absolute().parent if file else None, elsewhere))
