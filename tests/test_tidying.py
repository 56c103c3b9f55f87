from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from forecasting.tables import append_rows, read_rows, read_table
from forecasting.tidying import tidy, tidy_parts

SCHEMA = pa.schema(
    [("symbol", pa.string()), ("session", pa.date32()), ("value", pa.float64()), ("at", pa.timestamp("us", tz="UTC"))]
)


def rows(*values: float, symbol: str = "AAA", at: str = "2019-01-07") -> pd.DataFrame:
    day = pd.Timestamp("2019-01-02")
    return pd.DataFrame({"symbol": symbol, "session": day, "value": list(values), "at": pd.Timestamp(at, tz="UTC")})


def files(path: Path) -> int:
    return len(list(path.glob("*.parquet")))


def fill(path: Path, commits: int) -> None:
    for k in range(commits):
        at = pd.Timestamp("2019-02-01") + pd.Timedelta(days=k)
        append_rows(path, rows(float(k), symbol=f"S{k % 3}", at=str(at)), SCHEMA)
        tidy(path, "symbol", "at")


def test_tidying_keeps_every_row_and_bounds_the_files(tmp_path):
    fill(tmp_path / "t", 50)
    assert sorted(read_rows(tmp_path / "t", SCHEMA)["value"]) == [float(k) for k in range(50)]
    assert files(tmp_path / "t") <= 20
    assert len(DeltaTable(str(tmp_path / "t")).file_uris()) <= 8


def test_a_large_file_is_left_alone_while_the_small_ones_become_one(tmp_path):
    path = tmp_path / "t"
    append_rows(path, rows(*range(200_000)), SCHEMA)
    (large,) = DeltaTable(str(path)).file_uris()
    fill(path, 20)
    assert large in DeltaTable(str(path)).file_uris()
    assert len(read_rows(path, SCHEMA)) == 200_020


def test_who_opened_the_table_before_a_tidying_can_read_on(tmp_path):
    path = tmp_path / "t"
    fill(path, 7)
    opened = DeltaTable(str(path)).file_uris()
    fill(path, 1)
    assert DeltaTable(str(path)).file_uris() != opened
    assert all(Path(file).exists() for file in opened)


def test_tidying_keeps_rows_whose_instants_differ_by_less_than_statistics_tell(tmp_path):
    # Delta's statistics cut instants off to milliseconds
    path = tmp_path / "t"
    append_rows(path, rows(*range(5000), at="2019-01-07 22:00:00.123456"), SCHEMA)
    for k in range(30):
        append_rows(path, rows(float(k), at=f"2019-01-07 22:00:00.{123457 + 300 * k}"), SCHEMA)
        tidy(path, "symbol", "at")
        assert len(read_rows(path, SCHEMA)) == 5001 + k


@pytest.mark.parametrize("content", ["", "{}", "{"])
def test_a_pointer_cut_short_is_written_anew(tmp_path, content):
    path = tmp_path / "t"
    fill(path, 9)
    (path / "_delta_log" / "_last_checkpoint").write_text(content)
    fill(path, 9)
    assert len(read_rows(path, SCHEMA)) == 18


def numbered(first: int, symbols: str) -> pd.DataFrame:
    """Return rows of one-letter symbols, numbered on from the first."""
    return pd.DataFrame({"symbol": list(symbols), "number": range(first, first + len(symbols))})


NUMBERED = pa.schema([("symbol", pa.string()), ("number", pa.int64())])


def test_a_settled_part_is_never_written_again_and_what_follows_becomes_the_next(tmp_path):
    path, letters = tmp_path / "t", "CABCABCAB" * 40
    size = None
    parts = []
    for k in range(48):
        append_rows(path, numbered(len(letters) * k, letters), NUMBERED)
        size = size or next(path.glob("*.parquet")).stat().st_size
        tidy(path, "symbol", "number", settled=8 * size)
        parts.append(set(DeltaTable(str(path)).file_uris()))
    settled = parts[0].union(*parts).intersection(*parts[40:])
    assert 2 <= len(settled) < 20
    assert len(parts[-1]) <= len(settled) + 8
    back = read_rows(path, NUMBERED)
    assert sorted(back["number"]) == list(range(48 * len(letters)))
    assert dict(zip(back["number"], back["symbol"], strict=True)) == dict(enumerate(letters * 48))
    for file in settled:
        assert pd.read_parquet(file)["symbol"].is_monotonic_increasing


def test_columns_added_later_keep_their_values_when_files_are_merged(tmp_path):
    path, older = tmp_path / "t", pa.schema([NUMBERED.field("number"), NUMBERED.field("symbol")])
    append_rows(path, numbered(0, "BA"), pa.schema([older.field("number")]))
    for k in range(1, 9):
        append_rows(path, numbered(2 * k, "BA"), NUMBERED)
        tidy(path, "symbol", "number", settled=10**6)
    back = read_rows(path, NUMBERED).sort_values("number")
    assert len(DeltaTable(str(path)).file_uris()) < 8
    assert back["symbol"].isna().sum() == 2
    assert back["symbol"].iloc[2:].tolist() == ["B", "A"] * 8


def test_each_part_of_a_table_becomes_one_sorted_file(tmp_path):
    path = tmp_path / "t"
    schema = pa.schema([("part", pa.string()), *NUMBERED])
    for k in range(8):
        rows = numbered(3 * k, "CAB").assign(part="old" if k == 0 else ["new", "new", "mid"])
        append_rows(path, rows, schema, part="part")
        tidy_parts(path, "symbol", "part")
    files = DeltaTable(str(path)).file_uris()
    assert len(files) == 3
    assert all(pd.read_parquet(f)["symbol"].is_monotonic_increasing for f in files if "part=old" not in f)
    assert sorted(read_table(path, NUMBERED)["number"].to_pylist()) == list(range(24))
