"""Projects in zip files: from the disk and from a web server, and those that nobody should unpack."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from repositories import PROJECT, Served, web_server

from toolkit.errors import InvalidValue, ProjectError, ProjectNotFound, SourceUnavailable, TooLarge
from toolkit.flows import archive
from toolkit.flows.archive import BadArchive
from toolkit.flows.source import Fetching, Source, fetch


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with web_server(tmp_path_factory.mktemp("web")) as served:
        yield served


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, web: Served) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    web.login = None
    for kept in (web.asked, web.authorizations, web.bodies, web.etags, web.redirects):
        kept.clear()


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    """Return a zip file; a name may be that of a link, with ``->`` before what it points to."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            if isinstance(content, str) and content.startswith("->"):
                info = zipfile.ZipInfo(name)
                info.create_system = 3
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
                opened.writestr(info, content[2:])
            else:
                opened.writestr(name, content)
    return target.getvalue()


WHOLE = {"MLproject": PROJECT.format(name="zipped"), "version.txt": "one\n", "src/a.py": "print()\n"}


def get(
    uri: str | Path,
    tmp_path: Path,
    version: str | None = None,
    *,
    limit: int = 1_000_000,
    said: list[str] | None = None,
) -> Source:
    report = (said if said is not None else []).append
    fetching = Fetching(root=tmp_path / "sources", limit=limit, report=report)
    return fetch(str(uri), caller=tmp_path, version=version, fetching=fetching)


def trees(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "sources").glob("*/*") if path.is_dir())


# -- what is in them ---------------------------------------------------------------------------------


def test_a_zip_file_in_every_spelling(tmp_path: Path) -> None:
    content = zipped(WHOLE)
    (tmp_path / "demo.zip").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    for uri in ("demo.zip", tmp_path / "demo.zip", (tmp_path / "demo.zip").as_uri(), "'demo.zip'", "demo.zip#src"):
        source = get(uri, tmp_path)
        assert source.root.name == "demo"
        assert (source.root / "version.txt").read_text() == "one\n"
        assert (source.commit, source.archive, source.fetched, source.dirty) == (None, digest, True, False)
    assert source.name == f"{tmp_path / 'demo.zip'}#src"
    assert trees(tmp_path) == [digest]


def test_an_archive_of_a_repository_has_its_project_one_folder_down(tmp_path: Path) -> None:
    members = {f"demo-main/{name}": content for name, content in WHOLE.items()}
    (tmp_path / "main.zip").write_bytes(zipped(members))
    (tmp_path / "plain.zip").write_bytes(zipped(WHOLE))
    source = get("main.zip", tmp_path)
    assert source.directory.name == "demo-main"
    assert source.digest == get("plain.zip", tmp_path).digest
    assert get("main.zip#src", tmp_path).directory.name == "src"


def test_the_same_files_have_the_same_digest_as_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name, content in WHOLE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "link").symlink_to("src/a.py")
    (tmp_path / "demo.zip").write_bytes(zipped({**WHOLE, "link": "->src/a.py"}))
    assert get("demo.zip", tmp_path).digest == fetch("folder", caller=tmp_path).digest


def test_what_git_would_read_is_left_out(tmp_path: Path) -> None:
    members = {**WHOLE, ".git/config": "[core]\n\tfsmonitor = touch /tmp/x\n", ".git/HEAD": "x", "__MACOSX/a": "x"}
    (tmp_path / "demo.zip").write_bytes(zipped(members))
    source = get("demo.zip", tmp_path)
    assert sorted(path.name for path in source.root.iterdir()) == ["MLproject", "src", "version.txt"]


# -- from the web ------------------------------------------------------------------------------------


def test_a_zip_file_on_the_web_is_fetched_once(tmp_path: Path, web: Served) -> None:
    web.bodies["/demo.zip"], web.etags["/demo.zip"] = zipped(WHOLE), '"one"'
    url = f"{web.url}/demo.zip"
    said: list[str] = []
    source = get(f"{url}?token=s3cret#src", tmp_path, said=said)
    assert (source.name, source.directory.name) == (f"{url}#src", "src")
    assert web.asked == ["/demo.zip?token=s3cret"]
    assert "s3cret" not in repr(source) + " ".join(said)
    assert get(url, tmp_path).archive == source.archive
    assert len(web.asked) == 2, "the server was asked whether it is still the same"
    pinned = get(url, tmp_path, f"sha256:{source.archive}")
    assert pinned.version == f"sha256:{source.archive}"
    assert len(web.asked) == 2
    web.bodies["/demo.zip"], web.etags["/demo.zip"] = zipped({**WHOLE, "version.txt": "two\n"}), '"two"'
    assert (get(url, tmp_path).root / "version.txt").read_text() == "two\n"
    assert len(trees(tmp_path)) == 2


