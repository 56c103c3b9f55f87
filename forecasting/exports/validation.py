"""Validation: a file, or a table that is about to become one, against its published schema."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecasting.errors import UsageError
from forecasting.exports.cells import read_cells, to_frame
from forecasting.exports.problems import MOST_NAMED, Findings, Problem, shown
from forecasting.exports.reader import FIRST_ROW, opened, read_header, read_tables
from forecasting.exports.rules import broken_rules
from forecasting.exports.schemas import Schema, find_schema


@dataclass(frozen=True)
class FileCheck:
    """What became of holding a file against its schema.

    Parameters
    ----------
    path
    schema : its name, with the version
    rows : without the header
    problems : the first ones, by row
    count : of all problems
    """

    path: Path
    schema: str
    rows: int
    problems: tuple[Problem, ...]
    count: int

    @property
    def valid(self) -> bool:
        """Whether the file is as its schema says."""
        return self.count == 0


def check_file(path: str | Path) -> FileCheck:
    """Hold a CSV file, plain or by gzip, against the schema of its header.

    Rules across rows are looked at once every cell holds by itself.

    Raises
    ------
    UsageError
        There is no such file, or no schema has its header.
    DataError
        It cannot be read to its end.
    """
    path, findings = Path(path), Findings()
    with opened(path) as stream:
        header = read_header(path, stream)
        try:
            schema = find_schema(header)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
        rows = check_tables(schema, read_tables(path, stream, header, findings), findings)
    return FileCheck(path, schema.name, rows, findings.first(), findings.count)


def check_tables(schema: Schema, tables: Iterable[tuple[pa.Table, np.ndarray]], findings: Findings) -> int:
    """Hold tables of `TEXTS`, which follow one another, against a schema; return their number of rows.

    Parameters
    ----------
    tables : each with the numbers of its rows
    findings : what is wrong is added
    """
    parts, numbers = [], []
    for table, rows in tables:
        parts.append(read_cells(schema, table, rows, findings))
        numbers.append(rows)
    if not parts:
        findings.add(np.array([FIRST_ROW - 1]), None, ["no whole row"], "a file has at least one row")
        return 0
    rows = np.concatenate(numbers)
    if findings.count == 0:
        frame = to_frame(pa.concat_tables(parts))
        for broken in broken_rules(schema, frame):
            at = np.sort(broken.rows)
            found = broken.found or _shown(schema, frame[broken.column].iloc[at[:MOST_NAMED]])
            findings.add(rows[at], broken.column, found, schema.rules[broken.rule])
    return len(rows)


def _shown(schema: Schema, cells: pd.Series) -> list[str]:
    """Return what stands in cells of a column."""
    form = (schema.spec(str(cells.name)) or {}).get("format")
    return [_shown_value(value, form) for value in cells]


def _shown_value(value: Any, form: str | None) -> str:
    if pd.isna(value):
        return shown("")
    if isinstance(value, pd.Timestamp):
        return shown(f"{value:%Y-%m-%d}" if form == "date" else f"{value.isoformat()}Z")
    return shown(repr(value).removesuffix(".0") if isinstance(value, float) else value)
