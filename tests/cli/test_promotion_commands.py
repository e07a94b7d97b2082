"""``toolkit registry`` from gates to a rollback, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from calls import Cli

from toolkit.recording.run import RecordedRun


@pytest.fixture
def wine(cli: Cli, tree: list[RecordedRun], tmp_path: Path) -> Path:
    """Two versions of a model; returns a folder."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    tree[2].log_folder(tmp_path / "model", "model")
    for _ in range(2):
        assert cli("registry", "register", f"runs:/{tree[2].run_id}/model", "wine").code == 0
    return tmp_path


def act_as(monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    """Run the next commands as somebody."""
    monkeypatch.setenv("LOGNAME", user)


def test_from_gates_to_a_rollback(cli: Cli, wine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    act_as(monkeypatch, "ada")
    file = wine / "gates.yaml"
    file.write_text('Production:\n  gates: [tag reviewed = yes]\n  approvers: [bob]\n"@champion": [tag reviewed]\n')
    assert cli("registry", "gates", "set", "wine", "-f", str(file), "--reason", "rules").code == 0
    assert cli("registry", "gates", "show", "wine").out.splitlines() == [
        "target\tasks for",
        "@champion\ttag reviewed",
        "Production\ttag reviewed = yes",
        "Production\tapproved by bob",
    ]
    refused = cli("registry", "alias", "wine/1", "champion")
    assert refused.is_one_clear_error()
    assert "tag reviewed: it has no such tag" in refused.err
    checked = cli("registry", "gates", "check", "wine/1", "--stage", "production")
    assert checked.code == 2
    assert checked.out == "\tgate\tfound\nFAILED\ttag reviewed = yes\tit has no such tag\n"
    for number in ("1", "2"):
        assert cli("registry", "tag", f"wine/{number}", "reviewed=yes").code == 0
        assert cli("registry", "alias", f"wine/{number}", "champion").code == 0
    passed = cli("registry", "gates", "check", "wine/1", "--alias", "@champion", "--json").json
    assert (passed["passed"], passed["holder"], passed["lines"][0]["found"]) == (True, 2, "it is 'yes'")
    direct = cli("registry", "stage", "wine/1", "Production")
    assert direct.is_one_clear_error()
    assert "toolkit registry request wine/1 --stage Production" in direct.err
    asked = cli("registry", "request", "wine/1", "--stage", "Production", "--reason", "better")
    assert (asked.out, "0 of 1 approvals by bob" in asked.err) == ("1\n", True)
    own = cli("registry", "approve", "1")
    assert own.is_one_clear_error()
    assert "nobody decides on a request of their own" in own.err
    assert (
        cli("registry", "requests", "wine").out.splitlines()[1].startswith("1\twine/1\tProduction\tpending\t0/1\tada")
    )
    act_as(monkeypatch, "bob")
    done = cli("registry", "approve", "1", "--reason", "fine", "--json").json
    assert (done["state"], done["closed_by"], done["approvals"][0]["reason"]) == ("DONE", "bob", "fine")
    assert cli("registry", "show", "wine/Production", "--json").json["version"] == 1
    assert cli("registry", "requests").out.count("\n") == 1
    assert cli("registry", "requests", "--all", "--json").json["requests"][0]["request"] == 1
    assert cli("registry", "rollback", "wine", "--alias", "champion", "--reason", "slow").out == "@champion: 2 → 1\n"
    back = cli("registry", "rollback", "wine", "--stage", "production", "--reason", "wrong", "--json").json["changes"]
    assert [(each["from"], each["to"], each["reason"]) for each in back] == [("Production", "None", "wrong")]
    moves = cli("registry", "history", "wine", "--alias", "champion", "--json").json["changes"]
    assert [(each["from"], each["to"], each["user"]) for each in moves] == [
        ("2", "1", "bob"),
        ("1", "2", "ada"),
        (None, "1", "ada"),
    ]
    of_stage = cli("registry", "history", "wine/1", "--stage", "Production").out.splitlines()
    assert [line.split("\t")[3:6] for line in of_stage[1:]] == [
        ["stage", "Production", "None"],
        ["stage (request 1)", "None", "Production"],
    ]
    at = cli("registry", "history", "wine", "--at", moves[1]["time"], "--json").json
    assert (at["aliases"], at["stages"]) == ({"champion": 2}, {})
    assert cli("registry", "history", "wine", "--at", "2001-01-01").out == "held\tby\n"
    assert cli("registry", "history", "-n", "2").out.count("\n") == 3
    assert cli("registry", "gates", "set", "wine", "--stage", "Production", "--clear").code == 0
    assert cli("registry", "gates", "show", "wine", "--json").json["policies"] == [
        {"target": "@champion", "gates": ["tag reviewed"], "approvals": 0, "approvers": []}
    ]


def test_saying_no(cli: Cli, wine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    act_as(monkeypatch, "ada")
    for number in ("1", "2"):
        assert cli("registry", "request", f"wine/{number}", "--alias", "champion").code == 0
    assert cli("registry", "withdraw", "1", "--json").json["state"] == "WITHDRAWN"
    act_as(monkeypatch, "bob")
    rejected = cli("registry", "reject", "2", "--reason", "too early", "--json").json
    assert (rejected["state"], rejected["closed_why"]) == ("REJECTED", "too early")
    for arguments, said in (
        (("approve", "2"), "is closed: it was rejected by bob"),
        (("approve", "99"), "there is no request 99"),
        (("request", "wine/1"), "either --stage STAGE or --alias ALIAS"),
        (("request", "wine/1", "--alias", "a", "--stage", "Staging"), "either --stage STAGE or --alias ALIAS"),
        (("request", "wine/1", "--alias", "a", "--archive-existing"), "neither Staging nor Production"),
        (("gates", "set", "wine", "--alias", "a", "--gate", "good"), "'good' is no gate: wanted such as"),
        (("gates", "set", "wine", "--alias", "a"), "give --gate"),
        (("gates", "set", "wine", "--alias", "a", "--gate", "example", "--clear"), "none of them"),
        (("gates", "set", "wine", "-f", "none.yaml"), "cannot be read"),
        (("gates", "set", "wine", "-f", "none.yaml", "--stage", "Staging"), "--file says it all"),
        (("gates", "show", "beer"), "not found"),
        (("rollback", "wine", "--alias", "champion", "--reason", "x"), "nothing to roll back to"),
        (("rollback", "wine", "--alias", "champion", "--reason", " "), "without a reason"),
        (("history", "beer"), "not found"),
        (("history", "wine@best"), "wanted NAME or NAME/NUMBER"),
        (("history", "wine", "--at", "soon"), "--at is 'soon'"),
        (("history", "wine/1", "--at", "2026-01-01"), "--at wants the name"),
        (("requests", "beer"), "not found"),
    ):
        refused = cli("registry", *arguments)
        assert refused.is_one_clear_error(), arguments
        assert said in refused.err, arguments
    assert cli("registry", "reject", "2").code == 2
