"""Gates: how they are written, judged, and read from a file; and which signatures callers can keep to."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from toolkit.errors import InvalidValue, NotFound
from toolkit.models.datatypes import DataType
from toolkit.models.params import ParamSchema, ParamSpec
from toolkit.models.schema import ColSpec, Schema, TensorSpec
from toolkit.models.signature import Signature
from toolkit.registry.compatible import differences
from toolkit.registry.gates import Better, Bound, Example, Tagged, Trial, read_gate
from toolkit.registry.judging import Evidence, Measurement, judge
from toolkit.registry.policy_file import read_policies
from toolkit.registry.promotion import Policy, Target

WRITTEN = {
    "accuracy >= 0.9": Bound("accuracy", ">=", 0.9),
    "rmse<.3 on wine-test": Bound("rmse", "<", 0.3, "wine-test"),
    "val loss = -1e-3": Bound("val loss", "==", -0.001),
    "`tag x` > 3": Bound("tag x", ">", 3.0),
    "accuracy higher by 0.01": Better("accuracy", True, 0.01),
    "rmse lower": Better("rmse", False),
    "rmse lower by 2 on a set": Better("rmse", False, 2.0, "a set"),
    "tag reviewed = yes, by ada": Tagged("reviewed", "yes, by ada"),
    "tag owner": Tagged("owner"),
    "test drift": Trial("drift"),
    "  example ": Example(),
}


@pytest.mark.parametrize("text", WRITTEN, ids=range(len(WRITTEN)))
def test_a_gate_is_read_and_written(text: str) -> None:
    gate = read_gate(text)
    assert gate == WRITTEN[text]
    assert read_gate(str(gate)) == gate


@pytest.mark.parametrize(
    "text", ["", "accuracy", "accuracy > b", "> 3", "a >= 0.9\nb < 1", "x" * 2_000, "signatures", "acc > nan", "a$ > 1"]
)
def test_what_is_no_gate(text: str) -> None:
    with pytest.raises(InvalidValue, match="gate"):
        read_gate(text)


def of(value: float, digest: str | None = "d", version: int = 2) -> Evidence:
    return Evidence(version=version, measured={"m": [Measurement(value=value, dataset="exam", digest=digest)]})


@pytest.mark.parametrize(
    ("text", "value", "found"),
    [
        ("m > 0.3", 0.3, "it is 0.3 on exam, the bound itself"),
        ("m < 0.2", 0.3, "it is 0.3 on exam, 0.1 above 0.2"),
        ("m != 0.3", 0.3, "it is 0.3 on exam"),
        ("m >= 1e30", math.inf, ""),
        ("m < 1", math.nan, "it is nan on exam"),
        ("m >= 1", -math.inf, "it is -inf on exam, inf below 1"),
        ("m > 0 on other", 1.0, "m was not measured on other"),
        ("n > 0", 1.0, "n was not measured"),
    ],
)
def test_bounds(text: str, value: float, found: str) -> None:
    told = judge(read_gate(text), of(value), None)
    assert told.passed is (found == "")
    assert told.passed or told.found == found


def test_better() -> None:
    higher = read_gate("m higher by 0.1")
    assert judge(higher, of(0.3), of(0.2, version=1)).passed  # as people count; floats would say 0.09999999999999998
    assert judge(higher, of(0.3), None).found == "no other version holds it"
    unknown = judge(higher, of(0.9), of(0.2, digest=None, version=1))
    assert "the data that version 1 was measured on are not known" in unknown.found
    assert not unknown.passed
    assert not judge(higher, of(math.nan), of(0.2)).passed
    assert not judge(higher, of(math.inf), of(math.inf)).passed
    assert judge(higher, of(math.inf), of(0.2)).passed
    assert "that of version 1 m was not measured" in judge(higher, of(1.0), Evidence(version=1)).found


def test_a_file_of_gates(tmp_path: Path) -> None:
    file = tmp_path / "gates.yaml"
    file.write_text(
        'production:\n  gates: [m > 1, signature]\n  approvals: 1\n  approvers: [ada, "no"]\n'
        '"@champion": [example]\nStaging:\n'
    )
    first, second, third = read_policies(file)
    assert (str(first.target), list(map(str, first.gates)), first.needed) == ("Production", ["m > 1", "signature"], 1)
    assert (first.approvers, first.who()) == (("ada", "no"), "1 of ada, no")
    assert (str(second.target), second.gates) == ("@champion", (Example(),))
    assert (third.target, third.says) == (Target.read("staging"), False)
    for text, why in (
        ("champion: [example]", "'champion' is neither a stage .* written with @: @champion"),
        ("Production: {gate: [example]}", "Production has gate: wanted gates, approvals, approvers"),
        ("Production: {gates: example}", "wanted a list of texts"),
        ("Production: {gates: [accuracy good]}", "'accuracy good' is no gate"),
        ("Production: {approvals: many}", "approvals is 'many': wanted a number"),
        ("Production: {approvers: [ada, ada]}", "not each named once"),
        ("Production: 3", "Production has 3"),
        ("- example", "wanted stages and aliases"),
        ("a: [", "is no YAML"),
        ('"@latest": [example]', "reserved"),
    ):
        file.write_text(text)
        with pytest.raises(InvalidValue, match=why) as error:
            read_policies(file)
        assert str(file) in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(NotFound, match="wanted a YAML file"):
        read_policies(tmp_path / "none.yaml")


def test_who_must_approve() -> None:
    champion = Target(alias="champion")
    assert Policy(target=champion, approvals=2).who() == "2 others"
    assert Policy(target=champion, approvers=("ada", "bob")).who() == "ada, bob"
    assert Policy(target=champion, approvers=("ada", "bob")).needed == 2
    with pytest.raises(InvalidValue, match="either a stage or an alias"):
        Target()


# -- signatures ------------------------------------------------------------------------------------------


def table(**columns: str) -> Schema:
    """Return columns; an optional one's type ends with a question mark."""
    return Schema(
        [
            ColSpec(type=DataType(kind.rstrip("?")), name=name, required=not kind.endswith("?"))
            for name, kind in columns.items()
        ]
    )


