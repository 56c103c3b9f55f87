import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from forecasting import tables
from forecasting.errors import WorkspaceError
from forecasting.tables import append_rows, drop_later_rows, read_rows, read_table, replace_rows
from forecasting.tidying import tidy

SCHEMA = pa.schema(
    [("symbol", pa.string()), ("session", pa.date32()), ("value", pa.float64()), ("at", pa.timestamp("us", tz="UTC"))]
)


def rows(*values: float, symbol: str = "AAA", at: str = "2019-01-07") -> pd.DataFrame:
    day = pd.Timestamp("2019-01-02")
    return pd.DataFrame({"symbol": symbol, "session": day, "value": list(values), "at": pd.Timestamp(at, tz="UTC")})


def test_rows_come_back_as_they_went_in_with_dates_and_instants_in_microseconds(tmp_path):
    append_rows(tmp_path / "t", rows(1.5, float("nan")), SCHEMA)
    back = read_rows(tmp_path / "t", SCHEMA)
    assert [str(t) for t in back.dtypes] == ["str", "datetime64[us]", "float64", "datetime64[us, UTC]"]
    pd.testing.assert_frame_equal(back, rows(1.5, float("nan")), check_dtype=False, check_exact=True)


def test_rows_are_chosen_by_value_and_columns_by_name(tmp_path):
    append_rows(tmp_path / "t", pd.concat([rows(1.0, symbol="A"), rows(2.0, symbol="B")]), SCHEMA)
    assert read_rows(tmp_path / "t", SCHEMA, {"symbol": ["B"]}, ["value"])["value"].tolist() == [2.0]
    assert read_rows(tmp_path / "t", SCHEMA, {"symbol": []}).empty
    assert read_rows(tmp_path / "nowhere", SCHEMA).columns.tolist() == SCHEMA.names


def test_a_file_without_the_values_wanted_is_left_unread(tmp_path):
    append_rows(tmp_path / "t", rows(1.0, symbol="A"), SCHEMA)
    (first,) = (tmp_path / "t").glob("*.parquet")
    append_rows(tmp_path / "t", rows(2.0, symbol="B"), SCHEMA)
    first.unlink()
    wanted = ds.field("symbol") == "B"
    assert read_table(tmp_path / "t", SCHEMA, wanted, ranged=["symbol", "session"])["value"].to_pylist() == [2.0]
    with pytest.raises(WorkspaceError, match="t cannot be read"):
        read_table(tmp_path / "t", SCHEMA, wanted)


def test_a_column_that_an_older_table_lacks_is_added_and_empty_before(tmp_path):
    older = pa.schema([field for field in SCHEMA if field.name != "value"])
    append_rows(tmp_path / "t", rows(1.0, symbol="A"), older)
    append_rows(tmp_path / "t", rows(2.0, symbol="B"), SCHEMA)
    assert read_rows(tmp_path / "t", SCHEMA, {"symbol": ["A"]})["value"].isna().tolist() == [True]
    assert read_rows(tmp_path / "t", SCHEMA, {"symbol": ["B"]})["value"].tolist() == [2.0]


def test_rows_are_replaced_by_others_and_by_none(tmp_path):
    append_rows(tmp_path / "t", rows(1.0, 2.0, 3.0), SCHEMA)
    replace_rows(tmp_path / "t", rows(2.0, symbol="B"), SCHEMA, "value IN (2.0)")
    back = read_rows(tmp_path / "t", SCHEMA)
    assert dict(zip(back["value"], back["symbol"], strict=True)) == {1.0: "AAA", 2.0: "B", 3.0: "AAA"}
    replace_rows(tmp_path / "t", rows(), SCHEMA, "value IN (2.0, 3.0)")
    assert read_rows(tmp_path / "t", SCHEMA)["value"].tolist() == [1.0]


