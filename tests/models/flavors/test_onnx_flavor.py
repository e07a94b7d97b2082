"""Graphs of ONNX: their files, what they are fed and give, and options that have to be trusted."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
import zoo

from toolkit.artifacts.digest import file_digest
from toolkit.errors import InvalidValue, UntrustedModel
from toolkit.models.feeds import Graph
from toolkit.models.folder import LoadedModel, load_model, load_native, save_model
from toolkit.models.trust import Trust


def _loaded(folder: Path, graph: object, **options: object) -> LoadedModel:
    save_model(graph, folder, options=options)
    return load_model(folder)


def _two_inputs() -> Any:  # noqa: ANN401 - onnx has no types of its own
    """Return a graph that adds a column of floats to one of whole numbers, and says whether the sum is more than 2."""
    onnx = import_module("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    two = onnx.numpy_helper.from_array(np.array([2], dtype=np.float32), "two")
    nodes = [
        helper.make_node("Cast", ["n"], ["m"], to=kinds.FLOAT),
        helper.make_node("Add", ["x", "m"], ["sum"]),
        helper.make_node("Greater", ["sum", "two"], ["large"]),
    ]
    graph = helper.make_graph(
        nodes,
        "adding",
        [
            helper.make_tensor_value_info("x", kinds.FLOAT, [None, 1]),
            helper.make_tensor_value_info("n", kinds.INT64, [None, 1]),
        ],
        [
            helper.make_tensor_value_info("sum", kinds.FLOAT, [None, 1]),
            helper.make_tensor_value_info("large", kinds.BOOL, [None, 1]),
        ],
        [two],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_a_graph_comes_back(tmp_path: Path) -> None:
    graph = zoo.onnx_graph()
    save_model(graph, tmp_path / "m")

    assert load_native(tmp_path / "m", "onnx").SerializeToString() == graph.SerializeToString()
    block = yaml.safe_load((tmp_path / "m" / "MLmodel").read_text())["flavors"]["onnx"]
    assert block["providers"] == ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_of_a_frame_a_frame_with_its_rows_and_of_arrays_a_dict(tmp_path: Path) -> None:
    model = _loaded(tmp_path / "m", zoo.onnx_graph())
    data = pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4]}, index=["first", "second"])

    found = model.predict(data)

    assert found.to_dict() == {"y": {"first": 7.0, "second": 10.0}}
    assert model.predict(data.to_numpy())["y"].tolist() == [[7.0], [10.0]]
    assert model.predict({"x": [[1, 3]]})["y"].tolist() == [[7.0]]


def test_several_values_for_a_row_are_a_list_in_its_cell(tmp_path: Path) -> None:
    model = _loaded(tmp_path / "m", zoo.onnx_graph(columns=3))

    found = model.predict(pd.DataFrame({"a": [1.0, 0.0], "b": [0.0, 1.0]}))

    assert found["y"].tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


def test_each_of_several_inputs_gets_its_column(tmp_path: Path) -> None:
    model = _loaded(tmp_path / "m", _two_inputs())
    data = pd.DataFrame({"n": np.array([1, 2], dtype=np.int32), "more": [0, 0], "x": [0.5, 1.5]})

    found = model.predict(data)

    assert found.to_dict("list") == {"sum": [1.5, 3.5], "large": [False, True]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(pd.DataFrame({"x": [1.0]}), "no column n", id="column"),
        pytest.param({"x": [[1.0]]}, "nothing is given for the input n", id="input"),
        pytest.param({"x": [[1.0]], "n": [[1]], "z": [[1]]}, "no input z", id="unknown"),
        pytest.param(np.ones((1, 2)), "wanted a dict", id="array"),
        pytest.param([[1.0]], "a list is given", id="list"),
        pytest.param("/etc/passwd", "a str is given", id="text"),
        pytest.param(pd.DataFrame({"x": [1.0], "n": [1.5]}), r"input n takes tensor\(int64\), and float64", id="type"),
        pytest.param(pd.DataFrame({"x": ["1"], "n": [1]}), r"input x takes tensor\(float\)", id="numbers-as-text"),
        pytest.param({"x": np.ones((1, 1, 1)), "n": [[1]]}, "does not take these data", id="dimensions"),
    ],
)
def test_data_that_do_not_fit_are_refused_by_the_inputs_name(tmp_path: Path, data: object, said: str) -> None:
    model = _loaded(tmp_path / "m", _two_inputs())

    with pytest.raises(InvalidValue, match=said) as refused:
        model.predict(data)
    assert "\n" not in str(refused.value)


def test_large_tensors_in_a_file_of_their_own_leave_the_users_graph_whole(tmp_path: Path) -> None:
    graph = zoo.onnx_graph(columns=1000)
    values = import_module("onnx").numpy_helper.to_array
    before = values(graph.graph.initializer[0]).tolist()

    model = _loaded(tmp_path / "m", graph, save_as_external_data=True)

    assert sorted(file.name for file in (tmp_path / "m").glob("model*")) == ["model.onnx", "model.onnx.data"]
    assert values(graph.graph.initializer[0]).tolist() == before
    assert values(load_native(tmp_path / "m", "onnx").graph.initializer[0]).tolist() == before
    assert model.predict(np.ones((1, 2)))["y"].shape == (1, 1000)


def test_tensors_outside_of_the_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(8000))
    graph = zoo.onnx_graph(columns=1000)
    save_model(graph, tmp_path / "m", options={"save_as_external_data": True})
    path = tmp_path / "m" / "model.onnx"
    onnx = import_module("onnx")
    pointing = onnx.load(str(path), load_external_data=False)
    for entry in pointing.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../secret"
    path.write_bytes(pointing.SerializeToString())

    for load in (lambda: load_native(tmp_path / "m", "onnx"), lambda: load_model(tmp_path / "m")):
        with pytest.raises(InvalidValue, match=r"model\.onnx") as refused:
            load()
        assert "\n" not in str(refused.value)


def test_how_it_is_computed_is_kept(tmp_path: Path) -> None:
    session = {"intra_op_num_threads": 1, "execution_mode": "sequential", "graph_optimization_level": 99}
    providers = ["CPUExecutionProvider"]

    model = _loaded(tmp_path / "m", zoo.onnx_graph(), onnx_session_options=session, onnx_execution_providers=providers)

    native: Any = model.native
    assert native.get_session_options().intra_op_num_threads == 1
    assert native.get_providers() == providers
    block = yaml.safe_load((tmp_path / "m" / "MLmodel").read_text())["flavors"]["onnx"]
    assert block["onnx_session_options"] == session


def test_what_this_machine_does_not_have_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    providers = [("TensorrtExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"]
    save_model(zoo.onnx_graph(), tmp_path / "m", options={"onnx_execution_providers": providers})

    model = load_model(tmp_path / "m")

    assert "TensorrtExecutionProvider" in caplog.text
    assert model.predict(np.ones((1, 2), dtype=np.float32))["y"].tolist() == [[3.0]]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            {"onnx_execution_providers": [["CPUExecutionProvider", {"backend_path": "/tmp/evil.so"}]]}, id="provider"
        ),
        pytest.param({"onnx_session_options": {"extra_session_config": {"session.x": "1"}}}, id="session"),
    ],
)
def test_options_that_can_name_libraries_have_to_be_trusted(tmp_path: Path, options: dict[str, object]) -> None:
    folder = tmp_path / "m"
    save_model(zoo.onnx_graph(), folder, options=options)

    with pytest.raises(UntrustedModel, match="MLmodel with options of ONNX Runtime"):
        load_model(folder)

    load_native(folder, "onnx")  # the graph alone does not take them
    load_model(folder, trust=Trust(digests=frozenset({file_digest(folder / "MLmodel")})))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"onnx_session_options": {"execution_mode": "fast"}}, "execution_mode", id="mode"),
        pytest.param({"onnx_session_options": {"threads": 1}}, "threads", id="unknown"),
        pytest.param({"onnx_session_options": ["parallel"]}, "names and values", id="list"),
        pytest.param({"onnx_execution_providers": [1]}, "1 is no provider", id="provider"),
    ],
)
def test_options_that_are_none_are_refused(tmp_path: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        save_model(zoo.onnx_graph(), tmp_path / "m", options=options)
    assert not (tmp_path / "m").exists()


def test_a_graph_that_is_not_valid_is_refused(tmp_path: Path) -> None:
    graph = zoo.onnx_graph()
    graph.graph.node[0].input[1] = "nothing"

    with pytest.raises(InvalidValue, match="no valid graph") as refused:
        save_model(graph, tmp_path / "m")
    assert "\n" not in str(refused.value)
    with pytest.raises(InvalidValue, match="GraphProto is no graph of ONNX: wanted a ModelProto"):
        save_model(graph.graph, tmp_path / "m")


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    save_model(zoo.onnx_graph(), tmp_path / "m")
    (tmp_path / "m" / "model.onnx").write_bytes(b"hello")

    for load in (lambda: load_native(tmp_path / "m", "onnx"), lambda: load_model(tmp_path / "m")):
        with pytest.raises(InvalidValue, match=r"model\.onnx") as refused:
            load()
        assert "\n" not in str(refused.value)


def test_texts_and_mixed_columns_are_fed() -> None:
    words = Graph([("w", "tensor(string)", [None, 1])])
    assert words.feeds(pd.DataFrame({"w": ["a", "b"]}))["w"].tolist() == [["a"], ["b"]]
    with pytest.raises(InvalidValue, match=r"input w takes tensor\(string\), and int64"):
        words.feeds({"w": np.array([[1]])})

    numbers = Graph([("x", "tensor(float)", [None, 2])])
    mixed = pd.DataFrame({"a": [1, 2], "b": [0.5, None]}, dtype=object)
    assert numbers.feeds(mixed)["x"].dtype == np.float32
    assert numbers.feeds(pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}))["x"].tolist() == [[1, 0.5], [2, 1.5]]