def test_a_version_of_an_archive_is_its_digest(tmp_path: Path, web: Served) -> None:
    web.bodies["/demo.zip"] = zipped(WHOLE)
    with pytest.raises(InvalidValue, match=r"is an archive, which has no version 'main': wanted none, or sha256:"):
        get(f"{web.url}/demo.zip", tmp_path, "main")
    with pytest.raises(ProjectError, match=f"and sha256:{'0' * 64} is wanted: it is another file"):
        get(f"{web.url}/demo.zip", tmp_path, "sha256:" + "0" * 64)
    assert trees(tmp_path) == []
    with pytest.raises(InvalidValue, match="is a Git repository"):
        get("https://example.org/demo.git", tmp_path, "sha256:" + "0" * 64)


def test_the_web_away_offers_what_is_kept(tmp_path: Path) -> None:
    with web_server(tmp_path / "web") as served:
        served.bodies["/demo.zip"] = zipped(WHOLE)
        url = f"{served.url}/demo.zip"
        digest = get(url, tmp_path).archive
    with pytest.raises(SourceUnavailable, match=rf"does not answer .* is kept here; run it with -v sha256:{digest}$"):
        get(url, tmp_path)
    assert (get(url, tmp_path, f"sha256:{digest}").root / "version.txt").exists()
    with pytest.raises(SourceUnavailable, match="nothing of it is kept here"):
        get("http://127.0.0.1:9/demo.zip", tmp_path)


def test_logins_and_redirects(tmp_path: Path, web: Served) -> None:
    web.bodies["/demo.zip"] = zipped(WHOLE)
    web.login = "ada:s3cret%"
    with pytest.raises(ProjectNotFound, match="it wants a login"):
        get(f"{web.url}/demo.zip", tmp_path)
    with pytest.raises(ProjectNotFound, match="the login in the URL is not taken"):
        get(f"{web.url}/demo.zip".replace("//", "//ada:wr0ng@"), tmp_path)
    source = get(f"{web.url}/demo.zip".replace("//", "//ada:s3cret%25@"), tmp_path)
    assert "s3cret" not in repr(source)
    assert not [file for file in (tmp_path / "sources").rglob("*") if file.is_file() and b"s3cret" in file.read_bytes()]
    with web_server(tmp_path / "other") as other:
        other.bodies["/there.zip"] = zipped(WHOLE)
        web.redirects["/away.zip"] = f"{other.url}/there.zip"
        get(f"{web.url}/away.zip".replace("//", "//ada:s3cret%25@"), tmp_path)
        assert other.authorizations == [None], "the login is for the first server"
    web.redirects["/file.zip"] = "file:///etc/passwd"
    with pytest.raises((ProjectError, SourceUnavailable)):
        get(f"{web.url}/file.zip".replace("//", "//ada:s3cret%25@"), tmp_path)


def test_what_a_server_refuses(tmp_path: Path, web: Served) -> None:
    with pytest.raises(ProjectNotFound, match=r"there is no http://.*/nothing\.zip"):
        get(f"{web.url}/nothing.zip", tmp_path)
    assert list((tmp_path / "sources").glob("*/*")) == []


# -- what nobody should unpack -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/evil", "a/../evil", "..", "C:/evil", "a\\..\\..\\evil", "a\nb", "//evil", "C:evil"],
)
def test_nothing_is_written_outside(name: str, tmp_path: Path) -> None:
    (tmp_path / "demo.zip").write_bytes(zipped({"MLproject": "name: x\n", name: "evil"}))
    with pytest.raises(BadArchive, match="lies outside of it: it is not unpacked"):
        get("demo.zip", tmp_path)
    assert trees(tmp_path) == []
    assert not list(tmp_path.rglob("*evil*"))


def test_a_name_that_ends_early_for_other_programs(tmp_path: Path) -> None:
    content = zipped({"aXb": "x"}).replace(b"aXb", b"a\0b")
    (tmp_path / "demo.zip").write_bytes(content)
    with pytest.raises(BadArchive):
        get("demo.zip", tmp_path)


