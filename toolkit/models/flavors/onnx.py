"""ONNX: graphs in their own format, which holds no code; ONNX Runtime computes the predictions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.feeds import Graph
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.metadata import FILE, ModelMetadata

logger = logging.getLogger(__name__)

_DATA = "model.onnx"
_LARGEST = 2**31 - 1
"""Bytes that one file of this format can hold: protobuf's limit."""

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
_CPU = "CPUExecutionProvider"
_HARMLESS = frozenset(
    "arena_extend_strategy cudnn_conv_algo_search device_id do_copy_in_default_stream gpu_mem_limit use_tf32".split()
)
"""Options of providers that anybody may set: others can name libraries that are then loaded."""

_SESSION = ("execution_mode", "extra_session_config", "graph_optimization_level")
_THREADS = ("inter_op_num_threads", "intra_op_num_threads")
_MODES = ("sequential", "parallel")
_LEVELS = (0, 1, 2, 3, 99)


class OnnxFlavor:
    """Graphs of ONNX."""

    name = "onnx"
    package = "onnx"
    modules = ("onnx",)
    loader_module = "mlflow.onnx"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is ONNX's."""
        return "onnx" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - a ModelProto
        """Write the graph into a file.

        ``onnx_execution_providers`` says what may compute it (names, or pairs of a name and options),
        ``onnx_session_options`` how. With ``save_as_external_data`` large tensors have a file of their own; by default
        only those of a graph have that is too large for one file (2 GiB).

        Raises:
            InvalidValue: It is no ModelProto, not a valid one, or an option cannot be used.
        """
        library = imported("onnx", self.package, self.name)
        options = request.read(onnx_execution_providers=None, onnx_session_options=None, save_as_external_data=None)
        if not isinstance(model, library.ModelProto):
            raise InvalidValue(f"a {type(model).__name__} is no graph of ONNX: wanted a ModelProto")
        session = _checked_session(options["onnx_session_options"])
        providers = _written(options["onnx_execution_providers"] or PROVIDERS)
        external = options["save_as_external_data"]
        path = folder / _DATA
        if external if external is not None else model.ByteSize() > _LARGEST:
            library.save_model(model, str(path), save_as_external_data=True, location=f"{_DATA}.data")
            library.load_external_data_for_model(model, str(folder))  # saving took them out of the user's own object
        else:
            library.save_model(model, str(path))
        _check(library, path)
        block = {
            "data": _DATA,
            "onnx_session_options": session,
            "onnx_version": library.__version__,
            "providers": providers,
        }
        return SavedFlavor(block=block, pyfunc={"data": _DATA}, requirements=("onnx", "onnxruntime"))

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401, ARG002 - no code is in it
        """Return the graph, a ModelProto.

        Raises:
            InvalidValue: ONNX is not installed, or cannot read the file.
        """
        library = imported("onnx", self.package, self.name)
        path = part_of(folder, block.get("data") or _DATA)
        _check(library, path)
        return library.load(str(path))

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> OnnxPredictor:
        """Return a session of ONNX Runtime.

        Raises:
            UntrustedModel: Its MLmodel sets options that can name libraries to be loaded, and is not trusted.
            InvalidValue: ONNX Runtime is not installed, or cannot use the graph.
        """
        runtime = imported("onnxruntime", "onnxruntime", self.name)
        block = metadata.flavor(self.name)
        path = part_of(folder, block.get("data") or _DATA)
        providers = _read_providers(block.get("providers"))
        session = _checked_session(block.get("onnx_session_options")) or {}
        given = {name for each in providers if not isinstance(each, str) for name in each[1]}
        if not given <= _HARMLESS or session.get("extra_session_config"):
            context.trust.require(folder / FILE, "an MLmodel with options of ONNX Runtime that can name libraries")
        return OnnxPredictor(_session(runtime, path, providers, _session_options(runtime, session)))


