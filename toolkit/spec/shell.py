"""Read a command as bash would, far enough to know what surrounds each placeholder.

The rules are those of "Shell Command Language" in POSIX.1-2017 (2.2 quoting, 2.3 tokens, 2.6.3 command substitution,
2.7.4 here-documents) and of bash for ``$'…'``, ``<<<`` and ``((…))``. Where a command is too strange to be sure, the
places after it are marked as unsafe for values that need quotes, rather than guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from toolkit.spec.heredoc import Cell, HereDocument, HereOperator, find_terminator, read_operator
from toolkit.spec.quoting import Context, Quoting

__all__ = ["Cell", "Reading", "scan"]

_BLANKS = " \t\n"
_BREAKS = " \t\n;&|<>()"
_SPECIAL_PARAMETERS = "$@*#?-!0123456789"
_PUZZLES = frozenset({"case", "=~"})
"""Words after which a parenthesis need not have its partner."""


@dataclass(kw_only=True, slots=True)
class Reading:
    """What a scan found out.

    Attributes:
        contexts: Where each placeholder stands, by its number.
        heredocs: Bodies of here-documents.
        pipes: The pipes, counted among all ``|`` characters of the command, from 0.
        ending: Why nothing can be appended to the command; empty where it can.
    """

    contexts: dict[int, Context] = field(default_factory=dict)
    heredocs: list[HereDocument] = field(default_factory=list)
    pipes: list[int] = field(default_factory=list)
    ending: str = ""


def scan(cells: Sequence[Cell]) -> Reading:
    """Find out where the placeholders of a command stand.

    Args:
        cells: The command, a cell for each character and each placeholder.
    """
    scanner = _Scanner(cells)
    scanner.code(closer="")
    reading = scanner.reading
    for number in (cell for cell in cells if isinstance(cell, int)):
        context = reading.contexts.get(number, Context(quoting=Quoting.CODE, unsafe=scanner.broken))
        # After a syntax error bash goes on with the next line, even one inside quotes: nothing is safe then.
        reading.contexts[number] = replace(context, unsafe=scanner.broken) if scanner.broken else context
    if not reading.ending and (scanner.broken or scanner.unsure):
        reading.ending = scanner.broken or scanner.unsure
    return reading


class _Scanner:
    """A walk over the cells; ``index`` is the next one, ``end`` the first one that is out of reach.

    ``unsure`` says why what comes next cannot be relied on, ``broken`` why bash will refuse the whole command.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.index = 0
        self.end = len(cells)
        self.reading = Reading()
        self.unsure = ""
        self.broken = ""
        self._refusal = ""
        self._backquoted = False
        self._joined = False
        self._depth = 0
        self._pending: list[HereOperator] = []

    # -- cells ---------------------------------------------------------------------------------

    def _cell(self, ahead: int = 0) -> Cell:
        """Return a cell, or an empty text behind the end."""
        at = self.index + ahead
        return self.cells[at] if at < self.end else ""

    def _follows(self, text: str) -> bool:
        return all(self._cell(ahead) == character for ahead, character in enumerate(text))

    def _place(self, number: int, quoting: Quoting, *, escaped: bool = False, dollar: bool = False) -> None:
        """Note where a placeholder stands."""
        self.reading.contexts[number] = Context(
            quoting=quoting,
            backquoted=self._backquoted,
            escaped=escaped,
            dollar=dollar,
            joined=self._joined,
            unsafe=self._refusal or self.unsure,
        )

    def _backslash(self, quoting: Quoting) -> None:
        """Pass over a backslash and what it escapes."""
        escaped = self._cell(1)
        if isinstance(escaped, int):
            self._place(escaped, quoting, escaped=True)
        self.index += 2

    # -- code ----------------------------------------------------------------------------------

    def code(self, *, closer: str, array: bool = False) -> None:
        """Pass over commands up to the parenthesis that closes them, or to the end.

        Args:
            closer: That parenthesis; empty: there is none.
            array: Whether these are the values of an array rather than commands.
        """
        fresh, word, outer = True, "", self._refusal
        while self.index < self.end:
            cell = self._cell()
            if cell == closer:
                self.index += 1
                break
            if isinstance(cell, str) and cell in _BREAKS:
                self._end_word(word)
                if word or cell not in _BLANKS:
                    self._refusal = outer
                if array and cell not in _BLANKS and self._cell(1) != "(":
                    self.unsure = self.unsure or f"{cell!r} among the values of an array comes before"
                assigns = word.endswith("=")
                fresh, word = True, ""
                self._break(cell, assigns=assigns)
            elif cell == "#" and fresh:
                self._comment()
            elif self._follows("\\\n"):
                self.index += 2
            else:
                word += cell if isinstance(cell, str) else "\0"
                fresh = False
                self._word_cell(cell)
        else:
            if closer:
                self.broken = self.broken or "a parenthesis of the command is not closed"
        self._end_word(word)
        self._refusal = outer

    def _end_word(self, word: str) -> None:
        if self._depth and word in _PUZZLES:
            self.unsure = self.unsure or f"'{word}' inside parentheses comes before"

    def _word_cell(self, cell: Cell) -> None:
        if isinstance(cell, int):
            self._place(cell, Quoting.CODE)
            self.index += 1
        elif cell == "\\":
            self._backslash(Quoting.CODE)
        elif cell == "'":
            self._until_quote(Quoting.SINGLE)
        elif cell == '"':
            self._double()
        elif cell == "`":
            self._backquote(inside_double=False)
        elif cell == "$":
            self._dollar(Quoting.CODE)
        else:
            self.index += 1

    def _break(self, cell: str, *, assigns: bool) -> None:
        """Pass over a blank or an operator."""
        if cell == "\n":
            self.index += 1
            self._bodies()
        elif self._follows("<<<"):
            self.index += 3
        elif self._follows("<<"):
            self._here_operator()
        elif self._follows("((") and not assigns:
            self._arithmetic(self.index + 2)
        elif cell == "(":
            self._group(array=assigns)
        elif self._follows(">&") or self._follows("<&"):
            self._refusal = self._refusal or "bash expands what stands after >& twice"
            self.index += 2
        elif self._follows("||") or self._follows(">|"):
            self.index += 2
        else:
            if cell == "|":
                self.reading.pipes.append(sum(1 for other in self.cells[: self.index] if other == "|"))
            self.index += 1

    def _group(self, *, array: bool = False) -> None:
        """Pass over ``(…)``, from its opening parenthesis."""
        self.index += 1
        self._depth += 1
        self.code(closer=")", array=array)
        self._depth -= 1

    def _comment(self) -> None:
        while self.index < self.end and self._cell() != "\n":
            cell = self._cell()
            if isinstance(cell, int):
                self._place(cell, Quoting.COMMENT)
            self.index += 1
        if self.index >= len(self.cells):
            self.reading.ending = "the command ends in a comment"

    # -- quotes --------------------------------------------------------------------------------

    def _until_quote(self, quoting: Quoting) -> None:
        """Pass over ``'…'``, or the ``'…'`` of ``$'…'``, where backslashes count."""
        self.index += 1
        while self.index < self.end:
            cell = self._cell()
            if cell == "'":
                self.index += 1
                return
            if cell == "\\" and quoting is Quoting.ANSI:
                self._backslash(quoting)
                continue
            if isinstance(cell, int):
                self._place(cell, quoting)
            self.index += 1
        self._unclosed()

    def _unclosed(self) -> None:
        self.broken = self.broken or "a quote of the command is not closed"

    def _double(self) -> None:
        """Pass over ``"…"``."""
        self.index += 1
        while self.index < self.end:
            if self._cell() == '"':
                self.index += 1
                return
            self._expanding(Quoting.DOUBLE)
        self._unclosed()

    def _expanding(self, quoting: Quoting) -> None:
        """Pass over one thing where only ``$``, backquotes and backslashes count."""
        cell = self._cell()
        if isinstance(cell, int):
            self._place(cell, quoting)
            self.index += 1
        elif cell == "\\":
            self._backslash(quoting)
        elif cell == "`":
            self._backquote(inside_double=True)
        elif cell == "$":
            self._dollar(quoting)
        else:
            self.index += 1

    # -- expansions ----------------------------------------------------------------------------

    def _dollar(self, quoting: Quoting) -> None:
        """Pass over a dollar sign and the expansion that it begins."""
        following = self._cell(1)
        if isinstance(following, int):
            self._place(following, quoting, dollar=True)
            self.index += 2
        elif self._follows("$(("):
            self._arithmetic(self.index + 3)
        elif following == "(":
            self.index += 1
            self._group()
        elif following == "{":
            self._braces(quoting)
        elif following == "[":
            self.unsure = self.unsure or "'$[' comes before"
            self.index += 2
        elif following == "'" and quoting is Quoting.CODE:
            self.index += 1
            self._until_quote(Quoting.ANSI)
        elif following != "" and following in _SPECIAL_PARAMETERS:
            self.index += 2
        else:
            self.index += 1

    def _braces(self, quoting: Quoting) -> None:
        """Pass over ``${…}``: what stands in it may be evaluated twice, so nothing that needs quotes may."""
        outer, self._refusal = self._refusal, "it stands inside ${…}"
        self.index += 2
        while self.index < self.end and self._cell() != "}":
            if self._cell() == '"':
                self._double()
            elif self._cell() == "'":
                if quoting is Quoting.CODE:
                    self._until_quote(Quoting.SINGLE)
                else:
                    self.unsure = self.unsure or 'a single quote inside "${…}" comes before'
                    self.index += 1
            else:
                self._expanding(quoting)
        if self.index >= self.end:
            self._unclosed()
        self.index += 1
        self._refusal = outer

    def _arithmetic(self, start: int) -> None:
        """Pass over ``((…))``: bash evaluates what stands in it, quoted or not, so nothing that needs quotes may."""
        outer, self._refusal = self._refusal, "it stands inside an arithmetic expression"
        self.index, open_, last = start, 2, ""
        while self.index < self.end and open_:
            cell = self._cell()
            if isinstance(cell, int):
                self._place(cell, Quoting.CODE)
            elif cell in "'\"`\\#":
                self.unsure = self.unsure or "quotes inside '((' come before"
            elif cell in "()":
                open_ += 1 if cell == "(" else -1
            if not open_ and last != ")":
                self.unsure = self.unsure or "'((' that is not closed by '))' comes before"
            last = cell if isinstance(cell, str) else ""
            self.index += 1
        if open_:
            self.broken = self.broken or "a parenthesis of the command is not closed"
        self._refusal = outer

    def _backquote(self, *, inside_double: bool) -> None:
        """Pass over backquotes. Their text is unescaped once and then read as commands."""
        first = last = self.index + 1
        while last < self.end and self.cells[last] != "`":
            last += 2 if self.cells[last] == "\\" else 1
        if last >= self.end:
            self._unclosed()
            self.index = self.end
            return
        body = self.cells[first:last]
        saved = (self.end, self._refusal, self._backquoted, self._pending)
        if "\\" in body or (inside_double and '"' in body) or self._backquoted:
            self._refusal = "it stands inside nested quotes and backquotes; $(…) is easier to read"
        self.index, self.end, self._backquoted, self._pending = first, last, True, []
        self.code(closer="")
        if self._pending:
            self.unsure = self.unsure or "a here-document inside backquotes comes before"
        self.end, self._refusal, self._backquoted, self._pending = saved
        self.index = last + 1

    # -- here-documents ------------------------------------------------------------------------

    def _here_operator(self) -> None:
        """Pass over ``<<`` and its delimiter; the body comes after the end of the line."""
        operator, self.index = read_operator(self.cells[: self.end], self.index + 2, depth=self._depth)
        if operator is None:
            self.unsure = self.unsure or "a here-document with a strange delimiter comes before"
        else:
            self._pending.append(operator)

    def _bodies(self) -> None:
        """Pass over the bodies of the here-documents that the line before began."""
        pending, self._pending = self._pending, []
        if any(document.depth != self._depth for document in pending):
            self.unsure = self.unsure or "a here-document whose line goes on inside parentheses comes before"
            return
        for document in pending:
            self._body(document)

    def _body(self, document: HereOperator) -> None:
        first = self.index
        last, after, problem = find_terminator(self.cells[: self.end], first, document)
        self.unsure = self.unsure or problem
        self.reading.heredocs.append(
            HereDocument(
                first=first,
                last=last,
                delimiter=document.delimiter,
                tabs=document.tabs,
                nested=self._depth > 0 or self._backquoted,
            )
        )
        end, self.end = self.end, last
        joined, self._joined = self._joined, not document.literal
        while self.index < self.end:
            cell = self._cell()
            if not document.literal:
                self._expanding(Quoting.HEREDOC)
                continue
            if isinstance(cell, int):
                self._place(cell, Quoting.LITERAL)
            self.index += 1
        self.end, self._joined = end, joined
        self.index = after
        if after >= len(self.cells):
            self.reading.ending = "the command ends in a here-document"
