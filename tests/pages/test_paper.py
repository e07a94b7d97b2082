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
