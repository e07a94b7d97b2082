"""Arguments of `docker run`, as MLflow's ``-A`` takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import InvalidValue
from toolkit.flows.environments.docker_arguments import read_arguments


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["gpus=all"], {"device_requests": [{"Count": -1, "Capabilities": [["gpu"]]}]}),
        (["gpus=2"], {"device_requests": [{"Count": 2, "Capabilities": [["gpu"]]}]}),
        (["gpus='device=0,1'"], {"device_requests": [{"DeviceIDs": ["0", "1"], "Capabilities": [["gpu"]]}]}),
        (["t"], {"tty": True}),
        (["privileged=True"], {"privileged": True}),
        (["init=false"], {"init": False}),
        (["m=2g", "memory-swap=4g", "shm-size=1g"], {"mem_limit": "2g", "memswap_limit": "4g", "shm_size": "1g"}),
        (["cpus=1.5", "cpu-shares=512"], {"nano_cpus": 1_500_000_000, "cpu_shares": 512}),
        (["net=none"], {"network_mode": "none"}),
        (["network=host", "user=1:1"], {"network_mode": "host", "user": "1:1"}),
        (["v=/a:/b", "volume=/c:/d:ro"], {"volumes": ["/a:/b", "/c:/d:ro"]}),
        (["p=8000:80"], {"ports": {"80": ["8000"]}}),
        (["add-host=db:10.0.0.1"], {"extra_hosts": {"db": "10.0.0.1"}}),
        (["label=a=b=c", "l=d"], {"labels": {"a": "b=c", "d": ""}}),
        (["tmpfs=/run:size=64m"], {"tmpfs": {"/run": "size=64m"}}),
        (["ulimit=nofile=1024:2048"], {"ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}]}),
        (["entrypoint=sh -c"], {"entrypoint": ["sh", "-c"]}),
        (["--read-only", "--w=/x"], {"read_only": True, "working_dir": "/x"}),
        (["rm", "i"], {}),
    ],
)  # fmt: skip
def test_an_argument_is_what_the_engine_calls_it(given: list[str], wanted: dict[str, object]) -> None:
    found = read_arguments(given).engine
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            assert value[0].items() <= dict(found[name][0]).items()
        else:
            assert found[name] == value


def test_mounts_are_read_as_docker_writes_them() -> None:
    (mount,) = read_arguments(["mount=type=bind,source=/a,target=/b,readonly"]).engine["mounts"]
    assert (mount["Type"], mount["Source"], mount["Target"], mount["ReadOnly"]) == ("bind", "/a", "/b", True)


def test_variables_are_values_or_copies(tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("# these\nA=from the file\nHERE\n\n")
    given = ["e=B=x=y; z", "env=HERE", "env=NOT_HERE", f"env-file={tmp_path / 'vars'}"]
    assert read_arguments(given, host={"HERE": "copied"}).variables == {
        "A": "from the file",
        "B": "x=y; z",
        "HERE": "copied",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["memroy=2g"], "-A memroy: .*did you mean 'memory'"),
        (["bogus"], "-A bogus: docker run has no such flag"),
        (["memory"], "-A memory has no value: write -A memory=VALUE"),
        (["memory=1g", "m=2g"], "given twice"),
        (["cpus=many"], "-A cpus=many: "),
        (["privileged=maybe"], "this is a flag"),
        (["gpus=some"], "wanted all, a number, or device=ID"),
        (["detach"], "-A detach cannot be used: .*foreground"),
        (["restart=always"], "-A restart cannot be used"),
        (["mount=type=bind"], "wanted type=bind,source=HERE,target=THERE"),
        (["env-file=/nowhere/at/all"], "No such file"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(given: list[str], message: str) -> None:
    with pytest.raises(InvalidValue, match=message) as caught:
        read_arguments(given)
    assert "\n" not in str(caught.value)
