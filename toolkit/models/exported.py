"""Graphs that ``torch.export`` wrote (``.pt2``): those that hold a computation and nothing else.

Torch itself unpickles what such a file asks for, evaluates the text of its shapes as Python, and calls whatever
function of torch's the graph names. Each of them can run any code, so a file is looked through before torch loads it,
by torch's own reader: another one might see other records than those that torch will load.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PLAIN = re.compile(r"archive_format|archive_version|byteorder|version|\.data/.*|\.format_version|extra/.*")
_CONFIG = re.compile(r"data/(weights|constants)/[^/]+_config\.json")
_RAW = re.compile(r"data/(weights|constants)/(weight|tensor)_\d+")
_SAMPLE = re.compile(r"data/sample_inputs/[^/]+\.pt")
_MODEL = re.compile(r"models/[^/]+\.json")

_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|quantized|quantized_decomposed|torchvision|torchaudio)\.(?!from_file)\w+(\.\w+)?"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|associative_scan"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|torch\.(sym_\w+|_sym_sqrt)|math\.\w+"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|xor|not_|inv|invert"
    r"|lshift|rshift|getitem|matmul)"
)
_SHAPE = re.compile(r"[\w\s+\-*/%(),<>=!&|~.]{0,2000}")
_SYMBOL = re.compile(r"Symbol\('\w+'(?:, \w+=(?:True|False))*\)|\b(?:s|u|f|zf|zuf|ps)\d+\b")
_SHAPE_FUNCTIONS = frozenset(
    "Add Mul Pow Integer Rational Max Min Abs Mod PythonMod FloorDiv CleanDiv CeilDiv IntTrueDiv FloatTrueDiv "
    "FloatPow PowByNatural ModularIndexing CeilToInt FloorToInt RoundToInt RoundDecimal TruncToInt "
    "TruncToFloat ToFloat Identity Where LShift RShift Eq Ne Lt Le Gt Ge Equality Unequality StrictLessThan "
    "LessThan StrictGreaterThan GreaterThan And Or Not floor ceiling sqrt true false True False "
    "OpaqueUnaryFn_sqrt".split()
)
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
_KEYS = re.compile(r"[^{}\\]*")


def suspicion(path: Path, torch: Any) -> str | None:  # noqa: ANN401 - a module
    """Return what of a file may run code, in words; ``None``: nothing does, it is a computation alone.

    Args:
        path: The file.
        torch: The library: its reader is asked, and its unpickler that takes tensors only.
    """
    try:
        reader = torch._C.PyTorchFileReader(str(path))
        names = list(reader.get_all_records())
        if "archive_format" not in names or reader.get_record("archive_format").strip() != b"pt2":
            return "it is of an older kind than pt2"
        return next(_found(reader, names, torch), None)
    except (RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
        return f"it cannot be looked through ({' '.join(str(error).split())[:200]})"


def _found(reader: Any, names: list[str], torch: Any) -> Iterator[str]:  # noqa: ANN401 - torch has no types here
    if len(set(names)) != len(names):
        yield "a record is in it twice"
    raw: set[str] = set()
    for name in names:
        if _CONFIG.fullmatch(name):
            folder = name.rpartition("/")[0]
            for entry in json.loads(reader.get_record(name))["config"].values():
                if entry.get("use_pickle") is False:
                    raw.add(f"{folder}/{entry['path_name']}")
                elif not str(entry["path_name"]).startswith(("weight_", "tensor_")):
                    yield f"it holds an object, {entry['path_name']}"
    for name in names:
        if _MODEL.fullmatch(name):
            yield from _in_model(json.loads(reader.get_record(name)))
        elif _SAMPLE.fullmatch(name) or (_RAW.fullmatch(name) and name not in raw):
            if not _tensors_only(reader.get_record(name), torch):
                yield f"its {name} is a pickle of more than tensors"
        elif not (_PLAIN.fullmatch(name) or _CONFIG.fullmatch(name) or _RAW.fullmatch(name)):
            yield f"it holds {name}"


def _tensors_only(content: bytes, torch: Any) -> bool:  # noqa: ANN401 - a module
    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - whatever torch stumbles over, it is not what torch wrote
        return False
    return True


def _in_model(model: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield what of a graph's JSON names or is code, wherever it stands."""
    waiting = [model]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            if "nodes" in value:
                yield from (f"it calls {each['target']}" for each in value["nodes"] if not _known(each["target"]))
            if "expr_str" in value and not _is_shape(value["expr_str"]):
                yield f"a shape of it is {value['expr_str']!r:.100}"
            for key in ("in_spec", "out_spec"):
                if value.get(key) and not _is_container(json.loads(value[key])[1]):
                    yield f"its {key} holds other things than tuples, lists and dicts"


def _known(target: object) -> bool:
    return isinstance(target, str) and _OPERATORS.fullmatch(target) is not None


def _is_shape(text: object) -> bool:
    """Tell whether the text of a shape is arithmetic over its symbols: it is evaluated as Python."""
    if not isinstance(text, str) or _SHAPE.fullmatch(rest := _SYMBOL.sub("0", text)) is None:
        return False
    return not re.search(r"\.\s*[^\W\d]", rest) and _SHAPE_FUNCTIONS.issuperset(re.findall(r"[^\W\d]\w*", rest))


def _is_container(spec: Any) -> bool:  # noqa: ANN401 - JSON
    return (
        spec["type"] in _CONTAINERS
        and _KEYS.fullmatch(spec["context"] or "") is not None
        and all(_is_container(each) for each in spec["children_spec"])
    )
