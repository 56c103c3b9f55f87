"""What a file is, and its columns: text (also gzip) and Parquet, told apart by content, within a memory limit."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from forecasting.errors import DataError

MAX_BYTES = 512 * 2**20
"""Text a file may hold, unpacked; reading takes at most about four times as much memory."""
MAX_ROWS = 20_000_000
MAX_COLUMNS = 20_000

_BLOCK = 2**20  # bytes; a longer line is no table's
_BLOCK_COLUMNS = 256  # for each so many another block: arrow keeps about a kilobyte per column and block
_DELIMITERS = ",;\t|"
_HEADER_WITHIN = 30  # lines
_HEADER_NEXT = "next: a header row such as Date,Open,High,Low,Close,Volume, and rows of as many columns"


@dataclass(frozen=True)
class Table:
    """A file's column names, and its cells when asked for: strings of a text file, typed values of Parquet."""

    names: tuple[str, ...]
    read: Callable[[Sequence[int]], list[pa.ChunkedArray]]


def shown(value: object) -> str:
    """Return what a file says as it can stand in an error: short, quoted, on one line."""
    text = str(value)
    return repr(text if len(text) <= 60 else text[:59] + "…")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a `DataError` that names it."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}); next: download it again") from error
    except UnicodeError as error:
        raise DataError(f"{path} is not text in one encoding ({error}); next: save it as UTF-8") from error
    except (pa.ArrowException, csv.Error) as error:
        cause = shown(" ".join(str(error).split())).strip("'\"")
        raise DataError(f"{path} is not a whole table ({cause}); next: mend that row, or download it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); next: check the file") from error


def open_table(path: Path) -> Table:
    """Return a file's table; its rows are read by `Table.read`, which like this belongs under `reading`.

    Raises
    ------
    DataError
        The file is empty, not a table, or larger than the limits.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == b"PAR1":
        return _parquet_table(path)
    if magic == b"PK\x03\x04":
        raise DataError(f"{path} is a ZIP archive or a spreadsheet; next: unpack it, or save the sheet as CSV")
    packed = magic[:2] == b"\x1f\x8b"
    with _Unpacked(path, packed) as source:
        head = io.BufferedReader(source, _BLOCK).read(_BLOCK)
    encoding, text = _decode(path, head)
    names, delimiter, above = _find_header(path, text, whole=len(head) < _BLOCK)

    def read(positions: Sequence[int]) -> list[pa.ChunkedArray]:
        wanted = [str(i) for i in positions]
        with _Unpacked(path, packed) as source:
            batches = pyarrow.csv.open_csv(
                source,
                read_options=pyarrow.csv.ReadOptions(
                    column_names=[str(i) for i in range(len(names))],
                    skip_rows=above,
                    encoding=encoding,
                    block_size=_BLOCK * (1 + len(names) // _BLOCK_COLUMNS),
                    use_threads=False,
                ),
                parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted
                ),
            )
            kept, rows = [], 0
            for batch in batches:
                rows += batch.num_rows
                require_rows(path, rows)
                kept.append(batch)
        return pa.Table.from_batches(kept, batches.schema).columns

    return Table(names, read)


def require_rows(path: Path, rows: int) -> None:
    """Raise `DataError` where a file has more rows than are read."""
    if rows > MAX_ROWS:
        raise DataError(f"{path} has more than {MAX_ROWS:,} bars, which is the limit; next: a folder of one per symbol")


def _require_columns(path: Path, columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise DataError(
            f"{path} has more than {MAX_COLUMNS:,} columns, which is the limit; next: a folder of one file per symbol, "
            "or a column of symbols"
        )


def _parquet_table(path: Path) -> Table:
    with pyarrow.parquet.ParquetFile(path) as file:
        require_rows(path, file.metadata.num_rows)
        _require_columns(path, file.metadata.num_columns)
        names = tuple(file.schema_arrow.names)
    if len(set(names)) < len(names):
        raise DataError(f"{path} has two columns of one name; next: name each column once")

    def read(positions: Sequence[int]) -> list[pa.ChunkedArray]:
        with pyarrow.parquet.ParquetFile(path) as file:
            table = file.read(columns=[names[i] for i in positions], use_threads=False)
        return [table.column(names[i]) for i in positions]

    return Table(names, read)


class _Unpacked(io.RawIOBase):
    """A file's bytes, unpacked on the way and refused past the limit, so that a bomb never unfolds."""

    def __init__(self, path: Path, packed: bool) -> None:
        self._path = path
        self._file: BinaryIO = gzip.open(path) if packed else path.open("rb")  # type: ignore[assignment]  # noqa: SIM115
        self._left = MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._file.read(len(buffer))
        self._left -= len(chunk)
        if self._left < 0:
            raise DataError(
                f"{self._path} holds more than {MAX_BYTES // 2**20} MB of text, the limit; next: Parquet, or a folder "
                "of one file per symbol"
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._file.close()
        super().close()


def _decode(path: Path, head: bytes) -> tuple[str, str]:
    """Return a text's encoding and its beginning."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        encoding = "utf-8"
        try:
            codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            encoding = "latin-1"  # as spreadsheets save; only headers have letters beyond ASCII
    text = codecs.getincrementaldecoder(encoding)().decode(head).lstrip("\ufeff")
    start = text.lstrip()[:200].lower()
    if not start:
        raise DataError(f"{path} is empty; next: download it again")
    if re.search(r"[\x00-\x08\x0e-\x1f]", text):
        raise DataError(f"{path} is binary, neither text nor Parquet; next: save it as CSV")
    if start.startswith(("<!doctype", "<?xml", "{", "[")) or "<html" in start:
        raise DataError(
            f"{path} is a web page or message, not a table: it begins {shown(start)}; next: download it again"
        )
    return encoding, text


def _find_header(path: Path, text: str, whole: bool) -> tuple[tuple[str, ...], str, int]:
    """Return the header's names, the delimiter, and how many lines the rows come after.

    The header is the first line with as many columns as the line below; of the delimiters for which
    there is one, the one that finds it earliest, with most columns.
    """
    lines = re.split(r"\r\n|\r|\n", text)
    _require_columns(path, 1 + max(line.count(mark) for line in lines[:_HEADER_WITHIN] for mark in _DELIMITERS))
    if not whole:
        lines.pop()  # cut short
    numbered = [(i, line) for i, line in enumerate(lines[:_HEADER_WITHIN]) if line.strip()]
    found: list[tuple[int, int, str, list[list[str]]]] = []
    for delimiter in _DELIMITERS:
        rows = [_split(line, delimiter) for _, line in numbered]
        k = next((k for k in range(len(rows) - 1) if len(rows[k]) == len(rows[k + 1]) > 1), None)
        if k is not None:
            found.append((numbered[k][0], -len(rows[k]), delimiter, rows[k : k + 3]))
    if not found:
        if len(numbered) == 1 and any(len(_split(numbered[0][1], d)) > 1 for d in _DELIMITERS):
            raise DataError(f"{path} has a header and no rows; next: download it again")
        raise DataError(f"{path} is not a table, it begins {shown(text.strip())}; {_HEADER_NEXT}")
    line, _, delimiter, rows = min(found)
    names = rows[0]
    if len(rows) == 3 and [row[0].strip().lower() for row in rows] == ["price", "ticker", "date"]:
        # yfinance's download(...).to_csv() has its fields, symbols and index in three rows
        names = ["Date", *(f"{symbol}:{field}" for symbol, field in zip(rows[1][1:], names[1:], strict=True))]
        line += 2
    return tuple(names), delimiter, line + 1


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error:
        return []
