"""Digests of files and folders."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.artifacts.digest import file_digest, folder_digest
from toolkit.errors import NotFound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_bytes(b"a")
    (folder / "sub" / "b").write_bytes(b"b")
    return folder


def test_file(folder: Path) -> None:
    assert file_digest(folder / "a") == hashlib.sha256(b"a").hexdigest()
    with pytest.raises(NotFound):
        file_digest(folder / "nope")


def test_the_rule_stays(folder: Path) -> None:
    """Recorded digests must stay true: a change of the rule needs a new version in front of it."""
    assert folder_digest(folder) == "1746046a5f14253fb8d116e14aaff7846b6bdb1784eee5d54b0aa1f7868fa79c"


def test_a_copy_has_the_same_digest(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    os.utime(copy / "a", (0, 0))
    (copy / "empty").mkdir()
    os.mkfifo(copy / "pipe")
    assert folder_digest(copy) == folder_digest(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a").write_bytes(b"x"),
        lambda folder: (folder / "a").rename(folder / "c"),
        lambda folder: (folder / "a").rename(folder / "sub" / "a"),
        lambda folder: (folder / "a").chmod(0o755),
        lambda folder: (folder / "c").write_bytes(b""),
        lambda folder: (folder / "a").unlink(),
        lambda folder: (folder / "link").symlink_to("a"),
        lambda folder: (folder / "link").symlink_to("sub"),
        lambda folder: ((folder / "sub" / "b").unlink(), (folder / "sub" / "b").symlink_to("b")),
    ],
)
def test_any_change_shows(folder: Path, change: Callable[[Path], object]) -> None:
    before = folder_digest(folder)
    change(folder)
    assert folder_digest(folder) != before


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"1")
    (folder / "link").symlink_to(outside)
    before = folder_digest(folder)
    outside.write_bytes(b"2")
    assert folder_digest(folder) == before


def test_a_missing_folder(folder: Path) -> None:
    for path in (folder / "nope", folder / "a"):
        with pytest.raises(NotFound):
            folder_digest(path)
