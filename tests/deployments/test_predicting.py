"""Files that become requests, answers that become text, and aliases that are written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolkit.deployments import following
from toolkit.deployments.endpoint import Answer, ask
from toolkit.deployments.predicting import format_of, prediction, request_of
from toolkit.deployments.records import Deployment, DeploymentState
from toolkit.errors import InvalidValue, TargetFailed


@pytest.mark.parametrize(
    ("rows", "kind", "body"),
    [
        ('[{"a": 1}]', "json", {"dataframe_records": [{"a": 1}]}),
        ("[[1, 2]]", "json", {"inputs": [[1, 2]]}),
        ('{"columns": ["a"], "data": [[1]]}', "json", {"dataframe_split": {"columns": ["a"], "data": [[1]]}}),
        ('{"instances": [1], "params": {"t": 1}}', "json", {"instances": [1], "params": {"t": 1}}),
        ('{"a": 1}\n\n{"a": 2}\n', "jsonl", {"dataframe_records": [{"a": 1}, {"a": 2}]}),
    ],
    ids=["records", "list", "split", "request", "lines"],
)
def test_json_becomes_a_request(rows: str, kind: str, body: object) -> None:
    sent, content_type = request_of(rows.encode(), kind)
    assert (json.loads(sent), content_type) == (body, "application/json")


def test_csv_and_parquet_are_sent_as_they_are() -> None:
    assert request_of(b"a\n1\n", "csv") == (b"a\n1\n", "text/csv")
    assert request_of(b"PAR1", "parquet") == (b"PAR1", "application/vnd.apache.parquet")


def test_what_is_no_json_is_said() -> None:
    with pytest.raises(InvalidValue, match="no JSON"):
        request_of(b"a,b", "json")


def test_formats_are_known_by_their_endings() -> None:
    found = [format_of(path, None) for path in ("a.CSV", "a.json", "a.ndjson", "a.pq", "-")]
    assert found == ["csv", "json", "jsonl", "parquet", "json"]
    assert format_of("rows.txt", "CSV") == "csv"
    with pytest.raises(InvalidValue, match=r"rows\.txt does not end in a known format"):
        format_of("rows.txt", None)
    with pytest.raises(InvalidValue, match="wanted one of csv, json, jsonl, parquet"):
        format_of("rows.csv", "xml")


def test_a_refusal_is_the_users_and_a_failure_the_services() -> None:
    assert prediction(Answer(status=200, body=b"{}"), "wine") == b"{}"
    with pytest.raises(InvalidValue, match="wine answered 400: no column a"):
        prediction(Answer(status=400, body=b'{"message": "no\\ncolumn a"}'), "wine")
    with pytest.raises(TargetFailed, match="wine answered 503: busy"):
        prediction(Answer(status=503, body=b"busy"), "wine")


def test_who_does_not_answer_is_said_in_one_line() -> None:
    with pytest.raises(TargetFailed, match=r"http://127\.0\.0\.1:1 does not answer"):
        ask("http://127.0.0.1:1", "/invocations", b"{}")
    with pytest.raises(InvalidValue, match="is no address of a service"):
        ask("ftp://wine", "/invocations", b"{}")


def test_what_follows_an_alias_is_written_down_without_passwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in following.TOLD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", "http://ann:secret@server")
    monkeypatch.setenv("TOOLKIT_REGISTRY_URI", "http://server")
    one = Deployment(
        id="0" * 32, name="wine", target="local", state=DeploymentState.SERVING, follow_alias="wine@champion"
    )
    assert following.note(tmp_path, one)
    assert following.read(tmp_path) == {"wine": {"TOOLKIT_REGISTRY_URI": "http://server"}}
    assert (tmp_path / ".following.json").stat().st_mode & 0o777 == 0o600
    gone = Deployment(
        id="0" * 32, name="wine", target="local", state=DeploymentState.DELETED, follow_alias="wine@champion"
    )
    assert not following.note(tmp_path, gone)
    assert following.read(tmp_path) == {}
    (tmp_path / ".following.json").write_text("[1]")
    assert following.read(tmp_path) == {}
