"""Delta tables: append rows, read them back. Who writes holds the workspace's lock."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from forecasting.errors import WorkspaceError


def _plain(error: Exception) -> str:
    """Return what a library says without its colours, arrows and line breaks."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|↳", " ", str(error)).split())


def append_rows(path: Path, rows: pd.DataFrame, schema: pa.Schema) -> None:
    """Append a frame's rows to a table in one commit; the table is created with the first ones."""
    table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    try:
        write_deltalake(str(path), table, mode="append")
    except (OSError, DeltaError) as error:
        raise WorkspaceError(
            f"table {path} cannot be written ({_plain(error)}); nothing was added; next: check free space and "
            "permissions"
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
    names = list(columns or schema.names)
    condition = None
    for column, values in (isin or {}).items():
        # typed, or an empty list would be of no type at all
        test = ds.field(column).isin(pa.array(list(values), schema.field(column).type))
        condition = test if condition is None else condition & test
    try:
        if DeltaTable.is_deltatable(str(path)):
            stored = DeltaTable(str(path))
            # looked for before reading: a reader's thread that meets a missing file may abort the process
            for file in stored.file_uris():
                Path(file).stat()
            table = stored.to_pyarrow_dataset().to_table(columns=names, filter=condition)
        else:
            table = pa.schema([schema.field(n) for n in names]).empty_table()
    except (OSError, DeltaError, pa.ArrowException) as error:
        raise WorkspaceError(
            f"table {path} cannot be read ({_plain(error)}); next: restore it from a copy, or choose another folder "
            "with --workspace"
        ) from error
    frame = table.to_pandas(date_as_object=False)
    for field in schema:
        if field.name in names and (pa.types.is_date(field.type) or pa.types.is_timestamp(field.type)):
            frame[field.name] = frame[field.name].dt.as_unit("us")
    return frame