def test_later_rows_are_dropped_and_earlier_ones_stay(tmp_path):
    append_rows(tmp_path / "t", rows(1.0, at="2019-01-07 22:00:00.000001"), SCHEMA)
    append_rows(tmp_path / "t", rows(2.0, at="2019-01-07 22:00:00.000002"), SCHEMA)
    drop_later_rows(tmp_path / "t", "at", pd.Timestamp("2019-01-07 22:00:00.000001", tz="UTC"))
    assert read_rows(tmp_path / "t", SCHEMA)["value"].tolist() == [1.0]
    drop_later_rows(tmp_path / "nowhere", "at", pd.Timestamp("2019-01-07", tz="UTC"))


DAMAGES = {
    "missing": lambda file: file.unlink(),
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:-40]),
    "empty": lambda file: file.write_bytes(b""),
    "no parquet": lambda file: file.write_bytes(b"<html>" * 500),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_an_error_that_names_the_table_and_never_ends_the_process(tmp_path, damage):
    append_rows(tmp_path / "t", rows(1.0), SCHEMA)
    (file,) = (tmp_path / "t").glob("*.parquet")
    DAMAGES[damage](file)
    with pytest.raises(WorkspaceError, match=r"t cannot be read .*; next: restore it from a copy"):
        read_rows(tmp_path / "t", SCHEMA)
    code = (
        "import sys, pyarrow as pa; from pathlib import Path; from forecasting.tables import read_rows;"
        "from forecasting.errors import WorkspaceError\n"
        "try: read_rows(Path(sys.argv[1]), pa.schema([('symbol', pa.string()), ('value', pa.float64())]))\n"
        "except WorkspaceError: print('refused')"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "t")], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.strip()) == (0, "refused"), ended.stderr


def test_a_damaged_log_is_an_error_too(tmp_path):
    append_rows(tmp_path / "t", rows(1.0), SCHEMA)
    next((tmp_path / "t" / "_delta_log").glob("*.json")).write_text("{")
    with pytest.raises(WorkspaceError, match="t cannot be read"):
        read_rows(tmp_path / "t", SCHEMA)


@pytest.mark.parametrize("name", ["a b", "ümläut", "a#b?c", "s3:x", "a'b;c", "€ 100%"])
def test_a_folder_may_have_any_name(tmp_path, name):
    path = tmp_path / name / "t"
    for k in range(10):
        append_rows(path, rows(float(k), at=f"2019-01-{k + 1:02}"), SCHEMA)
        tidy(path, "symbol", "at")
    drop_later_rows(path, "at", pd.Timestamp("2019-01-09", tz="UTC"))
    assert sorted(read_rows(path, SCHEMA)["value"]) == [float(k) for k in range(9)]


def test_a_folder_that_delta_would_take_for_another_is_refused(tmp_path):
    with pytest.raises(WorkspaceError, match="may not hold % and two digits; next: another --workspace"):
        append_rows(tmp_path / "a%20b" / "t", rows(1.0), SCHEMA)


def test_a_table_whose_first_writer_was_killed_is_empty_and_takes_rows(tmp_path):
    log = tmp_path / "t" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json#1").write_text("{")
    assert read_rows(tmp_path / "t", SCHEMA).empty
    drop_later_rows(tmp_path / "t", "at", pd.Timestamp("2019-01-09", tz="UTC"))
    append_rows(tmp_path / "t", rows(1.0), SCHEMA)
    assert read_rows(tmp_path / "t", SCHEMA)["value"].tolist() == [1.0]


def test_a_reader_tries_again_where_the_files_it_saw_were_tidied_away(tmp_path, monkeypatch):
    append_rows(tmp_path / "t", rows(1.0), SCHEMA)
    failures = [FileNotFoundError("gone"), DeltaError("log file gone")]

    class Moving(DeltaTable):
        def get_add_actions(self, *arguments, **options):
            if failures:
                raise failures.pop()
            return super().get_add_actions(*arguments, **options)

    monkeypatch.setattr(tables, "DeltaTable", Moving)
    assert read_rows(tmp_path / "t", SCHEMA)["value"].tolist() == [1.0]
    assert failures == []
