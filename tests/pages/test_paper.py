"""PDFs that carry script are told from those that only show something."""

from __future__ import annotations

import io
import zlib

import pytest

from toolkit.server.pages.paper import LARGEST, is_still

_ACTION = b"<</S/JavaScript/JS(app.alert\\(1\\))>>"


def _packed(objects: bytes, rest: bytes = b"/Filter/FlateDecode") -> bytes:
    body = zlib.compress(objects)
    return b"%PDF-1.5\n1 0 obj\n<</Type/ObjStm/N 1/First 4" + rest + b">>\nstream\n" + body + b"\nendstream\nendobj\n"


_HIDDEN = b"1 0 <</OpenAction" + _ACTION + b">>"


def _hidden(between: bytes, after: bytes = b"stream\n", kind: bytes = b"/Type/ObjStm") -> bytes:
    """Return a PDF with packed script, whose stream's dictionary does not look like one."""
    head = b"%PDF-1.5\n1 0 obj\n<<" + kind + b"/N 1/First 4/Filter/FlateDecode"
    return head + between + b">>" + after + zlib.compress(_HIDDEN) + b"\nendstream\nendobj\n"


@pytest.mark.parametrize(
    "data",
    [
        _hidden(b" % obj\n"),
        _hidden(b"(\n2 0 obj\n<</A 1)"),
        _hidden(b" " * 5000),
        _hidden(b"", b"stream\r"),
        _hidden(b"", b"stream  \n"),
        _hidden(b"", kind=b""),
        _hidden(b"", kind=b"").replace(b"/First", b"/Fir#73t"),
        _hidden(b"/DecodeParms 3 0 R"),
        _hidden(b"", kind=b"").replace(b"/First 4", b"/First 7 0 R/Last 8 0 R%>>endobj\n"),
        _packed(b"1 0 <</Type/Catalog>>", b"/Filter[/FlateDecode/FlateDecode]"),
        b"%PDF-1.4\ntrailer<</Root 1 0 R/Encrypt 9 0 R>>\n",
        _packed(b"1 0 <</Type/Catalog>>") * 6000,
    ],
    ids="comment string blanks cr-alone blanks-after no-type no-type-escaped parameters no-outline twice encrypted "
    "many".split(),
)
def test_where_it_cannot_be_told_what_is_packed_there_may_be_script(data: bytes) -> None:
    assert not is_still(io.BytesIO(data), len(data))


def test_outlines_and_many_packed_objects_are_no_script() -> None:
    outline = b"9 0 obj\n<</Title(A \\) b)/First 5 0 R/Last 6 0 R/Count 2/Next 4 0 R/Title(50% of (it))>>\nendobj\n"
    data = _packed(b"1 0 <</Type/Catalog>>") * 500 + outline.replace(b"(50% of (it))", b"(50% of it)")
    assert is_still(io.BytesIO(data), len(data))


@pytest.mark.parametrize(
    ("data", "still"),
    [
        (b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction[3 0 R/Fit]>>endobj\n", True),
        (b"%PDF-1.4\n1 0 obj<</OpenAction" + _ACTION + b">>endobj\n", False),
        (b"%PDF-1.4\n1 0 obj<</S/J#61vaScript/JS(1)>>endobj\n", False),
        (b"%PDF-1.4\n1 0 obj<</S /Rendition /JS(1)>>endobj\n", False),
        (_packed(b"1 0 <</Type/Catalog>>"), True),
        (_packed(b"1 0 <</OpenAction" + _ACTION + b">>"), False),
        (_packed(b"1 0 <</OpenAction" + _ACTION + b">>").replace(b"ObjStm", b"Obj#53tm"), False),
        (_packed(b"1 0 <</Type/Catalog>>", b"/Filter[/ASCIIHexDecode/FlateDecode]"), False),
        (_packed(b"1 0 <</Type/Catalog>>", b"/Filter/FlateDecode/DecodeParms<</Predictor 12>>"), False),
        (_packed(b" " * (20 << 20)), False),
        (b"%PDF-1.5\n1 0 obj<</Type/ObjStm/Filter/FlateDecode>>stream\nnonsense", False),
    ],
    ids="plain action escaped rendition packed packed-action packed-escaped other-filter predictor bomb broken".split(),
)
def test_a_pdf_that_carries_script_is_none_that_only_shows(data: bytes, still: bool) -> None:
    assert is_still(io.BytesIO(data), len(data)) is still


def test_one_that_is_too_large_to_look_into_is_not_shown() -> None:
    assert not is_still(io.BytesIO(b""), LARGEST + 1)


def test_one_that_matplotlib_makes_is_shown() -> None:
    from matplotlib.figure import Figure

    made = io.BytesIO()
    figure = Figure()
    figure.add_subplot().plot([1, 2, 3], label="loss")
    figure.savefig(made, format="pdf")
    assert is_still(io.BytesIO(made.getvalue()), len(made.getvalue()))
