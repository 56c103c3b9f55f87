"""Delta tables kept tidy: many small files become few, sorted by a column. Who tidies holds the workspace's lock."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake

from forecasting.tables import GROUP_ROWS, as_sql, parquet_settings, table_uri, writing_table

_MOST_COMMITS = 8
"""A table is tidied after this many commits: each is a file, which costs a reader about a millisecond."""

_LARGE = 8
"""A file that holds one part in so many of the table is left alone by most tidyings."""

_SETTLED_FILES = 8
"""A settled part lies in so many files: those without the symbol wanted are left unread."""


def tidy(path: Path, order: str, rising: str, *, group_rows: int = GROUP_ROWS, settled: int | None = None) -> None:
    """Merge a table's small files after several commits, sorted by the column `order`; its rows stay the same.

    Appended rows become one part beside the large ones before them; once they are a fair part of the
    table, it is written anew. Replaced files are deleted by the tidying after the next one: who opened
    them meanwhile can read on.

    Parameters
    ----------
    rising : column of integers or instants that rises from one append to the next
    group_rows : rows of a row group
    settled : bytes from which a merged part is never written again, and the table is never written anew, so that
        a large one costs no more to append to than a small one; it then lies in several files
    """
    if _commits_since_checkpoint(path) < _MOST_COMMITS:
        return
    with writing_table(path):
        table = _vacuumed(path)
        files = pa.table(table.get_add_actions(flatten=True)).to_pandas()
        large = settled or files["size_bytes"].sum() / _LARGE
        begin, later = _later_files(files, rising, large)
        if settled is None and (begin is None or later["size_bytes"].sum() >= large):
            table.optimize.z_order([order], writer_properties=parquet_settings(group_rows))
        elif len(later) > 1:
            # with the columns of the table, which a file from before them lacks
            schema = pa.schema(table.schema())
            rows = ds.dataset([str(path / name) for name in later["path"]], schema, format="parquet").to_table()
            write_deltalake(
                table,
                rows.sort_by([(order, "ascending"), (rising, "ascending")]).combine_chunks(),
                mode="overwrite",
                predicate=None if begin is None else f"{rising} >= {as_sql(begin)}",
                writer_properties=parquet_settings(group_rows),
                target_file_size=settled and settled // _SETTLED_FILES,
            )
        _checkpoint(table)


def _later_files(files: pd.DataFrame, rising: str, large: float) -> tuple[Any, pd.DataFrame]:
    """Return where the rows after the last large part begin, None where no part is large, and their files."""
    files = files.sort_values(f"min.{rising}")
    last = files[f"max.{rising}"].cummax()
    # files that were written as one part overlap
    part = (files[f"min.{rising}"] > last.shift()).cumsum()
    ends = last[files.groupby(part)["size_bytes"].transform("sum") >= large]
    if not len(ends):
        return None, files
    # Delta cuts the instants of its statistics off to milliseconds
    begin = ends.max() + (1 if pd.api.types.is_integer_dtype(last) else pd.Timedelta(milliseconds=1))
    return begin, files[files[f"min.{rising}"] >= begin]


def tidy_parts(path: Path, order: str, part: str, *, group_rows: int = GROUP_ROWS) -> None:
    """Merge the files of each part of a table after several commits, sorted by the column `order`.

    Parameters
    ----------
    part : the column that the table was appended to by
    """
    if _commits_since_checkpoint(path) < _MOST_COMMITS:
        return
    with writing_table(path):
        table = _vacuumed(path)
        files = pa.table(table.get_add_actions(flatten=True))[f"partition.{part}"].to_pandas().value_counts()
        for value in files.index[files > 1]:
            table.optimize.z_order([order], [(part, "=", value)], writer_properties=parquet_settings(group_rows))
        _checkpoint(table)


def _vacuumed(path: Path) -> DeltaTable:
    """Return a table without the files that no reader needs any more."""
    table = DeltaTable(table_uri(path))
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
    return table


def _checkpoint(table: DeltaTable) -> None:
    table.create_checkpoint()
    table.cleanup_metadata()


def _commits_since_checkpoint(path: Path) -> int:
    """Return how many commits a reader goes through, counted up to `_MOST_COMMITS`."""
    log = path / "_delta_log"
    try:
        last = int(json.loads((log / "_last_checkpoint").read_text())["version"])
    except FileNotFoundError:
        last = -1
    except (ValueError, KeyError):  # cut short; a tidying writes it anew
        return _MOST_COMMITS
    return next((n for n in range(_MOST_COMMITS) if not (log / f"{last + 1 + n:020d}.json").exists()), _MOST_COMMITS)
