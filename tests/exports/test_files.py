import re
import struct
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from export_helpers import any_ledger_rows, cells, ledger_rows
from helpers import normal_forecast, utc
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import DataError, UsageError, WorkspaceError
from forecasting.exports import files
from forecasting.exports.files import csv_text, drop_old_issues, export_forecasts, write_tables
from forecasting.exports.forecasts import long_table, wide_table
from forecasting.exports.validation import check_file
from forecasting.instruments import Instrument

ROWS = ledger_rows(normal_forecast("AAA", horizon=2), normal_forecast("VOD.L", horizon=2, last_close=0.1 + 0.2))
STEM = "forecast-2018-12-31-m1"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("written") / "file.csv"


def bits(numbers):
    return struct.pack(f"{len(numbers)}d", *map(float, numbers))


def moments(texts):
    return [pd.Timestamp(text) for text in texts]


@settings(max_examples=12)
@given(rows=any_ledger_rows())
def test_whatever_a_ledger_holds_is_valid_when_it_is_written_and_reads_back_to_the_last_bit(place, rows):
    check_round_trip(place, rows)


@pytest.mark.slow
@settings(max_examples=500)
@given(rows=any_ledger_rows())
def test_so_it_is_for_hundreds_of_ledgers(place, rows):
    check_round_trip(place, rows)


def check_round_trip(place, rows):
    for make, numbers in (
        (long_table, ["last_close", "value"]),
        (wide_table, ["last_close", "prob_up", "expected", *(f"q{x:.9f}".rstrip("0") for x in rows["levels"][0])]),
    ):
        table = make(rows)
        text = csv_text(table)
        place.write_text(text)
        report = check_file(place)
        assert (report.problems, report.rows) == ((), len(table))
        back = cells(text)
        assert len(back) == len(table)
        for name in numbers:
            assert bits([row[name] for row in back]) == bits(table[name])
        for name in ("as_of", "origin", "target_session"):
            assert moments(row[name] for row in back) == table[name].tolist()
        for name in ("model_id", "mode", "symbol", "horizon", "estimated", "flags", "currency"):
            assert [row[name] for row in back] == table[name].astype(str).tolist()


@settings(max_examples=20)
@given(st.lists(st.floats(0, exclude_min=True, allow_infinity=False), min_size=1, max_size=20))
def test_every_price_reads_back_exactly(prices):
    table = pd.DataFrame({"symbol": "AAA", "session": pd.bdate_range("2019-01-01", periods=len(prices))})
    table = table.assign(currency="USD", basis="traded", open=prices, high=prices, low=prices, close=prices)
    back = cells(csv_text(table.assign(volume=np.nan, known_at=utc("2026-01-05 12:00"))))
    assert bits([row["close"] for row in back]) == bits(prices)
    assert {row["volume"] for row in back} == {""}


def test_dates_and_instants_are_iso_8601_with_microseconds_where_there_are_any():
    exact, fine = ROWS.iloc[:2], ROWS.iloc[2:].assign(as_of=utc("2018-12-31 22:00:15.000250"))
    table = cells(csv_text(wide_table(pd.concat([exact, fine]))))
    assert [row["as_of"] for row in table[1:3]] == ["2018-12-31T22:00:00Z", "2018-12-31T22:00:15.000250Z"]
    assert (table[0]["origin"], table[0]["target_session"]) == ("2018-12-31", "2019-01-02")
    assert (table[0]["mode"], table[0]["estimated"], table[0]["currency"]) == ("live", "False", "USD")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
