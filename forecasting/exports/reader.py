"""CSV files as tables of cells, whatever they hold: nothing is guessed, and every row keeps its number."""

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv

from forecasting.errors import DataError, UsageError
from forecasting.exports.cells import TEXTS
from forecasting.exports.problems import Findings, shown

FIRST_ROW = 2
"""Number of the first row after the header, as spreadsheets count."""

_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"PK": "a ZIP archive, as spreadsheets are",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"PAR1": "a Parquet file",
}
_BLOCK = 2**23  # bytes read at a time; a row has to fit in
_HEADER = 2**16  # bytes that a header may have
_DAMAGES = (EOFError, OSError, zlib.error)
_AS_WRITTEN = "next: the file as it was written"


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a CSV file, plain or by gzip.

    Raises
    ------
    UsageError
        There is none, or it is a file of another kind.
    """
    with ExitStack() as stack:
        try:
            handle = stack.enter_context(path.open("rb"))
            begin = handle.peek(4)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror or error}; next: check the path") from error
        for magic, words in _OTHERS.items():
            if begin.startswith(magic):
                raise UsageError(f"{path} is {words}: an export is CSV in UTF-8; {_AS_WRITTEN}")
        if begin.startswith(_GZIP):
            yield cast("IO[bytes]", stack.enter_context(gzip.open(handle)))
        else:
            yield handle


def read_header(path: Path, stream: IO[bytes]) -> list[str]:
    """Return the names in a file's first line.

    Raises
    ------
    UsageError
        There are none.
    DataError
        The file is damaged.
    """
    try:
        line = stream.readline(_HEADER).decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: its header is not UTF-8; {_AS_WRITTEN}") from error
    except _DAMAGES as error:
        raise _damaged(path, error) from error
    header = next(csv.reader([line]), [])
    if not header:
        raise UsageError(f"{path} has no header; {_AS_WRITTEN}")
    if len(header) == 1 and ";" in line:
        raise UsageError(f"{path} has semicolons between columns, an export has commas; {_AS_WRITTEN}")
    return header


def read_tables(
    path: Path, stream: IO[bytes], header: list[str], findings: Findings
) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """Yield the rows after the header as tables of `TEXTS`, with their numbers.

    Parameters
    ----------
    findings : rows with another number of fields are added, and left out

    Raises
    ------
    DataError
        The file cannot be read to its end.
    """
    left_out: list[int] = []

    def leave_out(row: Any) -> str:
        left_out.append(row.number + FIRST_ROW - 1)
        found = f"{row.actual_columns} fields: {shown(row.text)}"
        findings.add(np.array(left_out[-1:]), None, [found], f"{row.expected_columns} fields, as the header has")
        return "skip"

    done = 0
    try:
        batches = pa.csv.open_csv(
            _Utf8(path, stream),
            pa.csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=header),
            pa.csv.ParseOptions(ignore_empty_lines=False, invalid_row_handler=leave_out),
            pa.csv.ConvertOptions(column_types=dict.fromkeys(header, TEXTS), strings_can_be_null=False),
        )
        for batch in batches:
            rows = np.arange(done, done + batch.num_rows) + FIRST_ROW  # if none had been left out
            before = np.array(left_out, dtype="int64") - np.arange(len(left_out))
            done += batch.num_rows
            if batch.num_rows:
                yield pa.table(batch), rows + np.searchsorted(before, rows, side="right")
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise DataError(
            f"{path} cannot be read on after row {done + len(left_out) + 1}: a row is longer than {_BLOCK} bytes, or "
            f"not CSV ({error}); {_AS_WRITTEN}"
        ) from error
    except _DAMAGES as error:
        raise _damaged(path, error) from error


class _Utf8:
    """A stream that ends with an error where its bytes are no UTF-8."""

    closed = False

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._stream = path, stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._row = FIRST_ROW

    def read(self, size: int) -> bytes:
        """Return the next bytes, as they are."""
        content = self._stream.read(size)
        try:
            self._decoder.decode(content, final=not content)
        except UnicodeDecodeError as error:
            row, byte = self._row + error.object.count(b"\n", 0, error.start), error.object[error.start]
            found = f"row {row} holds the byte 0x{byte:02x}"
            raise DataError(f"{self._path} is not UTF-8: {found}; {_AS_WRITTEN}") from error
        self._row += content.count(b"\n")
        return content


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is cut off or damaged ({error}); {_AS_WRITTEN}")
