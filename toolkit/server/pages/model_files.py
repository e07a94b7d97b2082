"""What the files of a version say: its signature, its example, what it needs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import NotFound, ToolkitError
from toolkit.models.metadata import FILE, ModelMetadata
from toolkit.server.artifacts.files import Files
from toolkit.server.pages.cells import cut

if TYPE_CHECKING:
    from toolkit.models.params import ParamSchema
    from toolkit.models.schema import Schema
    from toolkit.registry.records import ModelVersion
    from toolkit.server.artifacts.address import Address
    from toolkit.server.pages.asked import Asked

LARGEST = 512 * 1024
"""Bytes of a file that is shown."""

REQUIREMENTS = "requirements.txt"
_EXAMPLE = "input_example.json"
_LISTED = 500
_MOST_ROWS = 1_000
_SHOWN = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A line of a signature.

    Attributes:
        part: ``input``, ``output`` or ``parameter``.
        name: The column's, the tensor's or the parameter's; its place where it has none.
        type: What it is.
        required: Whether it must be given.
        default: What a parameter is that is not given.
    """

    part: str
    name: str
    type: str
    required: bool = True
    default: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """What a version takes, gives and needs, as its files say.

    Attributes:
        fields: The lines of its signature; empty: it has none.
        flavors: The libraries whose model it is.
        size: Bytes of all its files; None where nobody has said.
        example: Its input example, as text; empty where it has none.
        columns: The names of the example's columns, if it is a table.
        rows: Its first rows.
        request: What its example is as a request to a service.
        requirements: The lines of what it needs.
        fault: Why its files are not shown; empty where they are.
    """

    fields: Sequence[Field] = ()
    flavors: Sequence[str] = ()
    size: int | None = None
    example: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    request: str = ""
    requirements: Sequence[str] = ()
    fault: str = ""

    def of(self, part: str) -> Sequence[Field]:
        """Return the lines of a part of the signature."""
        return [field for field in self.fields if field.part == part]


def contract_of(asked: Asked, version: ModelVersion, *, whole: bool = True) -> Contract:
    """Return what the files of a version say; one whose files cannot be read says why.

    Args:
        asked: The request.
        version: The version.
        whole: Whether its example and its requirements are read, too: files of their own.
    """
    try:
        metadata = ModelMetadata.from_text(text_of(asked, version, FILE))
    except (ToolkitError, UnicodeDecodeError) as error:
        return Contract(fault=error.message if isinstance(error, ToolkitError) else f"{FILE} is no text")
    info = (metadata.saved_input_example_info or {}) if whole else {}
    example = _example(asked, version, str(info.get("artifact_path", _EXAMPLE))) if info else ""
    columns, rows = _table(example)
    return Contract(
        fields=_fields(metadata),
        flavors=[name for name in metadata.flavors if name != "python_function"] or list(metadata.flavors),
        size=metadata.model_size_bytes if isinstance(metadata.model_size_bytes, int) else None,
        example=example,
        columns=columns,
        rows=rows,
        request=_example(asked, version, str(info["serving_input_path"])) if info.get("serving_input_path") else "",
        requirements=_requirements(asked, version) if whole else (),
    )


def text_of(asked: Asked, version: ModelVersion, path: str) -> str:
    """Return a file of a version.

    Raises:
        ToolkitError: It is not there, or too large, or not where this server reads.
    """
    files = Files(asked.stores, asked.catalog)
    opened = files.open(_address(files, asked, version, path))
    with opened.stream as stream:
        if opened.size > LARGEST:
            raise ToolkitError(f"{path} has {opened.size} bytes: more than are shown")
        return stream.read(LARGEST).decode()


def listed(asked: Asked, version: ModelVersion) -> tuple[Sequence[tuple[str, int]], bool]:
    """Return paths and sizes of a version's files, as they were recorded, and whether there are more."""
    try:
        if version.model_id is not None:
            entries = asked.catalog.logged.files_of(version.model_id)
            return [(each.path, each.size) for each in entries[:_LISTED]], len(entries) > _LISTED
        if version.run_id is None:
            return [], False
        run = asked.stores.runs.get_run(version.run_id)
        place, root = version.location.rstrip("/"), run.info.artifact_uri.rstrip("/")
        path = place.removeprefix(f"{root}/") if place.startswith(f"{root}/") else None
        if path is None:
            return [], False
        found = asked.stores.runs.list_artifacts(version.run_id, prefix=path, limit=_LISTED)
        listed = [(each.path.removeprefix(f"{path}/"), each.size) for each in found.items]
        return listed, found.next_page_token is not None
    except NotFound:  # what made it was removed for good
        return [], False


def _address(files: Files, asked: Asked, version: ModelVersion, path: str) -> Address:
    """Return where a file of a version is; older clients register the run or the logged model that it is of."""
    from toolkit.registry.locating import locate  # noqa: PLC0415 - for versions whose files are looked at

    if version.location.startswith(("runs:", "models:")):
        located = locate(version.location, asked.stores, asked.catalog)
        if located.model_id is not None:
            return files.of_model(located.model_id, path)
        if located.run_id is not None and located.path is not None:
            return files.of_run(located.run_id, f"{located.path}/{path}".lstrip("/"))
    return files.of_version(version.name, version.version, path)


def _fields(metadata: ModelMetadata) -> Sequence[Field]:
    signature = metadata.signature
    if signature is None:
        return []
    return [
        *_of_schema("input", signature.inputs),
        *_of_schema("output", signature.outputs),
        *_of_params(signature.params),
    ]


def _of_schema(part: str, schema: Schema | None) -> Sequence[Field]:
    if schema is None:
        return []
    named = zip(schema.input_names(), schema.inputs, strict=True)
    return [
        Field(part=part, name=str(name), type=_type(each), required=each.required)
        for name, each in itertools.islice(named, _MOST_ROWS)
    ]


def _type(spec: Any) -> str:  # noqa: ANN401 - a column or a tensor
    shape = getattr(spec, "shape", None)
    if shape is not None:
        return f"tensor of {spec.type} ({', '.join('any' if size == -1 else str(size) for size in shape)})"
    return repr(spec.type)


def _of_params(params: ParamSchema | None) -> Sequence[Field]:
    return [
        Field(
            part="parameter",
            name=each.name,
            type=f"{'list of ' if each.shape else ''}{each.dtype!r}",
            required=False,
            default=repr(each.default)[:200],
        )
        for each in (params.params if params is not None else ())
    ]


def _example(asked: Asked, version: ModelVersion, path: str) -> str:
    try:
        text = text_of(asked, version, path)
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (
        ToolkitError,
        ValueError,
        RecursionError,
    ):  # it is shown if it can be: the rest of the page does not need it
        return ""


def _table(example: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return the columns and the first rows of an example that is a table."""
    told = json.loads(example) if example else None
    columns, data = (told.get("columns"), told.get("data")) if isinstance(told, dict) else (None, None)
    if not isinstance(columns, list) or not isinstance(data, list) or not all(isinstance(row, list) for row in data):
        return [], []
    cells = [[cut(each if isinstance(each, str) else json.dumps(each)) for each in row[:_SHOWN]] for row in data]
    return [cut(str(name)) for name in columns[:_SHOWN]], cells[:_SHOWN]


def _requirements(asked: Asked, version: ModelVersion) -> Sequence[str]:
    try:
        lines = text_of(asked, version, REQUIREMENTS).splitlines()
    except (ToolkitError, UnicodeDecodeError):  # not every model has some
        return []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")][:_MOST_ROWS]