@pytest.mark.parametrize(
    "members",
    [
        {"out": "->../.."},
        {"out": "->/etc"},
        {"a/out": "->../../x"},
        {"self": "->.", "out": "->self/../.."},
        {"self": "->.", "out": "->self/../x"},
        {"out": "->" + "x" * 5000},
        {"out": "->..", "out/evil": "x"},
        {"out": "->src", "out/evil": "x"},
        {"out": "x", "out/evil": "x"},
    ],
    ids=[
        "up",
        "absolute",
        "deep",
        "through",
        "through-one",
        "long",
        "through-outside",
        "through-inside",
        "through-file",
    ],
)
def test_no_link_leads_out_and_nothing_is_written_through_one(members: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "demo.zip").write_bytes(zipped({"src/a.py": "x", **members}))
    with pytest.raises(BadArchive):
        get("demo.zip", tmp_path)
    assert trees(tmp_path) == []
    assert not list(tmp_path.rglob("evil"))


def test_links_inside_are_made(tmp_path: Path) -> None:
    (tmp_path / "demo.zip").write_bytes(zipped({"src/a.py": "x", "src/up": "->../top.py", "top.py": "y", "b": "->src"}))
    source = get("demo.zip", tmp_path)
    assert (source.root / "src" / "up").read_text() == "y"
    assert (source.root / "b" / "a.py").read_text() == "x"


def test_no_bomb_fills_the_disk(tmp_path: Path) -> None:
    bomb = zipped({"a": b"\0" * 2_000_000})
    (tmp_path / "demo.zip").write_bytes(bomb)
    with pytest.raises(TooLarge, match=r"demo\.zip unpacks to 2 MB: wanted at most 1 MB; raise TOOLKIT_SOURCE_LIMIT"):
        get("demo.zip", tmp_path)
    size, lie = (2_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert bomb.count(size) == 2
    (tmp_path / "demo.zip").write_bytes(bomb.replace(size, lie))
    with pytest.raises(BadArchive):
        get("demo.zip", tmp_path)
    assert trees(tmp_path) == []


def test_what_unpacks_to_more_than_it_says_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library's own limit on what a member may give."""
    (tmp_path / "demo.zip").write_bytes(zipped({"a": b"\0" * 600_000, "b": b"\0" * 600_000}))
    monkeypatch.setattr(archive, "_members", _unchecked)
    with pytest.raises(TooLarge, match="unpacks to more: wanted at most 1 MB"):
        get("demo.zip", tmp_path)
    assert trees(tmp_path) == []


def _unchecked(opened: zipfile.ZipFile, name: str, limit: int) -> Iterator[tuple[zipfile.ZipInfo, tuple[str, ...]]]:
    for info in opened.infolist():
        yield info, (info.filename,)


def test_a_download_that_is_too_long_is_broken_off(tmp_path: Path, web: Served) -> None:
    web.bodies["/demo.zip"] = b"\0" * 1_000_001
    with pytest.raises(TooLarge, match=r"has more than 1 MB"):
        get(f"{web.url}/demo.zip", tmp_path)
    assert list((tmp_path / "sources").glob("*/*")) == []


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_FILES", 2)
    (tmp_path / "demo.zip").write_bytes(zipped(WHOLE))
    with pytest.raises(TooLarge, match="holds 3 files: wanted at most 2"):
        get("demo.zip", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no zip", zipped(WHOLE)[:-30], zipped(WHOLE)[10:]], ids=range(4))
def test_what_is_no_zip_file_or_damaged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "demo.zip").write_bytes(content)
    with pytest.raises(BadArchive, match=r"demo\.zip is no zip file, or is damaged"):
        get("demo.zip", tmp_path)


def test_an_encrypted_one_and_devices(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": "x"}))
    for start in (content.find(b"PK\x03\x04") + 6, content.find(b"PK\x01\x02") + 8):
        content[start] |= 1
    (tmp_path / "demo.zip").write_bytes(bytes(content))
    with pytest.raises(BadArchive, match="is encrypted: unpack it"):
        get("demo.zip", tmp_path)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        info = zipfile.ZipInfo("pipe")
        info.create_system, info.external_attr = 3, (stat.S_IFIFO | 0o644) << 16
        opened.writestr(info, "")
    (tmp_path / "demo.zip").write_bytes(target.getvalue())
    with pytest.raises(BadArchive, match="no file, folder or link"):
        get("demo.zip", tmp_path)


def test_modes_but_no_more_of_them_than_may_be_executed(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        for name, mode in (("run.sh", 0o4777), ("data", 0o666)):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | mode) << 16
            opened.writestr(info, "x")
    (tmp_path / "demo.zip").write_bytes(target.getvalue())
    root = get("demo.zip", tmp_path).root
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("run.sh", "data")] == [0o755, 0o644]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        opened.writestr("a", "one")
        opened.writestr("a", "two")
    (tmp_path / "demo.zip").write_bytes(target.getvalue())
    with pytest.raises(BadArchive, match="holds 'a' twice"):
        get("demo.zip", tmp_path)
