"""Artifacts of runs, as a client works with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from toolkit.active import files
from toolkit.active.connected import Connected, whole
from toolkit.active.figures import save_figure
from toolkit.active.images import save_image
from toolkit.active.tables import LOGGED_ARTIFACTS, append_table, joined_table, logged_tables
from toolkit.entities import FileInfo
from toolkit.errors import InvalidValue, NotFound
from toolkit.recording.run import RecordedRun
from toolkit.tracking.records import SearchQuery

if TYPE_CHECKING:
    import pandas as pd

_PAGE = 1_000


class ArtifactClient(Connected):
    """The part of `Client` that is about artifacts."""

    def log_artifact(self, run_id: str, local_path: str | Path, artifact_path: str | None = None) -> None:
        """Store a local file, or a folder with its name, in the folder ``artifact_path``.

        Raises:
            NotFound: There is nothing at ``local_path``.
        """
        source = Path(local_path)
        self._recorded(run_id).log_path(source, str(PurePosixPath(artifact_path or "") / source.name))

    def log_artifacts(self, run_id: str, local_dir: str | Path, artifact_path: str | None = None) -> None:
        """Store all files of a local folder in the folder ``artifact_path``.

        Raises:
            InvalidValue: ``local_dir`` is not a folder.
        """
        if not Path(local_dir).is_dir():
            raise InvalidValue(f"{local_dir} is not a folder: log_artifacts wants one, log_artifact takes a file")
        self._recorded(run_id).log_folder(Path(local_dir), artifact_path or "")

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """Store text, in UTF-8."""
        files.log_text(self._recorded(run_id), text, artifact_file)

    def log_dict(self, run_id: str, dictionary: object, artifact_file: str) -> None:
        """Store a value: as YAML if the name ends so, else as JSON."""
        files.log_value(self._recorded(run_id), dictionary, artifact_file)

    def log_stream(self, run_id: str, stream: BinaryIO, artifact_file: str) -> None:
        """Store what a binary stream gives until its end, in constant memory."""
        self._recorded(run_id).log_stream(stream, artifact_file)

    def log_figure(
        self, run_id: str, figure: object, artifact_file: str, *, save_kwargs: Mapping[str, object] | None = None
    ) -> None:
        """Store a figure of Matplotlib or Plotly."""
        save_figure(self._recorded(run_id), figure, artifact_file, save_kwargs or {})

    def log_image(
        self,
        run_id: str,
        image: object,
        artifact_file: str | None = None,
        key: str | None = None,
        step: int | None = None,
        timestamp: int | None = None,
        synchronous: bool | None = None,  # noqa: ARG002 - MLflow's argument: the files are stored when this returns
    ) -> None:
        """Store an image, by its name or as one of a series; arguments as in `toolkit.log_image`."""
        run = self._recorded(run_id)
        save_image(run, image, artifact_file=artifact_file, key=key, step=step, timestamp=timestamp)

    def log_table(self, run_id: str, data: object, artifact_file: str) -> None:
        """Store a table, or append to the one that is there; arguments as in `toolkit.log_table`."""
        append_table(self._recorded(run_id), data, artifact_file)

    def load_table(
        self,
        experiment_id: str,
        artifact_file: str,
        run_ids: Sequence[str] | None = None,
        extra_columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return a table that runs have logged, those of all runs one below the other, newest run first.

        Args:
            experiment_id: The experiment; only its runs are looked at, unless ``run_ids`` are given.
            artifact_file: The table's name.
            run_ids: Of these runs only.
            extra_columns: What to tell of each run in columns of its own: ``run_id``, ``params.alpha``, ….

        Raises:
            NotFound: No run has such a table.
        """
        if run_ids:
            runs = [self._runs.get_run(run_id) for run_id in run_ids]
        else:
            query = SearchQuery(experiment_ids=[str(experiment_id)], filter=f"tags.`{LOGGED_ARTIFACTS}` IS NOT NULL")
            search = self._runs.search_runs
            runs = whole(lambda size, token: search(replace(query, limit=size, page_token=token)), None, _PAGE)
        having = [run for run in runs if artifact_file in logged_tables(run.data.tags)]
        stores = self._stores
        return joined_table([RecordedRun(stores, run) for run in having], artifact_file, extra_columns or ())

    def place_of(self, artifact_uri: str) -> tuple[str, str] | None:
        """Return the run and the path among its artifacts that a URI names; ``None`` if it names no run here."""
        place = files.place_of(self._stores, artifact_uri)
        if place is None or artifact_uri.startswith("runs:"):
            return place
        try:
            self._runs.get_run(place[0])
        except NotFound:  # another store's, which keeps its files beside ours
            return None
        return place

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """Return what is in a folder of a run's artifacts; default: the top."""
        return files.listing(self._recorded(run_id), path)

    def download_artifacts(self, run_id: str, path: str, dst_path: str | Path | None = None) -> str:
        """Return the local path of a file or folder of a run.

        Args:
            run_id: The run.
            path: The file or folder; empty: all.
            dst_path: Folder to copy it into; default: where it lies, if that is on this machine (for reading only).

        Raises:
            NotFound: There is no such file or folder.
        """
        return files.download(self._recorded(run_id), path, dst_path)