@pytest.mark.parametrize("column", ["symbol", "currency", "model_id", "mode", "flags"])
def test_no_text_that_a_spreadsheet_would_run_is_written(tmp_path, start, column):
    hostile = f"{start}HYPERLINK(1)"
    rows = ROWS.assign(**{column: [[hostile]] * len(ROWS) if column == "flags" else hostile})
    with pytest.raises(DataError, match=f"column {column}: found .*HYPERLINK.*nothing was written"):
        export_forecasts(rows, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_currency_that_an_instrument_was_given_is_text_or_refused():
    odd = replace(normal_forecast("AAA"), instrument=replace(Instrument.from_symbol("AAA"), currency="=1+1"))
    with pytest.raises(DataError, match=r"column currency: found '=1\+1'"):
        csv_text(long_table(ledger_rows(odd)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_not_written(value):
    rows = ROWS.copy()
    rows.loc[2, "expected"] = value
    for table in (long_table, wide_table):
        with pytest.raises(DataError, match="breaks the schema"):
            csv_text(table(rows))


def test_a_table_without_a_schema_or_without_rows_is_not_written():
    with pytest.raises(UsageError, match="no schema"):
        csv_text(pd.DataFrame({"a": [1.0]}))
    with pytest.raises(DataError, match="at least one row"):
        csv_text(wide_table(ROWS).iloc[:0])


def test_an_export_writes_the_issue_replaces_the_latest_and_puts_the_schemas_beside(tmp_path):
    folder = tmp_path / "exports"
    older = ROWS.assign(origin=ROWS["origin"] - pd.Timedelta(days=3), model_id="m0")
    schemas = ["forecasts-long-1.schema.json", "forecasts-wide-1.schema.json"]
    names = [p.name for p in export_forecasts(older, folder)]
    assert {*schemas} <= {*names}
    written = export_forecasts(ROWS, folder)
    assert [p.name for p in written] == [f"{STEM}.csv", "latest.csv", f"{STEM}-wide.csv", "latest-wide.csv"]
    for suffix in ("", "-wide"):
        assert (folder / f"latest{suffix}.csv").read_bytes() == (folder / f"{STEM}{suffix}.csv").read_bytes()
    assert len(list(folder.iterdir())) == 8
    (folder / schemas[0]).write_text("{}")
    assert schemas[0] in [p.name for p in export_forecasts(ROWS, folder)]


def test_an_issue_of_the_past_leaves_the_latest_alone(tmp_path):
    export_forecasts(ROWS, tmp_path)
    latest = (tmp_path / "latest.csv").read_bytes()
    older = ROWS.assign(origin=ROWS["origin"] - pd.Timedelta(days=3))
    names = [p.name for p in export_forecasts(older, tmp_path, latest=False)]
    assert names == ["forecast-2018-12-28-m1.csv", "forecast-2018-12-28-m1-wide.csv"]
    assert (tmp_path / "latest.csv").read_bytes() == latest


def test_a_refused_wide_table_leaves_no_long_one_behind(tmp_path):
    with pytest.raises(DataError, match="forecasts-wide-1"):
        write_tables((long_table(ROWS), [tmp_path / "a.csv"]), (wide_table(ROWS).iloc[:0], [tmp_path / "b.csv"]))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        export_forecasts(ROWS, tmp_path / "file")


def issues(folder, *stems):
    for stem in stems:
        for suffix in ("", "-wide"):
            (folder / f"{stem}{suffix}.csv").write_text("x" * 50)


def test_the_newest_issues_are_kept_and_files_of_other_names_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "KEPT_ISSUES", 3)
    others = ["latest.csv", "forecast-2001-01-01-m1.csv.bak", "forecast-mine.csv", "prices-split.csv", "notes.txt"]
    for name in others:
        (tmp_path / name).write_text("")
    days = [f"forecast-2018-12-{day}-rnn-20181130-0a1b2c" for day in (24, 26, 27, 28)]
    issues(tmp_path, *days)
    export_forecasts(ROWS, tmp_path)
    kept = {p.name for p in tmp_path.glob("forecast-2018*")}
    assert kept == {f"{stem}{suffix}.csv" for stem in (STEM, *days[2:]) for suffix in ("", "-wide")}
    assert {*others} <= {p.name for p in tmp_path.iterdir()}


def test_the_files_of_issues_take_no_more_room_than_stated_but_the_last_one_written_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "KEPT_BYTES", 250)
    days = [f"forecast-2018-12-{day}-m1" for day in (24, 26, 27)]
    issues(tmp_path, *days)
    assert {re.sub("(-wide)?.csv", "", p.name) for p in drop_old_issues(tmp_path, days[0])} == {days[1]}
    monkeypatch.setattr(files, "KEPT_BYTES", 1)
    drop_old_issues(tmp_path, days[0])
    assert {p.name for p in tmp_path.iterdir()} == {f"{days[0]}.csv", f"{days[0]}-wide.csv"}
