"""Where the parts of a text stand in the file that it was read from."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.errors import Mark


@dataclass(frozen=True, kw_only=True, slots=True)
class Spelling:
    """How a text is spelled in its file: with its quotes, escapes and line breaks.

    Attributes:
        text: The characters as they stand in the file; a block text (``|``, ``>``) without its first line.
        mark: Where they begin.
    """

    text: str
    mark: Mark

    def place(self, character: str, number: int) -> Mark:
        """Return where a character of the value stands in the file.

        Folding and quoting change blanks, line breaks and backslashes but neither drop nor add any other character, so
        the n-th brace of the value is the n-th brace of the spelling.

        Args:
            character: Any character but a blank, a quote or a backslash.
            number: Which one of them, from 0.

        Returns:
            Its place, or the begin of the text where it is spelled as an escape.
        """
        index = -1
        for _ in range(number + 1):
            index = self.text.find(character, index + 1)
            if index < 0:
                return self.mark
        line = self.text.count("\n", 0, index)
        column = index - self.text.rfind("\n", 0, index)
        if line == 0:
            column += self.mark.column - 1
        return Mark(file=self.mark.file, line=self.mark.line + line, column=column)
