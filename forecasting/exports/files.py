"""Files: tables as CSV, checked before they are written, and which files of earlier issues are kept."""

import io
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from forecasting.errors import DataError
from forecasting.exports.forecasts import long_table, wide_table
from forecasting.exports.problems import Findings
from forecasting.exports.reader import FIRST_ROW
from forecasting.exports.schemas import find_schema, publish_schema
from forecasting.exports.validation import check_tables
from forecasting.workspace import write_atomic

KEPT_ISSUES = 250
"""How many issues keep their files: about a year of evenings. The ledger keeps all issues."""

KEPT_BYTES = 2 * 2**30
"""How much room these files may take."""

_ISSUE = re.compile(r"(forecast-\d{4}-\d{2}-\d{2}-[A-Za-z][A-Za-z0-9_.-]*?)(-wide)?[.]csv", re.ASCII)


def csv_text(table: pd.DataFrame) -> str:
    """Return an export as CSV: dates and instants in ISO 8601, numbers so that they read back exactly.

    Raises
    ------
    UsageError
        The columns are those of no schema.
    DataError
        The table breaks its schema, so that no text in it can become a spreadsheet's formula.
    """
    return _csv(table).decode()


def _csv(table: pd.DataFrame) -> bytes:
    schema, cells, findings = find_schema(list(table.columns)), _render(table), Findings()
    check_tables(schema, [(cells, np.arange(len(table)) + FIRST_ROW)] if len(table) else [], findings)
    if findings.count:
        raise DataError(
            f"what is to be exported breaks the schema {schema.name}, in {findings.count} places, first in "
            f"{findings.first()[0].sentence}; nothing was written"
        )
    lines = io.BytesIO()
    lines.write(",".join(table.columns).encode() + b"\n")
    texts = cells.cast(pa.schema([(name, pa.string()) for name in cells.column_names]))
    # the schemas let no text in that would need a quote
    pa.csv.write_csv(texts, lines, pa.csv.WriteOptions(include_header=False, quoting_style="none"))
    return lines.getvalue()


def _render(table: pd.DataFrame) -> pa.Table:
    """Return the cells of a table as they are written."""
    columns = {}
    for name in table:
        values = pa.array(table[name], from_pandas=True)
        if pa.types.is_timestamp(values.type):
            different = values.dictionary_encode()  # few
            texts = _moments(different.dictionary).take(different.indices)
        elif pa.types.is_boolean(values.type):
            texts = pc.if_else(values, "True", "False")
        else:
            texts = values.cast(pa.string())
        columns[name] = pc.fill_null(texts, "").dictionary_encode()
    return pa.table(columns)


def _moments(values: pa.TimestampArray) -> pa.StringArray:
    if values.type.tz is None:
        return values.cast(pa.date32()).cast(pa.string())
    texts = pc.strftime(values.cast(pa.timestamp("us")), "%Y-%m-%dT%H:%M:%SZ")  # %S has the microseconds
    return pc.replace_substring_regex(texts, "[.]0+Z$", "Z")


def write_tables(*exports: tuple[pd.DataFrame, Sequence[Path]]) -> list[Path]:
    """Write tables, each to its paths in one folder, and their schemas beside them; return what was written.

    Raises
    ------
    DataError
        A table breaks its schema; nothing was written.
    """
    written = []
    for content, table, paths in [(_csv(table), table, paths) for table, paths in exports]:
        for path in paths:
            write_atomic(path, content)
        written += [*paths, *publish_schema(find_schema(list(table.columns)), paths[0].parent)]
    return written


def issue_stem(origin: pd.Timestamp, model_id: str) -> str:
    """Return what the files of an issue are called, without what makes them long or wide."""
    return f"forecast-{origin:%Y-%m-%d}-{model_id}"


def export_forecasts(rows: pd.DataFrame, folder: Path, *, latest: bool = True, prune: bool = True) -> list[Path]:
    """Write an issue's long and wide CSV; return the paths of what was written.

    Parameters
    ----------
    rows : of the ledger, of one model
    latest : replace `latest.csv` and `latest-wide.csv` too
    prune : drop the files of old issues, `drop_old_issues`
    """
    stem = issue_stem(rows["origin"].max(), rows["model_id"].iloc[0])
    written = _write(rows, folder, [stem, "latest"] if latest else [stem])
    if prune:
        drop_old_issues(folder, stem)
    return written


def export_latest(rows: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the newest forecasts of a universe, whichever model issued them, as `latest.csv` and `latest-wide.csv`."""
    return _write(rows, folder, ["latest"])


def _write(rows: pd.DataFrame, folder: Path, stems: Sequence[str]) -> list[Path]:
    return write_tables(
        (long_table(rows), [folder / f"{stem}.csv" for stem in stems]),
        (wide_table(rows), [folder / f"{stem}-wide.csv" for stem in stems]),
    )


def drop_old_issues(folder: Path, newest: str) -> list[Path]:
    """Delete the files of old issues, and return them: the ledger has them, and can export them again.

    Kept are those of the newest `KEPT_ISSUES` origins and models, as far as they take `KEPT_BYTES` together. Files with
    other names, `latest.csv` among them, are left alone.

    Parameters
    ----------
    newest : stem of the issue that was written last, which is kept
    """
    issues: dict[str, list[Path]] = {newest: []}
    for path in sorted(folder.glob("forecast-*.csv"), reverse=True):
        if match := _ISSUE.fullmatch(path.name):
            issues.setdefault(match[1], []).append(path)
    taken, dropped = 0, []
    for place, (stem, paths) in enumerate(issues.items()):
        taken += sum(path.stat().st_size for path in paths)
        if stem != newest and (place >= KEPT_ISSUES or taken > KEPT_BYTES):
            dropped += paths
    for path in dropped:
        with suppress(OSError):  # all is written; the next issue tries again
            path.unlink()
    return dropped
