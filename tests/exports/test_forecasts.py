import csv
import io
import math
import struct

import numpy as np
import pandas as pd
import pytest
from helpers import normal_forecast, utc
from hypothesis import given
from hypothesis import strategies as st

from forecasting.config import LEVELS
from forecasting.exports import LONG_COLUMNS, csv_text, export_forecasts, long_table, wide_table
from forecasting.ledger import Ledger


@pytest.fixture
def rows(tmp_path) -> pd.DataFrame:
    ledger = Ledger(tmp_path / "ledger")
    forecasts = [normal_forecast("AAA", horizon=2), normal_forecast("VOD.L", horizon=2, last_close=0.1 + 0.2)]
    ledger.issue(forecasts, "m1", utc("2019-01-02 08:30:15"), utc("2018-12-31 22:00"))
    return ledger.read()


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_long_export_has_a_row_per_forecast_target_and_output_type(rows):
    table = parsed(csv_text(long_table(rows)))
    assert list(table[0]) == LONG_COLUMNS
    assert len(table) == 4 * (2 * len(LEVELS) + 5)
    one = [r for r in table if r["symbol"] == "AAA" and r["horizon"] == "1"]
    found = {(r["target"], r["output_type"], r["output_type_id"]): float(r["value"]) for r in one}
    assert len(found) == len(one)
    issued = rows.iloc[0]
    for level, value in zip(LEVELS, issued["values"], strict=True):
        assert found["log_return", "quantile", str(level)] == value
        assert found["close", "quantile", str(level)] == 123.45 * np.exp(value)
    assert found["close", "median", ""] == found["close", "quantile", "0.5"]
    assert found["log_return", "median", ""] == 0.0
    assert found["close", "mean", ""] == issued["expected"]
    assert found["log_return", "pmf", "up"] == issued["prob_up"]
    assert found["log_return", "pmf", "up"] + found["log_return", "pmf", "down"] == 1.0


def test_dates_and_instants_are_iso_8601(rows):
    first = parsed(csv_text(long_table(rows)))[0]
    assert first["as_of"] == "2019-01-02T08:30:15Z"
    assert (first["origin"], first["target_session"]) == ("2018-12-31", "2019-01-02")
    assert (first["mode"], first["estimated"], first["currency"]) == ("live", "False", "USD")


def test_dates_beyond_the_published_holidays_are_marked_as_estimated(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.issue([normal_forecast("INFY.NS", "2026-12-30")], "m1", utc("2026-12-30 12:00"), utc("2026-12-30 12:00"))
    for table in (long_table, wide_table):
        marks = {r["target_session"]: r["estimated"] for r in parsed(csv_text(table(ledger.read())))}
        assert marks == {"2026-12-31": "False", "2027-01-01": "True", "2027-01-04": "True"}


def test_the_wide_export_has_a_row_per_symbol_and_target_session(rows):
    table = parsed(csv_text(wide_table(rows)))
    assert [(r["symbol"], r["target_session"]) for r in table] == [
        ("AAA", "2019-01-02"), ("AAA", "2019-01-03"), ("VOD.L", "2019-01-02"), ("VOD.L", "2019-01-03"),
    ]  # fmt: skip
    for row, (_, issued) in zip(table, rows.iterrows(), strict=True):
        assert float(row["last_close"]) == issued["last_close"]
        assert float(row["prob_up"]) == issued["prob_up"]
        prices = [float(row[f"q{level}"]) for level in LEVELS]
        assert prices == pytest.approx(issued["last_close"] * np.exp(issued["values"]), rel=1e-15)
        assert prices == sorted(prices)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_read_back_from_a_csv_exactly(numbers):
    back = [float(r["value"]) for r in parsed(csv_text(pd.DataFrame({"value": numbers})))]
    assert struct.pack(f"{len(back)}d", *back) == struct.pack(f"{len(numbers)}d", *numbers)


def test_an_export_writes_the_issue_and_replaces_the_latest(rows, tmp_path):
    folder = tmp_path / "exports"
    older = rows.assign(origin=rows["origin"] - pd.Timedelta(days=3), model_id="m0")
    export_forecasts(older, folder)
    written = export_forecasts(rows, folder)
    stem = "forecast-2018-12-31-m1"
    assert [p.name for p in written] == [f"{stem}.csv", "latest.csv", f"{stem}-wide.csv", "latest-wide.csv"]
    assert (folder / "latest.csv").read_bytes() == (folder / f"{stem}.csv").read_bytes()
    assert (folder / "latest-wide.csv").read_bytes() == (folder / f"{stem}-wide.csv").read_bytes()
    assert len(list(folder.iterdir())) == 6
    assert all(math.isfinite(float(r["value"])) for r in parsed(written[0].read_text()))
