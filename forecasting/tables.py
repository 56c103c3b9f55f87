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

_MOST_COMMITS = 8
"""A table is tidied after this many commits: each is a file, which costs a reader about a millisecond."""

_LARGE = 8
"""A file that holds one part in so many of the table is left alone by most tidyings."""

_ATTEMPTS = 3  # of a reader whose files were tidied away while it read
# small row groups: those without the symbol wanted are skipped by their statistics
_WRITER = WriterProperties(max_row_group_size=16_384)
_SETTINGS: dict[str, str | None] = {"delta.logRetentionDuration": "interval 7 days"}


def append_rows(path: Path, rows: pd.DataFrame, schema: pa.Schema) -> None:
    """Append a frame's rows to a table in one commit; the table is created with the first ones."""
    # in one piece: Delta writes several in any order
    table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False).combine_chunks()
    with _writing(path):
        write_deltalake(_uri(path), table, mode="append", writer_properties=_WRITER, configuration=_SETTINGS)


def drop_later_rows(path: Path, instant: str, last: pd.Timestamp) -> None:
    """Delete the rows of a table whose column `instant` is after `last`."""
    if _has_commits(path):
        with _writing(path):
            DeltaTable(_uri(path)).delete(f"{instant} > {_literal(last)}", writer_properties=_WRITER)


def tidy(path: Path, order: str, instant: str) -> None:
    """Merge a table's small files after several commits, sorted by the column `order`; its rows stay the same.

    Appended rows become one file beside the large ones before them; once they are a fair part of the
    table, it is written anew. Replaced files are deleted by the tidying after the next one: who opened
    them meanwhile can read on.

    Parameters
    ----------
    instant : column that rises from one append to the next
    """
    if _commits_since_checkpoint(path) < _MOST_COMMITS:
        return
    with _writing(path):
        table = DeltaTable(_uri(path))
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
        files = pa.table(table.get_add_actions(flatten=True)).to_pandas()
        large = files["size_bytes"].sum() / _LARGE
        # Delta cuts the instants of its statistics off to milliseconds
        begin = files[f"max.{instant}"][files["size_bytes"] >= large].max() + pd.Timedelta(milliseconds=1)
        appended = files[files[f"min.{instant}"] >= begin]
        if pd.isna(begin) or appended["size_bytes"].sum() >= large:
            table.optimize.z_order([order], writer_properties=_WRITER)
        elif len(appended):
            rows = ds.dataset([str(path / name) for name in appended["path"]], format="parquet").to_table()
            write_deltalake(
                table,
                rows.sort_by([(order, "ascending")]),
                mode="overwrite",
                predicate=f"{instant} >= {_literal(begin)}",
                writer_properties=_WRITER,
            )
        table.create_checkpoint()
        table.cleanup_metadata()


def _literal(instant: pd.Timestamp) -> str:
    return f"arrow_cast('{instant.tz_convert(None).isoformat()}', 'Timestamp(Microsecond, Some(\"UTC\"))')"


def _uri(path: Path) -> str:
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
            if not _has_commits(path):
                break
            try:
                added = pa.table(DeltaTable(_uri(path)).get_add_actions())["path"].to_pylist()
                files = [str(path / name) for name in added]
                return ds.dataset(files, schema, format=options).to_table(columns=names, filter=condition)
            except (OSError, DeltaError):
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
    """Turn an Arrow table, which is used up, into a frame: dates as `datetime64[us]`, instants as UTC."""
    dates = [f.with_type(pa.timestamp("us")) if pa.types.is_date(f.type) else f for f in table.schema]
    return table.cast(pa.schema(dates)).to_pandas(split_blocks=True, self_destruct=True)  # without a second copy


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
