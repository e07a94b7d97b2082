"""TensorFlow's SavedModel folders: those that compute, and do not touch files or other programs.

A SavedModel is a program of TensorFlow's operations. Most of them compute; some read or write files, call Python or
other machines. A folder from somebody else is looked through for those before TensorFlow loads it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.flavor import LoadContext, imported
from toolkit.models.messages import first_line

_TOUCHING = frozenset(
    "ReadFile WriteFile MatchingFiles ImmutableConst PyFunc PyFuncStateless EagerPyFunc Save SaveV2 SaveSlices "
    "MergeV2Checkpoints Restore RestoreV2 RestoreSlice CreateSummaryFileWriter CreateSummaryDbWriter RpcCall RpcClient "
    "RpcServer RpcServerRegister DebugIdentity DebugIdentityV2 DebugIdentityV3 DumpTensor TextLineDataset "
    "TFRecordDataset TFRecordDatasetV2 FixedLengthRecordDataset FixedLengthRecordDatasetV2 SqlDataset CSVDataset "
    "CSVDatasetV2 LMDBDataset CacheDataset CacheDatasetV2 SaveDataset SaveDatasetV2 LoadDataset SnapshotDataset "
    "SnapshotDatasetV2 DatasetToTFRecord WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 "
    "TFRecordReader TFRecordReaderV2 FixedLengthRecordReader FixedLengthRecordReaderV2 LMDBReader".split()
)
_SAVER = ("__inference__traced_save", "__inference__traced_restore")
"""Names of the functions by which TensorFlow itself writes and reads the variables; nobody calls them at prediction."""


def suspicion(folder: Path) -> str | None:
    """Return what of a SavedModel does more than compute, in words; ``None``: nothing does."""
    protocol = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2")
    message = importlib.import_module("google.protobuf.message")
    model = protocol.SavedModel()
    try:
        model.ParseFromString((folder / "saved_model.pb").read_bytes())
    except (OSError, message.DecodeError) as error:
        return f"it cannot be looked through ({type(error).__name__})"
    return next(_found(model), None)


def load_saved_model(path: Path, context: LoadContext, tags: Any = None) -> Any:  # noqa: ANN401 - TensorFlow's
    """Load a SavedModel folder.

    Raises:
        UntrustedModel: It does more than compute, and is not trusted.
        InvalidValue: TensorFlow is not installed, or cannot read it.
    """
    tensorflow = imported("tensorflow", "tensorflow", "tensorflow")
    if not context.trust.allows(path) and (found := suspicion(path)):
        context.trust.require(path, f"a program of TensorFlow's with more than arithmetic ({found})")
    try:
        return tensorflow.saved_model.load(str(path), tags=tags)
    except (OSError, ValueError, RuntimeError, tensorflow.errors.OpError) as error:
        raise InvalidValue(f"TensorFlow {tensorflow.__version__} cannot read {path}: {first_line(error)}") from error


def tensorflow_distribution() -> str:
    """Return the name under which TensorFlow is installed."""
    for name in ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        return name
    return "tensorflow"


def _found(model: Any) -> Iterator[str]:  # noqa: ANN401 - protocol buffers have no types here
    for graph in model.meta_graphs:
        if not graph.object_graph_def.nodes:
            yield "it is of TensorFlow 1, which runs all of its graph"
        functions = {each.signature.name: each.node_def for each in graph.graph_def.library.function}
        called = {name for nodes in functions.values() for node in nodes for name in _calls(node)}
        called |= set(graph.object_graph_def.concrete_functions)
        for name, nodes in functions.items():
            if name.startswith(_SAVER) and name not in called:
                continue
            yield from (f"its function {name} does {node.op}" for node in nodes if node.op in _TOUCHING)


def _calls(node: Any) -> Iterator[str]:  # noqa: ANN401 - the same
    for value in node.attr.values():
        yield value.func.name
        yield from (each.name for each in value.list.func)
