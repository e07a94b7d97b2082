"""What a file looks like: text with its colours, tables, notebooks, pictures. Bounded, whatever the file holds."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from markupsafe import Markup

from toolkit.server.pages import markdown
from toolkit.server.pages.indented import indented
from toolkit.server.pages.paper import is_still

READ = 256 * 1024
"""Bytes of a file that are looked at for a text or a table."""

ROWS, COLUMNS = 200, 50
_CELL = 300
_TABLE_TIME = 60
_TABLE_FILE = 64 << 20

IMAGES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
PDF = "application/pdf"
FRAMED = {"html": "text/html", "htm": "text/html", "svg": "image/svg+xml"}
SOUNDS = {"mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg", "flac": "audio/flac"}
FILMS = {"mp4": "video/mp4", "webm": "video/webm"}
SHOWN = {**IMAGES, **FRAMED, **SOUNDS, **FILMS, "pdf": PDF}
"""What browsers show by themselves, by the end of a file's name, and its type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What is shown of a file.

    Attributes:
        kind: ``html`` (made by us), ``table``, ``image``, ``frame``, ``paper``, ``audio``, ``video``,
            ``cells`` or ``none``.
        text: Of ``none``: why nothing is shown.
        markup: Of ``html``: the HTML.
        head: Of ``table``: names of columns.
        rows: Of ``table``: the cells as text.
        cells: Of ``cells``: a notebook's cells, as kind and HTML.
        note: What is left out, in words.
    """

    kind: str
    text: str = ""
    markup: Markup = field(default_factory=Markup)
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    cells: Sequence[tuple[str, Markup]] = ()
    note: str = ""


def suffix_of(path: str) -> str:
    """Return the end of a file's name, in lower case, without the dot."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def preview(path: str, stream: BinaryIO, size: int) -> Preview:
    """Return what is shown of a file.

    Args:
        path: Its path, whose end says what it is.
        stream: The file.
        size: Its bytes.
    """
    suffix = suffix_of(path)
    for kind, types in (
        ("image", IMAGES),
        ("frame", FRAMED),
        ("audio", SOUNDS),
        ("video", FILMS),
    ):
        if suffix in types:
            return Preview(kind=kind)
    if suffix == "pdf":
        if is_still(stream, size):
            return Preview(kind="paper")
        return Preview(kind="none", text="this PDF may carry script, which a browser would run: download it")
    if suffix in ("parquet", "feather", "arrow"):
        return _columns(suffix, stream, size)
    data = stream.read(READ)
    note = f"the first {READ // 1024} kB of it" if size > READ else ""
    if b"\0" in data[:8192]:
        return Preview(kind="none", text="this is no text, and no file of a kind that is shown here")
    text = _decoded(data)
    try:
        if suffix in ("csv", "tsv"):
            return _separated(text, suffix, note)
        if suffix == "ipynb" and not note:
            return _notebook(text)
        if suffix == "json" and not note:
            text = indented(text)
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error, RecursionError):
        pass  # it is not what its name says: it is shown as the text that it is
    if suffix in ("md", "markdown"):
        return Preview(kind="html", markup=markdown.html(text), note=note)
    return Preview(kind="html", markup=coloured(text, path), note=note)


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if len(data) == READ and error.start > READ - 4:  # a letter that was cut
            return data[: error.start].decode()
        return data.decode("latin-1")


def coloured(text: str, path: str) -> Markup:
    """Return code with its colours, as classes; what has no colours as it is.

    Args:
        text: The code.
        path: Where it is from, which says its language.
    """
    from pygments import highlight  # noqa: PLC0415 - not before a file is shown
    from pygments.formatters import HtmlFormatter  # noqa: PLC0415 - the same
    from pygments.lexers import get_lexer_for_filename  # noqa: PLC0415 - the same
    from pygments.util import ClassNotFound  # noqa: PLC0415 - the same

    name = path.rpartition("/")[2]
    try:
        lexer = get_lexer_for_filename({"MLmodel": "MLmodel.yaml", "MLproject": "MLproject.yaml"}.get(name, name))
    except ClassNotFound:
        return Markup('<pre class="code" tabindex="0">{}</pre>').format(text)
    made = highlight(text, lexer, HtmlFormatter(nowrap=True))
    return Markup('<pre class="code" tabindex="0">{}</pre>').format(Markup(made))  # noqa: S704 - it escapes