class OnnxPredictor:
    """A session of ONNX Runtime."""

    def __init__(self, native: Any) -> None:  # noqa: ANN401 - an InferenceSession
        self.native = native
        self._graph = Graph(inputs=[(each.name, each.type, each.shape) for each in native.get_inputs()])
        self._outputs = [each.name for each in native.get_outputs()]
        self._refusals = (imported("onnxruntime.capi.onnxruntime_pybind11_state", "onnxruntime").InvalidArgument,)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401, ARG002 - as all predict
        """Return what the graph makes of data.

        Args:
            data: A DataFrame (its values, or a column for each of several inputs), an array for the one input, or a
                dict of arrays by the inputs' names.
            params: Nothing is done with them: a graph has inputs only.

        Returns:
            Of a DataFrame a DataFrame of as many rows with a column for each output, in whose cells are lists where an
            output has several values for a row; else a dict of arrays by the outputs' names.

        Raises:
            InvalidValue: The data are not what the graph takes.
        """
        try:
            given = self.native.run(self._outputs, self._graph.feeds(data))
        except self._refusals as error:
            raise InvalidValue(f"the graph does not take these data: {' '.join(str(error).split())}") from None
        named = dict(zip(self._outputs, given, strict=True))
        return self._graph.frame(data, named) if hasattr(data, "columns") else named


def _check(library: Any, path: Path) -> None:  # noqa: ANN401 - a module
    try:
        library.checker.check_model(str(path))
    except (library.checker.ValidationError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise InvalidValue(f"ONNX {library.__version__} finds no valid graph in {path}: {said}") from None


def _session(runtime: Any, path: Path, providers: Sequence[Any], options: Any) -> Any:  # noqa: ANN401 - a module, its classes
    there = set(runtime.get_available_providers())
    usable = [each for each in providers if (each if isinstance(each, str) else each[0]) in there] or [_CPU]
    if list(providers) != list(PROVIDERS) and len(usable) < len(providers):
        logger.warning("of %s this ONNX Runtime has %s, which compute", list(providers), usable)
    try:
        return runtime.InferenceSession(str(path), sess_options=options, providers=usable)
    except Exception as error:  # noqa: BLE001 - each provider raises its own
        if usable == [_CPU]:
            raise InvalidValue(f"ONNX Runtime cannot use {path}: {' '.join(str(error).split())}") from None
        logger.warning("ONNX Runtime cannot use %s, so the CPU computes: %s", usable[0], error)
    return _session(runtime, path, [_CPU], options)


def _session_options(runtime: Any, given: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a module, its class
    options = runtime.SessionOptions()
    for name in _THREADS:
        if given.get(name):
            setattr(options, name, given[name])
    if mode := given.get("execution_mode"):
        options.execution_mode = getattr(runtime.ExecutionMode, f"ORT_{mode.upper()}")
    if level := given.get("graph_optimization_level"):
        options.graph_optimization_level = runtime.GraphOptimizationLevel(level)
    for key, value in (given.get("extra_session_config") or {}).items():
        options.add_session_config_entry(str(key), str(value))
    return options


def _checked_session(given: object) -> dict[str, Any] | None:
    """Return options of a session.

    Raises:
        InvalidValue: One is none, or has a value that is none.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InvalidValue(f"onnx_session_options are {given!r}: wanted names and values")
    for name, value in given.items():
        if name in _THREADS:
            fits = isinstance(value, int) and value >= 0
        elif name == "execution_mode":
            fits = str(value).lower() in _MODES
        elif name == "graph_optimization_level":
            fits = value in _LEVELS
        else:
            fits = name == "extra_session_config" and isinstance(value, Mapping)
        if not fits:
            wanted = f"threads as numbers for {' and '.join(_THREADS)}, {', '.join(_MODES)} for execution_mode, "
            wanted += f"{', '.join(map(str, _LEVELS))} for graph_optimization_level, keys for extra_session_config"
            raise InvalidValue(f"onnx_session_options have {name!r}: {value!r}: wanted {wanted}")
    return dict(given)


def _read_providers(given: object) -> list[str | tuple[str, dict[str, Any]]]:
    """Return providers as ONNX Runtime takes them: names, and pairs of a name and options."""
    entries = [given] if isinstance(given, str) else given if isinstance(given, list) and given else list(PROVIDERS)
    read: list[str | tuple[str, dict[str, Any]]] = []
    for each in entries:
        if isinstance(each, str):
            read.append(each)
        elif (
            isinstance(each, list | tuple) and len(each) == 2 and isinstance(each[0], str) and isinstance(each[1], dict)
        ):
            read.append((each[0], each[1]))
        else:
            raise InvalidValue(f"{each!r} is no provider of ONNX Runtime: wanted a name, or a name and options")
    return read


def _written(given: object) -> list[Any]:
    """Return providers as they stand in an MLmodel: pairs are lists there."""
    entries = list(given) if isinstance(given, list | tuple) else given
    return [each if isinstance(each, str) else list(each) for each in _read_providers(entries)]


FLAVOR = OnnxFlavor()
