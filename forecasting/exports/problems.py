"""What is wrong with a file: the first problems in full, the rest counted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_NAMED = 20
_LONGEST = 60  # of what was found, in characters


@dataclass(frozen=True)
class Problem:
    """One thing in a file that breaks a rule.

    Parameters
    ----------
    row : as a spreadsheet counts: the header is row 1
    column : None where it is of the row as a whole
    found : what stands there
    rule : what should
    """

    row: int
    column: str | None
    found: str
    rule: str

    @property
    def sentence(self) -> str:
        """The problem as one line."""
        where = f"row {self.row}" + (f", column {self.column}" if self.column else "")
        return f"{where}: found {self.found}; the rule: {self.rule}"


class Findings:
    """Problems as they are found: of each kind the first `MOST_NAMED`, and how many there are."""

    def __init__(self) -> None:
        self.count = 0
        self._problems: dict[tuple[str | None, str], list[Problem]] = {}

    def add(self, rows: np.ndarray, column: str | None, found: Sequence[str], rule: str) -> None:
        """Add problems of one kind.

        Parameters
        ----------
        rows : ascending, and after those of this kind that were added before
        found : what stands in them, or in the first `MOST_NAMED`
        """
        self.count += len(rows)
        kept = self._problems.setdefault((column, rule), [])
        room = MOST_NAMED - len(kept)
        kept += [Problem(int(row), column, text, rule) for row, text in zip(rows[:room], found, strict=False)]

    def first(self) -> tuple[Problem, ...]:
        """Return the first problems, by row."""
        problems = [problem for kept in self._problems.values() for problem in kept]
        return tuple(sorted(problems, key=lambda problem: problem.row)[:MOST_NAMED])


def shown(text: str) -> str:
    """Return what stands in a cell for a line of text: quoted, without control characters, and not too long."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…") if text else "nothing"