def test_callers_of_one_can_call_the_other() -> None:
    old = Signature(inputs=table(a="integer", b="string"), outputs=table(y="double"))
    same = Signature(inputs=table(a="long", c="double?"), outputs=table(y="double", z="long"))
    assert differences(old, old) == []
    assert differences(same, old) == []  # wider, fewer, optional ones, more answers
    other = Signature(
        inputs=table(a="string", d="long"),
        outputs=table(z="double"),
        params=None,
    )
    asked = Signature(
        inputs=old.inputs,
        outputs=old.outputs,
        params=ParamSchema([ParamSpec(name="t", dtype=DataType.double, default=0.5)]),
    )
    assert differences(other, asked) == [
        "column 'a' is string, and integer is given now",
        "it needs the column 'd', which is not given now",
        "it knows no parameter 't'",
        "it does not answer the column 'y'",
    ]
    needs = Signature(inputs=table(a="integer", b="string"))
    free = Signature(inputs=table(a="integer", b="string?"))
    assert differences(needs, free) == ["it needs the column 'b', which may be missing now"]
    assert differences(free, needs) == []


def test_tensors_keep_their_form() -> None:
    def tensor(*shape: int, kind: str = "float32") -> Signature:
        return Signature(inputs=Schema([TensorSpec(type=kind, shape=shape)]))

    assert differences(tensor(-1, -1), tensor(-1, 28)) == []
    assert differences(tensor(-1, 28), tensor(-1, -1)) != []
    assert differences(tensor(-1, 28, kind="float64"), tensor(-1, 28)) != []
    assert differences(tensor(-1, 28), Signature(inputs=table(a="long"))) == ["it takes tensors, not what is given now"]
