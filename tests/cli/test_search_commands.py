"""``toolkit runs search`` and the filters of ``toolkit experiments``."""

from __future__ import annotations

import pytest
from calls import Cli

from toolkit.recording.stores import Stores
from toolkit.testing.runs import START, add_run
from toolkit.tracking.records import Metric


@pytest.fixture(autouse=True)
def runs(stores: Stores) -> list[str]:
    ids = []
    for number in range(5):
        run = add_run(stores.runs, start_time=START + number, params={"alpha": str(number % 2)}, tags={"a b": "x"})
        stores.runs.log_batch(run.info.run_id, metrics=[Metric(key="rmse", value=number / 10, timestamp=0)])
        ids.append(run.info.run_id)
    return ids


def found(cli: Cli, *args: str) -> list[str]:
    return [run["run_id"] for run in cli("runs", "search", *args, "--json").json["runs"]]


def test_by_filter_and_order(cli: Cli, runs: list[str]) -> None:
    assert found(cli) == runs[::-1]
    assert found(cli, "metrics.rmse < 0.3 AND params.alpha = '0'", "-o", "metrics.rmse") == [runs[0], runs[2]]
    assert found(cli, "tags.`a b` = 'x'", "--order-by", "params.alpha DESC", "--order-by", "metrics.rmse") == [
        *runs[1::2],
        *runs[::2],
    ]
    assert found(cli, "-x", "Default", "-n", "1") == [runs[-1]]
    assert runs[0] in cli("runs", "search", "metrics.rmse <= 0").out


def test_pages(cli: Cli, runs: list[str]) -> None:
    first = cli("runs", "search", "-n", "3", "--json").json
    assert [run["run_id"] for run in first["runs"]] == runs[:1:-1]
    rest = cli("runs", "search", "-n", "3", "--page-token", first["next_page_token"], "--json").json
    assert [run["run_id"] for run in rest["runs"]] == runs[1::-1]
    assert rest["next_page_token"] is None
    assert cli("runs", "search", "metrics.rmse > 0", "--page-token", first["next_page_token"]).is_one_clear_error()


def test_counts_and_fields(cli: Cli) -> None:
    assert cli("runs", "search", "metrics.rmse > 0.15", "--count").out.strip() == "3"
    assert cli("runs", "search", "--count", "--json").json["count"] == 5
    (run,) = cli("runs", "search", "-n", "1", "-f", "metrics.rmse", "--json").json["runs"]
    assert (run["metrics"], run["params"], run["tags"]) == ({"rmse": 0.4}, {}, {})


def test_the_place_of_an_error_is_shown(cli: Cli) -> None:
    done = cli("runs", "search", "params.alpha LIEK '1'")
    assert done.code != 0
    lines = done.err.splitlines()
    (place,) = (at for at, line in enumerate(lines) if "params.alpha LIEK" in line)
    assert lines[place + 1].index("^") == lines[place].index("LIEK")


def test_experiments(cli: Cli) -> None:
    for name in ("wine", "beer"):
        cli("experiments", "create", "-n", name)
    rows = cli("experiments", "list", "--filter", "name != 'Default'", "--order-by", "name", "--json").json
    assert [row["name"] for row in rows["experiments"]] == ["beer", "wine"]
    assert "beer" not in cli("experiments", "search", "--filter", "name LIKE 'w%'").out
    assert cli("experiments", "list", "--filter", "nmae = 'x'").code != 0
