"""No value is ever read by the shell: checked with a real bash, in every kind of place."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from toolkit.errors import ProjectError
from toolkit.spec.command import render
from toolkit.spec.project import EntryPoint, Parameter

PLACES = {
    # a command that prints what it received, and what stands around the value there
    "code": ("printf '%s\\0' {x}", "{}"),
    "option": ("printf '%s\\0' --a={x}b", "--a={}b"),
    "single": ("printf '%s\\0' '{x}'", "{}"),
    "single in text": ("printf '%s\\0' 'a {x} \"b'", 'a {} "b'),
    "double": ("printf '%s\\0' \"{x}\"", "{}"),
    "double in text": ("printf '%s\\0' \"it's {x}$((1 + 1))\"", "it's {}2"),
    "localized": ("printf '%s\\0' $\"{x}\"", "{}"),
    "ansi": ("printf '%s\\0' $'\\t{x}'", "\t{}"),
    "ansi after a quote": ("printf '%s\\0' $'\\'{x}'", "'{}"),
    "after a quote": ("printf '%s\\0' 'a'\"{x}\"'b'{x}", "a{0}b{0}"),
    "escaped quote": ("printf '%s\\0' \\'{x}\\'", "'{}'"),
    "escaped": ("printf '%s\\0' \\{x}", "{}"),
    "escaped in double": ("printf '%s\\0' \"\\{x}\"", "\\{}"),
    "escaped in ansi": ("printf '%s\\0' $'\\{x}'", "\\{}"),
    "after dollar": ("printf '%s\\0' ${x}", "${}"),
    "after dollar in double": ("printf '%s\\0' \"${x}\"", "${}"),
    "after a variable": ("V=v; printf '%s\\0' \"$V{x}\"", "v{}"),
    "after a variable, unquoted": ("V=v; printf '%s\\0' $V{x}", "v{}"),
    "after special parameters": ("printf '%s\\0' \"$#{x}\"", "0{}"),
    "after an expansion": ('V=v; printf \'%s\\0\' "${{V}}{x}" "${{V:-"a b"}}" ${{V:-\'}}\'}}', "v{}\0v\0v"),
    "substitution": ("printf '%s\\0' \"$(printf '%s.' {x})\"", "{}."),
    "substitution, double": ("printf '%s\\0' \"$(printf '%s.' \"{x}\")\"", "{}."),
    "substitution, single": ("printf '%s\\0' \"$(printf '%s.' '{x}')\"", "{}."),
    "substitution, nested": ("printf '%s\\0' \"$(printf '%s.' \"$(printf '%s.' {x})\")\"", "{}.."),
    "backquotes": ("printf '%s\\0' \"`printf '%s.' {x}`\"", "{}."),
    "backquotes, single": ("printf '%s\\0' \"`printf '%s.' '{x}'`\"", "{}."),
    "backquotes, double": ("V=`printf '%s.' \"{x}\"`; printf '%s\\0' \"$V\"", "{}."),
    "backquotes, dollar": ("V=`printf '%s.' \"${x}\"`; printf '%s\\0' \"$V\"", "${}."),
    "subshell": ("( printf '%s\\0' {x} )", "{}"),
    "group": ("{{ printf '%s\\0' {x}; }}", "{}"),
    "array": ("a=({x} '{x}'); printf '%s\\0' \"${{a[1]}}\"", "{}"),
    "process substitution": ("cat <(printf '%s\\0' {x})", "{}"),
    "here-string": ("cat <<<{x}; printf '\\0'", "{}\n"),
    "here-string, double": ("cat <<< \"{x}\"; printf '\\0'", "{}\n"),
    "here-document": ("cat <<EOF\n<{x}>\nEOF\nprintf '\\0'", "<{}>\n"),
    "here-document, escaped": ("cat <<EOF\n\\{x}>\nEOF\nprintf '\\0'", "\\{}>\n"),
    "here-document, quoted": ("cat << 'EOF'\n<{x}>\nEOF\nprintf '\\0'", "<{}>\n"),
    "here-document, escaped delimiter": ("cat <<\\EOF >&1\n<{x}>\nEOF\nprintf '\\0'", "<{}>\n"),
    "here-document, tabs": ("cat <<-\"EOF\"\n\t<{x}>\n\tEOF\nprintf '\\0'", "<{}>\n"),
    "here-document, substitution": ("cat <<EOF\n$(printf '%s.' {x})\nEOF\nprintf '\\0'", "{}.\n"),
    "here-document in substitution": ("printf '%s\\0' \"$(cat <<EOF\n<{x}>\nEOF\n)\"", "<{}>"),
    "two here-documents": ("cat <<A - 3<<B <<'C'\n{x}\nA\n{x}\nB\n<{x}>\nC\nprintf '\\0'", "<{}>\n"),
    "line of a here-document": ("printf '%s\\0' {x}; cat <<EOF\nEOF\n", "{}"),
    "after a comment": ("# it's {x} `\nprintf '%s\\0' {x}", "{}"),
    "in a comment": ("# {x}\nprintf '%s\\0' {x}", "{}"),
    "after # in a word": ("printf '%s\\0' a#'{x}'", "a#{}"),
    "case": ("case a in a) printf '%s\\0' {x};; esac", "{}"),
    "loop": ("for i in {x}; do printf '%s\\0' \"$i\"; done", "{}"),
    "test": ("if [[ {x} == {x} ]]; then printf '%s\\0' {x}; fi", "{}"),
    "pipe": ("printf '%s\\0' {x} | cat |& cat || false", "{}"),
    "continued": ("printf \\\n'%s\\0' \\\n {x}", "{}"),
    "assigned": ("X={x}; printf '%s\\0' \"$X\"", "{}"),
    "function": ("f() {{ printf '%s\\0' \"$1\"; }}; f {x}", "{}"),
    "redirection": ("printf '%s\\0' {x} 2>&1 >|/dev/stdout", "{}"),
    "after arithmetic": ("(( 1 << 2 )) && printf '%s\\0' $((1<<(2)))'{x}'", "4{}"),
}
BASH = shutil.which("bash") or "/bin/bash"
HOSTILE = [
    "; echo PWNED", "$(echo PWNED)", "`echo PWNED`", "'; echo PWNED; '", '"; echo PWNED; "', "\\'; echo PWNED #",
    "\necho PWNED\n", "&& echo PWNED", "| echo PWNED", "(echo PWNED)", "{{echo,PWNED}}", "${HOME}", "$HOME", "\\",
    "\\\\",    "a\\", "'", '"', "`", "*", "~", "!!", "#", " #", "a b", " ", "", "-n", "_V ", "[0]", "\t", "é ü", "%s",
    "\r", "\x01",
    ")\necho PWNED\n(", "\nEO\nF", "x\\\ny", "V; E",
]  # fmt: skip


def main(command: str) -> EntryPoint:
    return EntryPoint(name="main", command=command, parameters={"x": Parameter(name="x")})


def outputs(values: list[tuple[str, str]]) -> list[str]:
    """Run the commands of several places, each with its value, in one bash; return what each received."""
    script = ""
    for place, value in values:
        script += render(main(PLACES[place][0]), {"x": value}) + "\nprintf '\\0\\0\\0'\n"
    result = subprocess.run(["bash", "-c", script], capture_output=True, check=True, timeout=30)
    assert result.stderr == b""
    return [part.removesuffix("\0") for part in result.stdout.decode().split("\0\0\0\0")[:-1]]


def wanted(place: str, value: str) -> str:
    return PLACES[place][1].format(value)


@pytest.mark.parametrize("place", PLACES)
def test_a_program_receives_exactly_the_value(place: str) -> None:
    values = HOSTILE
    if place in {"code", "escaped", "here-string", "loop", "after a variable, unquoted"}:
        values = [value for value in HOSTILE if not value.startswith("-")] + ["-z"]
    if place == "here-document, substitution":
        values = [value for value in values if "\\\n" not in value]  # refused, see below
    if any(word in place for word in ("after", "escaped", "dollar", "test")):
        values = [value for value in values if value not in {"-n"}]  # plain values are as in MLflow: no promise
    assert outputs([(place, value) for value in values]) == [wanted(place, value) for value in values]


ALPHABET = "'\"`\\$(){}[];&|<>\n\t !*?#~=%aEV01-"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=ALPHABET, min_size=0, max_size=12).map(lambda text: text + " \\"))
@example("\\\n'")
def test_no_value_is_read_by_the_shell(value: str) -> None:
    refused = {"here-document, substitution"} if "\\\n" in value else set()
    refused |= {"here-document, tabs"} if "\n\t" in value else set()
    places = [place for place in PLACES if place not in refused]
    assert outputs([(place, value) for place in places]) == [wanted(place, value) for place in places]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([*"\"'`$()\\\n#;|&<> a=", "{x}", "{x}", "$(", "((", "$((", "<<E\n", "\nE\n", "<<", "${{V:-",
                         "}}",
                         "case a in a) ", "$'", "a=(", ">&", "[[ ", "$H", "\\{x}"]),
        min_size=1, max_size=12,
    ),
    st.lists(st.sampled_from([">pwned", "$(>pwned)", "`>pwned`", ";>pwned;", "\n>pwned\n", *"'\"\\\nE)(}# $`a&"]),
             min_size=1, max_size=5),
)  # fmt: skip
def test_however_strange_the_command_no_value_runs(tmp_path: Path, command: list[str], value: list[str]) -> None:
    try:
        rendered = render(main("".join(command) + " {x}"), {"x": "".join(value) + "$(>pwned) "})
    except ProjectError:
        return  # refusing is always right
    subprocess.run(
        [BASH, "-c", rendered],
        cwd=tmp_path, env={"PATH": "/nonexistent"}, stdin=subprocess.DEVNULL, capture_output=True, timeout=10,
    )  # fmt: skip
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo $(( {x} + 1 ))", "inside an arithmetic expression"),
        ("(( a = ({x}) ))", "inside an arithmetic expression"),
        ("(( '1' )); echo {x}", "quotes inside '(('"),
        ("((echo a); echo b); echo {x}", "not closed by '))'"),
        ("echo $[1] {x}", "'$[' comes before"),
        ("echo ${{V:-{x}}}", "inside ${…}"),
        ("echo \"${{V:-'{x}'}}\" {x}", "inside ${…}"),
        ("echo \"${{V:-it's}}\" {x}", "a single quote inside"),
        ("echo \"`echo \\\"{x}\\\"`\"", "nested quotes and backquotes"),
        ("echo \"`echo \"{x}\"`\"", "nested quotes and backquotes"),
        ("echo `echo $(echo `echo {x}`)`", "not closed"),
        ("echo $(case a in a) echo {x};; esac)", "'case' inside parentheses"),
        ("echo >&{x}", "after >& twice"),
        ("echo 'a {x}", "a quote of the command is not closed"),
        ("echo \"a {x}", "a quote of the command is not closed"),
        ("echo `a {x}", "a quote of the command is not closed"),
        ("echo ${{a {x}", "a quote of the command is not closed"),
        ("echo $(a {x}", "a parenthesis of the command is not closed"),
        ("a=(b; {x})", "among the values of an array"),
        ("cat <<{x}\nE\n", "strange delimiter"),
        ("cat <<$E {x}\n$E\n", "strange delimiter"),
        ("cat <<\n{x}", "strange delimiter"),
        ("cat <<E\n{x}\n", "delimiter 'E' does not come"),
        ("cat <<E\na\\\nE\n{x}\n", "delimiter 'E' does not come"),
        ("echo `cat <<E` {x}\nE\n", "a here-document inside backquotes"),
        ("cat <<E $(echo a\necho {x})\nb\nE\n", "goes on inside parentheses"),
        ("echo $(cat <<E\nEb\nE\n) {x}", "a line that begins with 'E'"),
        ("cat <<E\n$V{x}\nE\n", "goes on the name of a variable"),
        ("cat <<E\n$(echo {x})\nE\n", "takes a backslash and the line break after it away"),
    ],
)  # fmt: skip
def test_where_nothing_can_be_relied_on_values_that_need_quotes_are_refused(command: str, why: str) -> None:
    with pytest.raises(ProjectError, match="the value of 'x' needs quotes") as caught:
        render(main(command), {"x": "E a; b\\\nE"})
    assert why in caught.value.message
    assert render(main(command), {"x": "a"}) == command.format(x="a").rstrip()  # plain values are as in MLflow


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("cat <<EOF\n{x}\nEOF\n", "a\nEOF\nls"),
        ("cat <<EOF\n{x}\nEOF\n", "EOF"),
        ("cat <<EOF\nE{x}\nEOF\n", "OF"),
        ("cat <<-EOF\n{x}\nEOF\n", "a\n\t\tEOF\nls"),
        ("cat <<'EOF'\n{x}\nEOF\n", "a\nEOF\nls"),
        ("echo $(cat <<EOF\n{x}\nEOF\n)", "a\nEOF ) ls"),
    ],
)
def test_a_value_cannot_end_a_here_document(command: str, value: str) -> None:
    with pytest.raises(ProjectError, match="a value would end the here-document of entry point 'main'"):
        render(main(command), {"x": value})


def test_a_value_does_not_lose_its_tabs() -> None:
    with pytest.raises(ProjectError, match="would lose the tabs"):
        render(main("cat <<-EOF\n\ta{x}\nEOF\n"), {"x": "a\n\tb"})


def test_plain_values_are_rendered_as_in_mlflow_wherever_they_stand() -> None:
    for template, _ in PLACES.values():
        if "\\{x}" not in template:
            assert render(main(template), {"x": "a/b-1"}) == template.format(x="a/b-1").rstrip()
