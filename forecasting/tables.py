"""Delta tables: append rows, replace them, read them back. Who writes holds the workspace's lock."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError
from pyarrow.fs import LocalFileSystem

from forecasting.errors import WorkspaceError

_ATTEMPTS = 3  # of a reader whose files were tidied away while it read

GROUP_ROWS = 16_384
"""Rows of a row group: few, because groups without the symbol wanted are skipped by their statistics."""

_SETTINGS: dict[str, str | None] = {"delta.logRetentionDuration": "interval 7 days"}


def append_rows(
    path: Path,
    rows: pd.DataFrame | pa.Table,
    schema: pa.Schema,
    *,
    group_rows: int = GROUP_ROWS,
    part: str | None = None,
) -> None:
    """Append rows to a table in one commit; the table is created with the first ones.

    Columns that an older table lacks are added to it, empty in the rows before.

    Parameters
    ----------
    group_rows : rows of a row group
    part : text column whose values have their rows in files apart; the same with every append
    """
    with writing_table(path):
        write_deltalake(
            table_uri(path),
            _in_one_piece(rows, schema),
            mode="append",
            schema_mode="merge",
            partition_by=part,
            writer_properties=parquet_settings(group_rows),
            configuration=_SETTINGS,
        )


def replace_rows(path: Path, rows: pd.DataFrame | pa.Table, schema: pa.Schema, predicate: str) -> None:
    """Put rows in the place of those that meet a predicate in SQL, which they meet too; readers see both at once."""
    with writing_table(path):
        if not len(rows):
            DeltaTable(table_uri(path)).delete(predicate, writer_properties=parquet_settings(GROUP_ROWS))
            return
        write_deltalake(
            table_uri(path),
            _in_one_piece(rows, schema),
            mode="overwrite",
            predicate=predicate,
            writer_properties=parquet_settings(GROUP_ROWS),
        )


def _in_one_piece(rows: pd.DataFrame | pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows as one Arrow batch; of several, Delta writes any first."""
    if isinstance(rows, pd.DataFrame):
        rows = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    return rows.select(schema.names).combine_chunks()


def parquet_settings(group_rows: int) -> WriterProperties:
    """Return how files are written."""
    return WriterProperties(max_row_group_size=group_rows)


def drop_later_rows(path: Path, instant: str, last: pd.Timestamp) -> None:
    """Delete the rows of a table whose column `instant` is after `last`."""
    if _has_commits(path):
        with writing_table(path):
            DeltaTable(table_uri(path)).delete(
                f"{instant} > {as_sql(last)}", writer_properties=parquet_settings(GROUP_ROWS)
            )


def as_sql(value: Any) -> str:
    """Return an integer or an instant as SQL."""
    if not isinstance(value, pd.Timestamp):
        return str(int(value))
    return f"arrow_cast('{value.tz_convert(None).isoformat()}', 'Timestamp(Microsecond, Some(\"UTC\"))')"


def table_uri(path: Path) -> str:
    """Return a path as Delta takes it, whatever characters it holds."""
    if re.search("%[0-9A-Fa-f]{2}", str(path.absolute())):  # it would be decoded twice
        raise WorkspaceError(f"table {path}: a folder's name may not hold % and two digits; next: another --workspace")
    return path.absolute().as_uri()


def _has_commits(path: Path) -> bool:
    """Return whether a table is there; one whose first writer was killed is not."""
    log = path / "_delta_log"
    return log.is_dir() and any(f.suffix == ".json" or "checkpoint" in f.name for f in log.iterdir())


