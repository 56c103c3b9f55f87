"""How results are laid out as text: lines, tables, counts and named causes."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_parts(*parts: Any) -> None:
    """Print texts and tables, each on lines of its own, broken to fit."""
    console = Console(highlight=False, markup=False)
    for part in parts:
        console.print(part)


def print_unbroken(*lines: str) -> None:
    """Print lines that hold paths or commands, which are never broken in two."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in lines:
        console.print(line)


def make_table(columns: Iterable[str]) -> Table:
    """Return an empty table of right-aligned columns; keep all of them together within 80 characters."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def show_files(files: Iterable[Any]) -> None:
    """Print the paths of written files."""
    print_unbroken(*(f"wrote {path}" for path in files))


def count(n: int, what: str) -> str:
    """Return how many there are of something.

    >>> count(1, "row"), count(2, "row")
    ('1 row', '2 rows')
    """
    return f"{n} {what}{'' if n == 1 else 's'}"


def show_named(what: str, causes: Mapping[str, str]) -> None:
    """Print a line per symbol that something is wrong with."""
    for symbol, cause in causes.items():
        print_parts(f"{what}: {symbol}: {cause}")