def _separated(text: str, suffix: str, note: str) -> Preview:
    delimiter = "\t"
    if suffix == "csv":
        first = text.partition("\n")[0]
        delimiter = max(",;\t|", key=first.count)
    rows = []
    for row in csv.reader(io.StringIO(text), delimiter=delimiter):
        rows.append([cell[:_CELL] for cell in row[:COLUMNS]])
        if len(rows) > ROWS:
            break
    if not rows:
        return Preview(kind="none", text="this table is empty")
    many = f"the first {ROWS} rows" if len(rows) > ROWS else ""
    return Preview(kind="table", head=rows[0], rows=rows[1 : ROWS + 1], note=many or note)


_READ_TABLE = """
import json, sys
import pyarrow as pa, pyarrow.parquet, pyarrow.feather
kind, path, rows, columns, cell = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
if kind == "parquet":
    file = pa.parquet.ParquetFile(path)
    names = file.schema_arrow.names[:columns]
    total = file.metadata.num_rows
    table = next(file.iter_batches(rows, columns=names), None)
    schema = file.schema_arrow
else:
    table = pa.feather.read_table(path, memory_map=True)
    names, total, schema = table.column_names[:columns], table.num_rows, table.schema
    table = table.select(names).slice(0, rows)
data = table.to_pydict() if table is not None else {name: [] for name in names}
print(json.dumps({
    "head": [f"{name} ({schema.field(name).type})" for name in names], "total": total,
    "rows": [["" if value is None else str(value)[:cell] for value in row] for row in zip(*(data[n] for n in names))],
}))
"""


def _columns(kind: str, stream: BinaryIO, size: int) -> Preview:
    """Read a table of columns, in a process of its own: what it takes of memory goes with it."""
    import tempfile  # noqa: PLC0415 - here alone

    if size > _TABLE_FILE:
        return Preview(kind="none", text=f"a table of more than {_TABLE_FILE >> 20} MB is not opened here")
    with tempfile.NamedTemporaryFile(suffix=f".{kind}") as copy:
        while piece := stream.read(1 << 20):
            copy.write(piece)
        copy.flush()
        given = ["parquet" if kind == "parquet" else "feather", copy.name, str(ROWS), str(COLUMNS), str(_CELL)]
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _READ_TABLE, *given], capture_output=True, timeout=_TABLE_TIME, check=False
            )
        except subprocess.TimeoutExpired:
            return Preview(kind="none", text="this table took too long to read")
    if done.returncode:
        why = "" if b"ModuleNotFoundError" not in done.stderr else ": install pyarrow beside the server"
        return Preview(kind="none", text=f"this table cannot be read{why}")
    told = json.loads(done.stdout)
    many = f"the first {ROWS} of {told['total']} rows" if told["total"] > ROWS else ""
    return Preview(kind="table", head=told["head"], rows=told["rows"], note=many)


def _notebook(text: str) -> Preview:
    cells: list[tuple[str, Markup]] = []
    for cell in json.loads(text)["cells"][:ROWS]:
        source = _joined(cell["source"])
        if cell["cell_type"] == "markdown":
            cells.append(("markdown", markdown.html(source)))
            continue
        cells.append((str(cell["cell_type"]), coloured(source, "cell.py")))
        for output in cell.get("outputs", ())[:20]:
            data = output.get("data", {})
            if "image/png" in data:
                picture = "".join(_joined(data["image/png"]).split())
                cells.append(("output", Markup('<img alt="output" src="data:image/png;base64,{}">').format(picture)))
            elif said := _joined(output.get("text", data.get("text/plain", ""))):
                cells.append(("output", Markup('<pre class="code" tabindex="0">{}</pre>').format(said[:20_000])))
    return Preview(kind="cells", cells=cells)


def _joined(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
