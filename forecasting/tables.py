"""Delta tables: append rows, read them back, tidy their files. Who writes holds the workspace's lock."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError

from forecasting.errors import WorkspaceError

_MOST_FILES = 8
"""A table is tidied after this many commits: each is a file, which costs a reader about a millisecond."""

_LARGE = 8
"""A file that holds at least this fraction of the table is left alone by most tidyings."""

_ATTEMPTS = 3  # of a reader whose files were tidied away while it read
# small row groups: those without the symbol wanted are skipped by their statistics
_WRITER = WriterProperties(max_row_group_size=16_384)
_SETTINGS: dict[str, str | None] = {"delta.logRetentionDuration": "interval 7 days"}


def append_rows(path: Path, rows: pd.DataFrame, schema: pa.Schema) -> None:
    """Append a frame's rows to a table in one commit; the table is created with the first ones."""
    table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    with _writing(path):
        write_deltalake(str(path), table, mode="append", writer_properties=_WRITER, configuration=_SETTINGS)


def drop_later_rows(path: Path, column: str, last: pd.Timestamp) -> None:
    """Delete the rows of a table whose instant in a column is after `last`."""
    if DeltaTable.is_deltatable(str(path)):
        with _writing(path):
            instant = f"arrow_cast('{last.isoformat()}', 'Timestamp(Microsecond, Some(\"UTC\"))')"
            DeltaTable(str(path)).delete(f"{column} > {instant}", writer_properties=_WRITER)


def tidy(path: Path, order: str) -> None:
    """Merge a table's small files where there are many; its rows stay the same.

    Small files become one. Where they have become a fair part of the table, it is written anew, sorted
    by the column `order`. Replaced files are deleted by the tidying after the next one: whoever reads
    meanwhile finds what it has opened.
    """
    if _commits_since_checkpoint(path) < _MOST_FILES:
        return
    with _writing(path):
        table = DeltaTable(str(path))
        sizes = pa.table(table.get_add_actions())["size_bytes"].to_pylist()
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
        large = sum(sizes) // _LARGE
        if sum(size for size in sizes if size < large) >= large:
            table.optimize.z_order([order], writer_properties=_WRITER)
        else:
            table.optimize.compact(target_size=large, writer_properties=_WRITER)
        table.create_checkpoint()
        table.cleanup_metadata()


def read_table(
    path: Path,
    schema: pa.Schema,
    condition: ds.Expression | None = None,
    columns: Sequence[str] | None = None,
    encoded: Sequence[str] = (),
) -> pa.Table:
    """Return a table's rows that meet a condition. A table that does not exist is empty.

    Parameters
    ----------
    encoded : text columns to return as dictionaries, in a third of the time; a condition on one of them
        takes longer

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
            if not DeltaTable.is_deltatable(str(path)):
                break
            try:
                files = [file.removeprefix("file://") for file in DeltaTable(str(path)).file_uris()]
                return ds.dataset(files, schema, format=options).to_table(columns=names, filter=condition)
            except FileNotFoundError:
                if attempt == _ATTEMPTS - 1:
                    raise
        return pa.schema([schema.field(name) for name in names]).empty_table()
    except (OSError, DeltaError, pa.ArrowException) as error:
        raise WorkspaceError(
            f"table {path} cannot be read ({_plain(error)}); next: restore it from a copy, or choose another folder "
            "with --workspace"
        ) from error


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
    condition = None
    for column, values in (isin or {}).items():
        test = one_of(column, values, schema)
        condition = test if condition is None else condition & test
    return to_frame(read_table(path, schema, condition, columns))


def one_of(column: str, values: Sequence[str], schema: pa.Schema) -> ds.Expression:
    """Return the condition that a column holds one of some values; none matches an empty list."""
    # typed, or an empty list would be of no type at all
    return ds.field(column).isin(pa.array(list(values), schema.field(column).type))


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a frame: dates as `datetime64[us]`, instants as UTC."""
    frame = table.to_pandas(date_as_object=False)
    for field in table.schema:
        if pa.types.is_date(field.type) or pa.types.is_timestamp(field.type):
            frame[field.name] = frame[field.name].dt.as_unit("us")
    return frame


def _commits_since_checkpoint(path: Path) -> int:
    """Return how many commits a reader goes through, counted up to `_MOST_FILES`."""
    log = path / "_delta_log"
    try:
        last = int(json.loads((log / "_last_checkpoint").read_text())["version"])
    except FileNotFoundError:
        last = -1
    return next((n for n in range(_MOST_FILES) if not (log / f"{last + 1 + n:020d}.json").exists()), _MOST_FILES)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
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
