"""``toolkit registry``: registering, moving, tagging, copying and deleting, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from calls import Cli

import toolkit.data
from toolkit.artifacts.digest import file_digest
from toolkit.data.input import recorded
from toolkit.flows.input_record import Input, as_datasets
from toolkit.recording.run import RecordedRun


@pytest.fixture
def uri(tree: list[RecordedRun], tmp_path: Path) -> str:
    """The URI of a model that a run logged."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    tree[2].log_folder(tmp_path / "model", "model")
    return f"runs:/{tree[2].run_id}/model"


def test_a_version_from_its_making_to_its_end(cli: Cli, uri: str) -> None:
    first = cli("registry", "register", uri, "wine", "-t", "a=1", "-d", "the first", "--alias", "best", "--json").json
    assert (first["name"], first["version"], first["aliases"], first["tags"]) == ("wine", 1, ["best"], {"a": "1"})
    assert cli("registry", "register", uri, "wine", "--stage", "staging").out == "wine/2\n"
    assert cli("registry", "alias", "wine/2", "@best").out == "wine/2\n"
    assert cli("registry", "show", "wine@best", "--json").json["version"] == 2
    assert cli("registry", "stage", "wine/1", "production", "--reason", "it is better").out == "wine/1\n"
    assert cli("registry", "stage", "wine/2", "Production", "--archive-existing").code == 0
    assert cli("registry", "tag", "wine/1", "b=2", "c=3=4", "--delete", "a", "--json").json["tags"] == {
        "b": "2",
        "c": "3=4",
    }
    assert cli("registry", "tag", "wine", "team=red").code == 0
    assert cli("registry", "describe", "wine", "all of it").code == 0
    assert cli("registry", "describe", "wine/1", "").code == 0
    shown = cli("registry", "show", "wine", "--json").json
    assert (shown["description"], shown["tags"], shown["aliases"]) == ("all of it", {"team": "red"}, {"best": 2})
    assert [(each["version"], each["stage"], each["aliases"]) for each in shown["versions"]] == [
        (2, "Production", ["best"]),
        (1, "Archived", []),
    ]
    listed = cli("registry", "list", "--filter", "tags.team = 'red'", "--json").json["registered_models"]
    assert [each["name"] for each in listed] == ["wine"]
    assert cli("registry", "list").out.splitlines()[1].startswith("wine\t2\t@best=2\tArchived=1 Production=2\t")
    assert "wine/1\tArchived" in cli("registry", "list", "wine", "--order-by", "version_number").out
    assert cli("registry", "copy", "wine@best", "vin").out == "vin/1\n"
    assert cli("registry", "rename", "vin", "vino").code == 0
    assert cli("registry", "show", "vino/latest", "--json").json["source"] == "models:/wine/2"
    assert cli("registry", "alias", "wine", "best", "--delete").code == 0
    assert cli("registry", "delete", "wine/2").code == 0
    assert cli("registry", "show", "wine/2").is_one_clear_error()
    refused = cli("registry", "delete", "wine")
    assert refused.is_one_clear_error()
    assert "wine has 1 version" in refused.err
    assert cli("registry", "delete", "wine", "--yes", "--json").json["deleted"] == "wine"
    assert [row.partition("\t")[0] for row in cli("registry", "list").out.splitlines()] == ["name", "vino"]


def test_what_is_refused(cli: Cli, uri: str) -> None:
    assert cli("registry", "register", uri, "wine").code == 0
    for arguments, said in (
        (("register", uri, "a/b"), "cannot contain"),
        (("register", f"{uri}s", "wine"), "its models are model"),
        (("register", "models:/wine/7", "wine"), "not found"),
        (("register", ".", "wine"), "is a folder of this machine"),
        (("register", uri, "wine", "-t", "a"), "wanted KEY=VALUE"),
        (("register", uri, "wine", "--stage", "best"), "Invalid Model Version stage"),
        (("show", "beer"), "not found"),
        (("show", "wine/x"), "Invalid Model Version stage"),
        (("alias", "wine", "best"), "names no version"),
        (("alias", "wine/1", "latest"), "is reserved"),
        (("alias", "wine/1", "v2"), "is reserved"),
        (("alias", "wine", "best", "--delete"), "not found"),
        (("stage", "wine/1", "None", "--archive-existing"), "not an Active stage"),
        (("tag", "wine/1"), "no tag was given"),
        (("rename", "wine", "a:b"), "cannot contain"),
        (("copy", "wine", "beer"), "names no version"),
        (("delete", "wine/9"), "not found"),
        (("list", "--filter", "nmae = 'x'"), "unknown attribute"),
    ):
        refused = cli("registry", *arguments)
        assert refused.code == 2, arguments
        assert refused.err.startswith("error: "), refused.err
        assert said in refused.err, (arguments, refused.err)
    assert len(cli("registry", "list", "wine", "--json").json["versions"]) == 1


def test_where_a_version_comes_from(cli: Cli, uri: str, tree: list[RecordedRun], tmp_path: Path) -> None:
    """As a tree, as JSON and as a picture; and which versions saw a file."""
    (tmp_path / "raw.csv").write_text("1,2\n")
    inputs = [Input(parameter="raw", path=str(tmp_path / "raw.csv"), sha256=file_digest(tmp_path / "raw.csv"))]
    tree[2].log_inputs(as_datasets(inputs))
    assert cli("registry", "register", uri, "wine", "--stage", "Production").code == 0
    lines = cli("registry", "lineage", "wine/1", "--up").out.splitlines()
    digest = file_digest(tmp_path / "raw.csv")[:36]
    assert lines == [
        "version wine/1 Production",
        f"└─ made by run train {tree[2].run_id[:8]} FINISHED",
        f"   ├─ used (raw) dataset raw.csv {digest}",
        f"   └─ part of run whole {tree[0].run_id[:8]} FINISHED",
    ]
    told = cli("registry", "lineage", "wine", "--json").json
    assert {each["kind"] for each in told["nodes"]} == {"version", "run", "dataset"}
    assert (told["start"], told["whole"]) == ({"kind": "version", "id": "wine/1"}, True)
    assert cli("registry", "lineage", "--data", str(tmp_path / "raw.csv"), "--versions").out == (
        "version\tstage\nwine/1\tProduction\n"
    )
    assert (
        cli("registry", "lineage", "--data", digest, "--down")
        .out.splitlines()[-1]
        .endswith("version wine/1 Production")
    )
    noted = toolkit.data.from_path(tmp_path / "raw.csv")
    tree[1].log_inputs([recorded(noted, context="looks")])
    both = cli("registry", "lineage", "--data", str(tmp_path / "raw.csv"), "--down").out.splitlines()
    assert both[0] == f"dataset raw.csv {digest}"
    assert [line.split(" run ")[0] for line in both if "used by" in line] == ["├─ used by (raw)", "└─ used by (looks)"]
    assert f"dataset raw.csv {noted.digest}" in cli("registry", "lineage", "--run", tree[1].run_id, "--up").out
    picture = cli("registry", "lineage", "--run", "train", "--mermaid").out
    assert picture.startswith("flowchart LR\n")
    assert '-->|"made"|' in picture
    cut = cli("registry", "lineage", "wine/1", "--depth", "1")
    assert "this is not all" in cut.err
    for arguments in (
        (),
        ("wine/1", "--run", "train"),
        ("wine/9",),
        ("nobody's",),
        ("--data", "nothing"),
        ("wine/1", "--up", "--down"),
        ("models:/m-1",),
    ):
        assert cli("registry", "lineage", *arguments).is_one_clear_error(), arguments
