"""A project's files as one archive: what is in it, that it comes back as it was, and that it is stored once."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import commit, git, make_repository
from server import serving

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.errors import NotFound, ProjectError, TooLarge
from toolkit.flows import codebase, repository, snapshot
from toolkit.flows.provenance import read_provenance, source_tags
from toolkit.flows.source import Fetching, fetch, project_files
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.settings import load
from toolkit.wiring.opened import open_stores


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "src").mkdir(parents=True)
    (directory / "MLproject").write_text("name: demo\n")
    (directory / "src" / "tëst.py").write_text("print('train')\n")
    (directory / "run.sh").write_text("echo run\n")
    (directory / "run.sh").chmod(0o755)
    (directory / "link").symlink_to("src/tëst.py")
    return directory


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifactStore:
    return LocalArtifactStore(tmp_path / "artifacts")


def test_what_was_packed_comes_back_elsewhere(project: Path, store: LocalArtifactStore, tmp_path: Path) -> None:
    (project / ".gitignore").write_text("src\n")
    git(project, "init", "-q")
    git(project, "add", "-Af")
    commit(project, "1")
    (project / "run.sh").write_text("changed\n")
    source = fetch(str(project), caller=tmp_path)
    packed = snapshot.pack(source, tmp_path / "packed")
    assert (packed.complete, packed.digest, packed.path.name) == (True, source.digest, f"{source.digest}.zip")
    snapshot.store(packed, store)
    got = snapshot.obtain(packed.digest, store, tmp_path / "there")
    back = snapshot.open_snapshot(got, Fetching(root=tmp_path / "sources"), digest=packed.digest)
    assert back.digest == source.digest
    assert [file.path for file in project_files(back)] == [file.path for file in project_files(source)]
    assert (back.root / "link").readlink() == Path("src/tëst.py")
    assert (back.root / "run.sh").stat().st_mode & 0o111
    assert snapshot.pack(back, tmp_path / "again").path.read_bytes() == packed.path.read_bytes()


def test_it_is_stored_and_fetched_once(project: Path, store: LocalArtifactStore, tmp_path: Path) -> None:
    source = fetch(str(project), caller=tmp_path)
    packed = snapshot.pack(source, tmp_path / "packed")
    key = snapshot.store(packed, store)
    (before,) = store.list()
    assert (before.key, key) == (f"snapshots/{source.digest}.zip",) * 2
    packed.path.unlink()
    assert snapshot.store(packed, store) == key, "nothing was read: it is there"
    got = snapshot.obtain(packed.digest, store, tmp_path / "there")
    store.delete(key)
    assert snapshot.obtain(packed.digest, store, tmp_path / "there") == got
    with pytest.raises(NotFound, match="there is no snapshot 0000"):
        snapshot.obtain("0000", store, tmp_path / "there")


def test_it_goes_to_another_machine_through_a_server(project: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        stores = open_stores(load().model_copy(update={"home": tmp_path / "home", "tracking_uri": server.url}))
        try:
            source = fetch(str(project), caller=tmp_path)
            leases = Leases(stores.runs, lease_ms=60_000)
            run = RecordedRun.start(stores, leases, experiment_id="0", strict=True)
            packed = snapshot.pack(source, tmp_path / "packed")
            assert snapshot.store_with_run(packed, run) == f"source/{source.digest}.zip"
            run.end()
            info = stores.runs.get_run(run.run_id).info
            got = snapshot.obtain_from_run(packed.digest, stores, info, tmp_path / "there")
        finally:
            stores.close()
    back = snapshot.open_snapshot(got, Fetching(root=tmp_path / "sources"), digest=packed.digest)
    assert back.digest == source.digest


def test_what_is_left_out_is_told(project: Path, tmp_path: Path) -> None:
    (project / ".env").write_text("TOKEN=1\n")
    packed = snapshot.pack(fetch(str(project), caller=tmp_path), tmp_path / "packed")
    assert not packed.complete
    assert [(item.path, item.reason) for item in packed.left_out] == [(".env", "may hold secrets")]
    assert snapshot.left_out(packed.path) == packed.left_out
    source = snapshot.open_snapshot(packed.path, Fetching(root=tmp_path / "sources"), digest=packed.digest)
    assert not (source.root / ".env").exists()


def test_a_project_that_is_too_large_names_what_makes_it_so(project: Path, tmp_path: Path) -> None:
    (project / "data.bin").write_bytes(b"\0" * 3_000_000)
    with pytest.raises(TooLarge, match=r"have 3\.0 MB: wanted at most 1\.0 MB; name in \.toolkitignore .* data\.bin"):
        snapshot.pack(fetch(str(project), caller=tmp_path), tmp_path / "packed", limit=1_000_000)
    assert not (tmp_path / "packed").exists()
    (project / ".toolkitignore").write_text("*.bin\n")
    assert snapshot.pack(fetch(str(project), caller=tmp_path), tmp_path / "packed", limit=1_000_000).complete


def test_another_content_is_refused(project: Path, tmp_path: Path) -> None:
    packed = snapshot.pack(fetch(str(project), caller=tmp_path), tmp_path / "packed")
    with pytest.raises(ProjectError, match="it is damaged"):
        snapshot.open_snapshot(packed.path, Fetching(root=tmp_path / "sources"), digest="0" * 64)
    other = tmp_path / "other.zip"
    other.write_bytes(b"PK")
    with pytest.raises(ProjectError, match="is no snapshot"):
        snapshot.left_out(other)


# -- which files -------------------------------------------------------------------------------------


def paths(directory: Path) -> list[str]:
    return [file.path for file in project_files(fetch(str(directory), caller=directory))]


@pytest.mark.parametrize("in_git", [False, True], ids=["folder", "repository"])
def test_ignore_files_have_gits_rules(in_git: bool, tmp_path: Path) -> None:
    root = tmp_path / "project"
    for name in ("a.log", "keep.log", "data/x.csv", "src/a.log", "src/keep.log", "src/deep/out/y", "src/a.py", "out/z"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    (root / ".gitignore").write_text("*.log\n!keep.log\n/out\n")
    (root / "src" / ".gitignore").write_text("!a.log\nout/\n")
    (root / ".toolkitignore").write_text("# large\ndata/\n")
    if in_git:
        git(root, "init", "-q")
    assert [path for path in paths(root) if "ignore" not in path] == [
        "keep.log",
        "src/a.log",
        "src/a.py",
        "src/keep.log",
    ]


def test_what_is_asked_for_by_name_is_all_there(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*\n")
    (tmp_path / "data.csv").write_text("1\n")
    assert [file.path for file in codebase.list_files(tmp_path, every=True)] == [".gitignore", "data.csv"]
    assert codebase.list_files(tmp_path) == []


def test_what_toolkitignore_names_is_left_out_although_git_tracks_it(tmp_path: Path) -> None:
    made = make_repository(tmp_path / "demo")
    before = fetch(str(made.work), caller=tmp_path).digest
    (made.work / "large").mkdir()
    (made.work / "large" / "file").write_text("x")
    (made.work / ".toolkitignore").write_text("large\n.toolkitignore\n")
    commit(made.work, "3")
    assert "large/file" not in paths(made.work)
    assert fetch(str(made.work), caller=tmp_path).digest == before


# -- what a run says of it ---------------------------------------------------------------------------


def test_tags_lead_back_to_the_code(tmp_path: Path) -> None:
    made = make_repository(tmp_path / "demo")
    git(tmp_path, "clone", "-q", "--bare", str(made.work), "demo.git")
    fetching = Fetching(root=tmp_path / "sources")
    source = fetch("demo.git#parts", caller=tmp_path, version="main", fetching=fetching)
    tags = source_tags(source)
    url = (tmp_path / "demo.git").as_uri()
    assert tags["mlflow.source.name"] == f"{url}#parts"
    assert tags["mlflow.source.git.repoURL"] == url
    assert (tags["mlflow.source.git.branch"], tags["mlflow.source.git.commit"]) == ("main", made.newest)
    said = read_provenance(tags)
    assert said.uri is not None
    commit(made.work, "4")
    again = fetch(said.uri, caller=Path("/"), version=said.exact_version, fetching=fetching)
    assert (again.digest, again.commit) == (said.code_digest, made.newest)
    (made.work / "version.txt").write_text("dirty\n")
    assert read_provenance(source_tags(fetch("demo", caller=tmp_path))).exact_version is None


def test_the_diff_of_a_dirty_tree_is_bounded(tmp_path: Path) -> None:
    made = make_repository(tmp_path / "demo")
    (made.work / ".gitattributes").write_text("*.txt diff=evil\n")
    git(made.work, "config", "diff.evil.command", f"touch {tmp_path / 'mark'}")
    git(made.work, "config", "diff.evil.textconv", f"touch {tmp_path / 'mark'}")
    target = tmp_path / "changes.diff"
    assert repository.diff(made.work, target, limit=1000) == 0
    (made.work / "version.txt").write_text("mine\n")
    (made.work / "MLproject").unlink()
    size = repository.diff(made.work, target, limit=10_000)
    text = target.read_text()
    assert size == len(text)
    assert "-version 3\n+mine\n" in text
    git(made.work, "stash", "-q")
    git(made.work, "apply", "--check", str(target))
    git(made.work, "stash", "pop", "-q")
    repository.diff(made.work, target, limit=120)
    assert target.read_text().endswith("\n# toolkit: cut at 120 bytes\n")
    assert len(target.read_text()) < 160
    assert "version.txt" not in _diff(made.work / "parts", target), "only what the project is"
    assert not (tmp_path / "mark").exists()


def _diff(directory: Path, target: Path) -> str:
    repository.diff(directory, target, limit=1000)
    return target.read_text()


def test_a_directory_of_a_clone_is_found_again_by_the_address_of_its_remote(tmp_path: Path) -> None:
    made = make_repository(tmp_path / "demo")
    git(tmp_path, "clone", "-q", "--bare", str(made.work), "demo.git")
    git(tmp_path, "clone", "-q", str(tmp_path / "demo.git"), "mine")
    mine = tmp_path / "mine"
    source = fetch("mine#parts/train.d", caller=tmp_path)
    said = read_provenance(source_tags(source))
    assert said.places == (
        (f"{mine}#parts/train.d", made.newest),
        (f"{tmp_path / 'demo.git'}#parts/train.d", made.newest),
    )
    for uri, version in said.places:
        again = fetch(uri, caller=Path("/"), version=version, fetching=Fetching(root=tmp_path / "sources"))
        assert again.digest == source.digest
    assert repository.is_published(mine)
    commit(mine, "local")
    assert not repository.is_published(mine)
    (mine / "version.txt").write_text("dirty\n")
    assert read_provenance(source_tags(fetch("mine", caller=tmp_path))).places == ()
