"""Many files between a run and a folder: what fails is named, what can be moved is, and nothing goes astray."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import ArtifactCorrupt, ArtifactError, Conflict, InvalidValue, NotFound
from toolkit.recording import transfer
from toolkit.recording.run import RecordedRun
from toolkit.recording.transfer import Moved, files_below, targets


def listed(run: RecordedRun) -> list[str]:
    return [entry.path for entry in run.stores.runs.list_artifacts(run.run_id).items]


def test_files_are_counted_as_they_come(run: RecordedRun, tmp_path: Path) -> None:
    for number in range(1_100):
        (tmp_path / f"{number:04}").write_text("x")
    seen: list[Moved] = []
    entries = run.log_folder(tmp_path, "many", report=seen.append)
    assert seen == [Moved(files=count, total=1_100, size=count) for count in range(1, 1_101)]
    assert [entry.path for entry in entries] == listed(run) == [f"many/{number:04}" for number in range(1_100)]


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_stored(run: RecordedRun, tmp_path: Path) -> None:
    for name in ("a", "z"):
        (tmp_path / name).write_text(name)
    (tmp_path / "bad").symlink_to("/proc/self/mem")  # there, and not to be read
    with pytest.raises(ArtifactError, match="/bad' was not stored: Input/output error"):
        run.log_folder(tmp_path)
    assert listed(run) == ["a", "z"]
    (tmp_path / "worse").symlink_to("/proc/self/mem")
    with pytest.raises(ArtifactError, match=r"\(2 of 4 files failed; this is the first\)"):
        run.log_folder(tmp_path)


def test_damaged_artifacts_are_told_and_the_others_fetched(run: RecordedRun, tmp_path: Path) -> None:
    entries = [run.log_text(name, name) for name in ("a", "b", "c")]
    damaged = run.local_path("b")
    assert damaged is not None
    damaged.chmod(0o644)
    damaged.write_text("B")
    with pytest.raises(ArtifactCorrupt):
        run.fetch_all(entries, tmp_path / "back")
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["a", "c"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("x")
    (tmp_path / "log").mkdir()
    for name in ("one", "two"):
        (tmp_path / "log" / name).symlink_to(tmp_path / "data")  # twice the same is no circle
    assert [path for _, path in files_below(tmp_path / "log")] == ["one/x", "two/x"]
    (tmp_path / "data" / "up").symlink_to(tmp_path / "log")
    with pytest.raises(ArtifactError, match="leads back to a folder that it is in"):
        files_below(tmp_path / "log")
    with pytest.raises(NotFound):
        files_below(tmp_path / "nope")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a\\..\\x", "C:/x"])
def test_nothing_is_written_outside(tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidValue):
        targets(["fine", path], tmp_path)


def test_names_that_differ_in_case_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are two files here, and one where the file system does not tell them apart."""
    assert len(targets(["Model", "model"], tmp_path)) == 2
    monkeypatch.setattr(transfer, "_tells_cases_apart", lambda _: False)
    with pytest.raises(Conflict, match="'Model' and 'model' are one file"):
        targets(["Model", "model"], tmp_path)