def read_table(
    path: Path,
    schema: pa.Schema,
    condition: ds.Expression | None = None,
    columns: Sequence[str] | None = None,
    encoded: Sequence[str] = (),
    ranged: Sequence[str] = (),
) -> pa.Table:
    """Return a table's rows that meet a condition. A table that does not exist is empty.

    Parameters
    ----------
    encoded : text columns to return as dictionaries, in a third of the time; a condition on one of them
        takes longer
    ranged : columns of integers, dates or short texts, by whose range in each file files are left unread; the
        condition must not ask for those that are null

    Raises
    ------
    WorkspaceError
        The table is damaged.
    """
    names = list(columns or schema.names)
    fields = [f.with_type(pa.dictionary(pa.int32(), f.type)) if f.name in encoded else f for f in schema]
    schema = pa.schema(fields)
    options = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=set(encoded)))
    try:
        for attempt in range(_ATTEMPTS):
            if not _has_commits(path):
                break
            try:
                return _dataset(path, schema, options, ranged).to_table(columns=names, filter=condition)
            except (OSError, DeltaError):
                if attempt == _ATTEMPTS - 1:
                    raise
        return pa.schema([schema.field(name) for name in names]).empty_table()
    except (OSError, DeltaError, pa.ArrowException) as error:
        raise WorkspaceError(
            f"table {path} cannot be read ({_plain(error)}); next: restore it from a copy, or choose another folder "
            "with --workspace"
        ) from error


def _dataset(path: Path, schema: pa.Schema, options: ds.FileFormat, ranged: Sequence[str]) -> ds.Dataset:
    added = pa.table(DeltaTable(table_uri(path)).get_add_actions(flatten=bool(ranged)))
    files = [str(path / name) for name in added["path"].to_pylist()]
    if not ranged:
        return ds.dataset(files, schema, format=options)
    ranges = {name: (added[f"min.{name}"].to_pylist(), added[f"max.{name}"].to_pylist()) for name in ranged}
    place = LocalFileSystem()
    fragments = []
    for i, file in enumerate(files):
        holds = ds.scalar(True)
        for name, (lowest, highest) in ranges.items():
            if lowest[i] is not None and highest[i] is not None:
                holds = holds & (ds.field(name) >= lowest[i]) & (ds.field(name) <= highest[i])
        fragments.append(options.make_fragment(file, place, holds))
    return ds.FileSystemDataset(fragments, schema, options, place)


def read_rows(
    path: Path,
    schema: pa.Schema,
    isin: Mapping[str, Sequence[str]] | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return a table's rows as a frame, those alone whose columns hold one of the values in `isin`.

    Dates come back as `datetime64[us]`, instants as UTC. A table that does not exist is empty.

    Raises
    ------
    WorkspaceError
        The table is damaged.
    """
    return to_frame(read_table(path, schema, all_of(isin or {}, schema), columns))


def one_of(column: str, values: Sequence[Any], schema: pa.Schema) -> ds.Expression:
    """Return the condition that a column holds one of some values; none matches an empty list."""
    # typed, or an empty list would be of no type at all
    return ds.field(column).isin(pa.array(list(values), schema.field(column).type))


def all_of(isin: Mapping[str, Sequence[Any] | None], schema: pa.Schema) -> ds.Expression | None:
    """Return the condition that each column holds one of its values, any for None; no condition where all may."""
    tests = [one_of(column, values, schema) for column, values in isin.items() if values is not None]
    return reduce(and_, tests) if tests else None


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Turn an Arrow table, which is used up, into a frame: dates as `datetime64[us]`, instants as UTC."""
    dates = [f.with_type(pa.timestamp("us")) if pa.types.is_date(f.type) else f for f in table.schema]
    return table.cast(pa.schema(dates)).to_pandas(split_blocks=True, self_destruct=True)  # without a second copy


@contextmanager
def writing_table(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a table is written into a `WorkspaceError`."""
    try:
        yield
    except (OSError, DeltaError) as error:
        raise WorkspaceError(
            f"table {path} cannot be written ({_plain(error)}); nothing was added; next: check free space and "
            "permissions"
        ) from error


def _plain(error: Exception) -> str:
    """Return what a library says without its colours, arrows and line breaks."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|↳", " ", str(error)).split())
