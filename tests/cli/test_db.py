"""``toolkit db``: upgrade, check, backup."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import threading
from pathlib import Path

import postgres
import pytest
from calls import Cli

from toolkit.db.engine import open_database
from toolkit.db.schema import HEAD, upgrade
from toolkit.testing.runs import add_run
from toolkit.tracking.records import Metric, RunQuery
from toolkit.tracking.sql import SqlRunStore


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/runs.db"
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", url)
    return url


def fill(url: str, runs: int = 3) -> None:
    store = SqlRunStore(url, "file:///artifacts")
    for number in range(runs):
        run = add_run(store, params={"p": str(number)})
        store.log_batch(run.info.run_id, metrics=[Metric(key="m", value=float("nan"), timestamp=0, step=number)])
    store.close()


def test_upgrade_says_what_it_did(cli: Cli, url: str, tmp_path: Path) -> None:
    answer = cli("db", "upgrade")
    assert (answer.code, answer.err) == (0, f"{url}: made, with schema {HEAD}\n")
    assert f"is {HEAD} already" in cli("db", "upgrade").err
    old = open_database(f"sqlite:///{tmp_path}/old.db")
    with old.write() as connection:
        upgrade(connection, old.place, "0001")
    old.close()
    assert f"upgraded from schema 0001 to {HEAD}" in cli("db", "upgrade", f"sqlite:///{tmp_path}/old.db").err


def test_check_of_a_sound_database(cli: Cli, url: str) -> None:
    fill(url)
    answer = cli("db", "check", "--json")
    assert answer.code == 0, answer
    told = json.loads(answer.out)
    assert told["place"] == url
    assert told["schema_version"] == {"database": HEAD, "toolkit": HEAD}
    assert (told["counts"]["runs"], told["counts"]["metrics"], told["counts"]["params"]) == (3, 3, 3)
    assert told["settings"] == {"journal_mode": "wal"}
    assert told["checked"] == ["integrity_check", "foreign_key_check"]
    assert told["problems"] == told["warnings"] == []
    assert told["size"] > 10_000
    shown = cli("db", "check")
    assert shown.code == 0
    assert f"database\t{url}" in shown.out


def test_check_tells_what_is_wrong(cli: Cli, url: str, tmp_path: Path) -> None:
    absent = cli("db", "check")
    assert absent.is_one_clear_error(), absent
    assert not (tmp_path / "runs.db").exists()
    with sqlite3.connect(tmp_path / "runs.db") as other:
        other.execute("CREATE TABLE studies (id INTEGER)")
    other.close()
    answer = cli("db", "check")
    assert answer.code == 1
    assert "call toolkit db upgrade" in answer.err
    fill(url)
    with sqlite3.connect(tmp_path / "runs.db") as other:
        other.execute("DELETE FROM runs WHERE id = 1")  # without its values, since foreign keys are off here
    other.close()
    answer = cli("db", "check", "--json")
    assert answer.code == 1
    assert "belongs to a row of runs that is not there" in json.loads(answer.out)["problems"][0]


def test_check_of_a_damaged_file(cli: Cli, url: str, tmp_path: Path) -> None:
    fill(url, runs=60)
    with (tmp_path / "runs.db").open("r+b") as file:
        file.seek(5 * 4096)
        file.write(os.urandom(3 * 4096))
    answer = cli("db", "check")
    assert answer.code == 1
    assert "damaged" in answer.err
    assert "Traceback" not in answer.err


def test_a_backup_is_whole_while_others_write(cli: Cli, url: str, tmp_path: Path) -> None:
    fill(url)
    store = SqlRunStore(url, "file:///artifacts")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():  # every run has as many points as parameters, at any moment
            run = add_run(store)
            points = [Metric(key=f"m{n}", value=1.0, timestamp=0) for n in range(20)]
            store.log_batch(run.info.run_id, metrics=points, params={f"p{n}": "1" for n in range(20)})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            answer = cli("db", "backup", str(tmp_path / f"copy{number}.db"))
            assert answer.code == 0, answer
    finally:
        stop.set()
        writer.join()
        store.close()
    for number in range(5):
        copy = SqlRunStore(f"sqlite:///{tmp_path}/copy{number}.db", "file:///artifacts")
        for run in copy.list_runs(RunQuery(limit=1000)).items:
            assert len(run.data.params) == len(run.data.metrics)
        copy.close()
    assert not list(tmp_path.glob(".*"))
    assert stat.S_IMODE((tmp_path / "copy0.db").stat().st_mode) & 0o077 == 0


def test_a_backup_replaces_nothing_unless_told(cli: Cli, url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    absent = cli("db", "backup", str(copy))
    assert absent.is_one_clear_error(), absent
    fill(url)
    copy.write_text("mine")
    for target in (copy, tmp_path, tmp_path / "none" / "x.db", tmp_path / "runs.db"):
        answer = cli("db", "backup", str(target), *(["--force"] if target.name == "runs.db" else []))
        assert answer.is_one_clear_error(), answer
    assert copy.read_text() == "mine"
    assert cli("db", "backup", str(copy), "--force").code == 0
    assert copy.read_bytes().startswith(b"SQLite format 3")


def test_postgres(cli: Cli, postgres_server: postgres.Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = postgres_server.new_database()
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", postgres_server.url(name))
    before = cli("db", "check")
    assert before.code == 1
    assert "call toolkit db upgrade" in before.err
    assert "made" in cli("db", "upgrade").err
    fill(postgres_server.url(name))
    answer = cli("db", "check", "--json")
    assert answer.code == 0, answer
    told = json.loads(answer.out)
    assert told["counts"]["runs"] == 3
    assert told["settings"]["synchronous_commit"] == "on"
    assert any(text.startswith("fsync is off") for text in told["warnings"])
    postgres_server.ask("CREATE EXTENSION amcheck", name)
    postgres_server.ask(f"ALTER DATABASE {name} SET synchronous_commit = off")
    answer = cli("db", "check")
    assert answer.code == 0, answer
    assert "checked\tamcheck" in answer.out
    assert "warning: synchronous_commit is off" in answer.err
    postgres_server.ask("DROP TABLE input_tags", name)
    answer = cli("db", "check")
    assert answer.code == 1
    assert "tables are missing: input_tags" in answer.err
    for said in (before, answer):
        assert postgres.PASSWORD not in said.out + said.err
    postgres_server.drop(name)


def test_a_backup_of_postgres_is_restored(
    cli: Cli, postgres_server: postgres.Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not (shutil.which("pg_dump") and shutil.which("pg_restore")):
        pytest.skip("pg_dump and pg_restore are not on the PATH")
    fill(postgres_url)
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", postgres_url)
    answer = cli("db", "backup", str(tmp_path / "copy.dump"))
    assert answer.code == 0, answer
    assert postgres.PASSWORD not in answer.err
    name = postgres_server.new_database()
    subprocess.run(
        ["pg_restore", "--no-owner", f"--dbname={postgres_server.url(name)}", str(tmp_path / "copy.dump")], check=True
    )
    first, second = SqlRunStore(postgres_url, "file:///a"), SqlRunStore(postgres_server.url(name), "file:///a")
    assert repr(second.list_runs(RunQuery())) == repr(first.list_runs(RunQuery()))
    assert add_run(second)
    first.close()
    second.close()
    postgres_server.drop(name)
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = cli("db", "backup", str(tmp_path / "other.dump"))
    assert answer.code == 1
    assert "install PostgreSQL's client programs" in answer.err
    assert not (tmp_path / "other.dump").exists()
