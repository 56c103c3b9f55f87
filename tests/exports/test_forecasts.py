from dataclasses import replace

import numpy as np
import pytest
from export_helpers import cells, ledger_rows
from helpers import normal_forecast, utc

from forecasting.config import LEVELS
from forecasting.errors import DataError
from forecasting.exports.files import csv_text
from forecasting.exports.forecasts import LONG_COLUMNS, long_table, wide_table
from forecasting.ledger import Ledger


@pytest.fixture
def rows():
    other = replace(normal_forecast("VOD.L", horizon=2, last_close=0.1 + 0.2), has_market=False)
    return ledger_rows(normal_forecast("AAA", horizon=2), replace(other, report_widening=np.array([0.02, 0.25])))


def test_the_long_export_has_a_row_per_forecast_target_and_output_type(rows):
    table = cells(csv_text(long_table(rows)))
    assert list(table[0]) == LONG_COLUMNS
    assert len(table) == 4 * (2 * len(LEVELS) + 5)
    for issued in rows.to_dict("records"):
        one = [r for r in table if (r["symbol"], r["horizon"]) == (issued["symbol"], str(issued["horizon"]))]
        found = {(r["target"], r["output_type"], r["output_type_id"]): float(r["value"]) for r in one}
        assert len(found) == len(one) == 2 * len(LEVELS) + 5
        for level, value in zip(LEVELS, issued["values"], strict=True):
            assert found["log_return", "quantile", str(level)] == value
            assert found["close", "quantile", str(level)] == pytest.approx(
                issued["last_close"] * np.exp(value), rel=1e-15
            )
        assert found["close", "median", ""] == found["close", "quantile", "0.5"]
        assert found["log_return", "median", ""] == 0.0
        assert found["close", "mean", ""] == issued["expected"]
        assert found["log_return", "pmf", "up"] == issued["prob_up"]
        assert found["log_return", "pmf", "up"] + found["log_return", "pmf", "down"] == 1.0


def test_the_wide_export_has_a_row_per_symbol_and_target_session(rows):
    table = cells(csv_text(wide_table(rows)))
    assert [(r["symbol"], r["target_session"]) for r in table] == [
        ("AAA", "2019-01-02"), ("AAA", "2019-01-03"), ("VOD.L", "2019-01-02"), ("VOD.L", "2019-01-03"),
    ]  # fmt: skip
    for row, (_, issued) in zip(table, rows.iterrows(), strict=True):
        assert float(row["last_close"]) == issued["last_close"]
        assert float(row["prob_up"]) == issued["prob_up"]
        assert float(row["expected"]) == issued["expected"]
        prices = [float(row[f"q{level}"]) for level in LEVELS]
        assert prices == pytest.approx(issued["last_close"] * np.exp(issued["values"]), rel=1e-15)
        assert prices == sorted(prices)


def test_both_say_what_a_forecast_says_of_itself(rows):
    wide = cells(csv_text(wide_table(rows)))
    assert [row["flags"] for row in wide] == ["", "", "no_market", "report_likely no_market"]
    assert [row["report_widening"] for row in wide] == ["", "", "0.02", "0.25"]
    long = cells(csv_text(long_table(rows)))
    assert {(r["symbol"], r["horizon"], r["flags"]) for r in long} == {
        ("AAA", "1", ""), ("AAA", "2", ""), ("VOD.L", "1", "no_market"), ("VOD.L", "2", "report_likely no_market"),
    }  # fmt: skip


def test_rows_from_before_there_were_flags_have_none(rows):
    wide = wide_table(rows.drop(columns=["flags", "report_widening"]))
    assert set(wide["flags"]) == {""}
    assert wide["report_widening"].isna().all()
    assert set(long_table(rows.assign(flags=None))["flags"]) == {""}


def test_dates_beyond_the_published_holidays_are_marked_as_estimated(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.issue([normal_forecast("INFY.NS", "2026-12-30")], "m1", utc("2026-12-30 12:00"), utc("2026-12-30 12:00"))
    for table in (long_table, wide_table):
        marks = {r["target_session"]: r["estimated"] for r in cells(csv_text(table(ledger.read())))}
        assert marks == {"2026-12-31": "False", "2027-01-01": "True", "2027-01-04": "True"}


@pytest.mark.parametrize("table", [long_table, wide_table])
def test_one_export_has_one_set_of_levels_with_the_median_among_them(table):
    other = normal_forecast("BBB", levels=(0.1, 0.5, 0.9))
    with pytest.raises(DataError, match="6 ledger rows on 2 sets of quantile levels: an export has one"):
        table(ledger_rows(normal_forecast("AAA"), other))
    with pytest.raises(DataError, match=r"quantile levels 0.1, 0.9: an export has a median"):
        table(ledger_rows(normal_forecast("AAA", levels=(0.1, 0.9))))
