import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from app_helpers import PENCE, fill
from app_helpers import normal_forecast as forecast_of_instrument
from helpers import events_of, normal_forecast, sessions_until, utc
from outlook_helpers import NEW_YEAR, asked, issue, tell

from forecasting import OUTLOOK_COLUMNS, Ledger, Workspace, load_report, read_outlooks
from forecasting.evening_report import EveningReport, save_report
from forecasting.outlooks import CURRENT, ENDED, FAILED, NO_FORECAST, NOT_TESTED, STALE, SUSPECT

LATER = utc("2019-01-04 23:00")
Z95 = 1.6448536269514722  # of the normal distribution, at 95%


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path)


def outlook(workspace, symbol="AAA", now=NEW_YEAR) -> pd.Series:
    return read_outlooks(workspace, now).loc[symbol]


def test_an_empty_workspace_has_no_outlook_but_all_columns(workspace):
    table = read_outlooks(workspace, NEW_YEAR)
    assert table.empty
    assert list(table) == OUTLOOK_COLUMNS
    assert table.index.name == "symbol"


def test_prices_forecast_and_volatility_are_those_computed_by_hand(workspace):
    tell(workspace, closes=[100.0, 101.0] * 200)  # daily log returns of log(1.01) and its negative, in turn
    issue(workspace, normal_forecast("AAA", horizon=20, sigma=0.02, last_close=101.0))
    row = outlook(workspace)
    assert row["closes"] == [100.0, 101.0] * 30
    assert (row["last_close"], row["currency"], row["last_session"]) == (101.0, "USD", pd.Timestamp("2018-12-31"))
    assert row["change"] == pytest.approx(0.01)
    for ahead, day in ((1, "2019-01-02"), (5, "2019-01-08"), (20, "2019-01-30")):
        reach = Z95 * 0.02 * np.sqrt(ahead)
        expected = [ahead, pd.Timestamp(day), *101 * np.exp([-reach, 0, reach]), 0.5]
        assert row[[f"{n}_{ahead}" for n in ("ahead", "target", "lower", "median", "upper", "prob_up")]].tolist() == [
            *expected[:2], *(pytest.approx(x) for x in expected[2:])
        ]  # fmt: skip
    assert row["expected_volatility"] == pytest.approx(0.02 * np.sqrt(252))
    # the mean of 252 returns in turn is zero, so the variance is their square times 252 / 251
    assert row["past_volatility"] == pytest.approx(np.log(1.01) * np.sqrt(252 / 251) * np.sqrt(252))
    assert row["volatility_ratio"] == pytest.approx(0.02 / np.log(1.01) / np.sqrt(252 / 251))
    assert (row["origin"], row["as_of"]) == (pd.Timestamp("2018-12-31"), NEW_YEAR)
    assert (row["model_id"], row["mode"], row["flags"]) == ("m1", "live", ())
    assert (row["state"], row["cause"]) == (CURRENT, "")


def test_a_volatility_of_the_past_year_takes_half_a_year(workspace):
    tell(workspace, "AAA", [100.0, 101.0] * 63)
    tell(workspace, "BBB", [100.0, 101.0] * 63 + [100.0])
    past = read_outlooks(workspace, NEW_YEAR)["past_volatility"]
    assert np.isnan(past["AAA"])
    assert past["BBB"] == pytest.approx(np.log(1.01) * np.sqrt(126 / 125) * np.sqrt(252))


def test_a_return_across_a_missing_session_is_none(workspace):
    days = sessions_until("2018-12-31", 3)[[0, 2]]
    tell(workspace, closes=[100.0, 150.0], days=days)
    row = outlook(workspace)
    assert np.isnan(row["change"])
    assert row["closes"] == [100.0, 150.0]


def test_exchanges_with_other_holidays_do_not_disturb_each_other(workspace):
    tell(workspace, "AAA", [100.0, 101.0])
    london = pd.DatetimeIndex(["2018-12-27", "2018-12-28", "2018-12-31"])
    tell(workspace, "VOD.L", [10.0, 20.0, 30.0], days=london, currency="GBp")
    table = read_outlooks(workspace, NEW_YEAR)
    assert table["change"].to_dict() == {"AAA": pytest.approx(0.01), "VOD.L": pytest.approx(0.5)}
    assert table["currency"].to_dict() == {"AAA": "USD", "VOD.L": "GBp"}


def test_what_is_no_longer_traded_keeps_its_last_closes(workspace):
    tell(workspace, "OLD", [1.0, 2.0], days=sessions_until("2010-12-31", 2))
    tell(workspace, "AAA")
    row = outlook(workspace, "OLD")
    assert (row["closes"], row["last_session"]) == ([1.0, 2.0], pd.Timestamp("2010-12-31"))
    assert row["state"] == STALE


def test_a_short_forecast_stands_in_with_its_last_session(workspace):
    tell(workspace)
    issue(workspace, normal_forecast("AAA", horizon=3, sigma=0.02, last_close=101.0))
    row = outlook(workspace)
    assert (row["ahead_1"], row["ahead_5"], row["ahead_20"]) == (1, 3, 3)
    assert row["upper_20"] == pytest.approx(101 * np.exp(Z95 * 0.02 * np.sqrt(3)))
    assert row["expected_volatility"] == pytest.approx(0.02 * np.sqrt(252))


def test_levels_without_the_range_leave_it_empty(workspace):
    tell(workspace)
    issue(workspace, normal_forecast("AAA", levels=(0.1, 0.5, 0.9)))
    row = outlook(workspace)
    assert row[["lower_1", "median_1", "upper_1", "expected_volatility"]].isna().all()
    assert row["prob_up_1"] == 0.5


def test_the_newest_forecast_counts(workspace):
    tell(workspace)
    issue(workspace, normal_forecast("AAA", "2018-12-28", last_close=100.0), now=utc("2018-12-28 23:00"))
    issue(workspace, normal_forecast("AAA", last_close=101.0), model_id="m2")
    row = outlook(workspace)
    assert (row["model_id"], row["median_1"]) == ("m2", pytest.approx(101.0))


def test_a_split_told_after_the_issue_divides_the_forecast_as_it_does_the_closes(workspace):
    tell(workspace, closes=[100.0, 101.0], events=events_of("AAA", ("2018-12-31", "split", 2.0)))
    issue(workspace, normal_forecast("AAA", last_close=101.0))
    tell(workspace, closes=[26.0], days=["2019-01-02"], at=LATER, events=events_of("AAA", ("2019-01-02", "split", 4.0)))
    row = outlook(workspace)
    assert row["closes"] == [12.5, 25.25, 26.0]
    assert row["median_1"] == pytest.approx(25.25)


def test_flags_and_modes_are_gathered_over_the_sessions_ahead(workspace):
    tell(workspace)
    widening = np.array([0.0, 0.2, 0.2])
    later = utc("2019-01-02 18:00")  # the next session is open, the one after it is not
    issue(workspace, replace(normal_forecast("AAA"), report_widening=widening), now=later, flags={"AAA": ["old_model"]})
    row = outlook(workspace)
    assert row["flags"] == ("old_model", "report_likely")
    assert row["mode"] == "partly live"


def test_prices_without_a_forecast_and_a_symbol_asked_for_in_vain_have_a_row(workspace):
    tell(workspace)
    asked(workspace, "NOPE", "unknown_symbol", "no such symbol")
    asked(workspace, "My File 1", "bad_file", "not a symbol")
    table = read_outlooks(workspace, NEW_YEAR)
    assert table["state"].to_dict() == {"AAA": NO_FORECAST, "NOPE": FAILED}
    assert table["cause"].to_dict() == {
        "AAA": "no forecast was issued",
        "NOPE": "not fetched, 2019-01-01 12:00 UTC: no such symbol; no prices are stored",
    }
    assert table["last_close"].isna().to_dict() == {"AAA": False, "NOPE": True}


def test_a_forecast_whose_prices_are_gone_still_has_a_row(workspace):
    issue(workspace, normal_forecast("AAA", last_close=101.0))
    row = outlook(workspace)
    assert (row["median_1"], row["currency"]) == (pytest.approx(101.0), "USD")
    assert row["closes"] is None or np.all(pd.isna(row["closes"]))


def test_old_prices_and_a_forecast_older_than_its_prices_are_stale_with_the_cause(workspace):
    tell(workspace)
    issue(workspace, normal_forecast("AAA", "2018-12-28"), now=utc("2018-12-28 23:00"))
    row = outlook(workspace, now=LATER)
    assert row["state"] == STALE
    assert row["cause"] == (
        "AAA was last seen on 2018-12-31, 2019-01-04 is complete; its forecast is from 2018-12-28, its prices run to "
        "2018-12-31"
    )


def test_an_embedded_history_is_never_stale_nor_current(workspace):
    tell(workspace, source="synthetic")
    issue(workspace, normal_forecast("AAA", source="synthetic"))
    row = outlook(workspace, now=LATER)
    assert (row["state"], row["cause"]) == (ENDED, "")


def test_what_an_evening_left_out_failed_until_a_later_fetch_brings_it(workspace):
    tell(workspace)
    issue(workspace, normal_forecast("AAA"))
    asked(workspace, "AAA", "ok")
    ended = utc("2019-01-01 12:30")
    evening = EveningReport("u", NEW_YEAR, ended, "partly", failures={"AAA": "AAA has 2 bars, a forecast needs 9"})
    save_report(workspace, evening)
    row = outlook(workspace)
    assert row["state"] == FAILED
    assert row["cause"] == "left out, 2019-01-01 12:30 UTC: AAA has 2 bars, a forecast needs 9"
    asked(workspace, "AAA", "ok", at=utc("2019-01-01 13:00"))
    assert outlook(workspace)["state"] == CURRENT


def test_a_damaged_report_of_the_evening_is_passed_over(workspace):
    tell(workspace)
    workspace.reports.mkdir()
    (workspace.reports / "last-run.json").write_text("{")
    assert outlook(workspace)["state"] == NO_FORECAST


def test_prices_stored_adjusted_for_dividends_are_not_shown_as_anything_else(workspace):
    tell(workspace, price_basis="total")
    row = outlook(workspace)
    assert np.isnan(row["last_close"])
    assert row["currency"] == "USD"


def report_of(workspace):
    return load_report(next(workspace.backtests.iterdir()))


@pytest.fixture(scope="module")
def tested(tmp_path_factory) -> Workspace:
    return fill(tmp_path_factory.mktemp("tested"))


def test_the_verdict_is_that_of_the_symbols_own_backtest(tested):
    table, report = read_outlooks(tested, NEW_YEAR), report_of(tested)
    assert table.loc["SYN1", "verdict"] == report.verdicts("SYN1")[0].word
    assert table.loc["SYN1", "verdict_cause"] == report.summary_of("SYN1")
    assert table.loc["VOD.L", "verdict"] == NOT_TESTED
    assert "next: tickercast backtest" in table.loc["VOD.L", "verdict_cause"]


def test_a_symbol_outside_the_backtest_gets_the_pooled_verdict(tested, tmp_path):
    workspace = Workspace(shutil.copytree(tested.root, tmp_path / "copy"))
    pooled = Ledger(workspace.ledger).latest(["SYN1"])["model_id"].iloc[0]
    issue(workspace, forecast_of_instrument(PENCE, pd.Timestamp("2018-12-31"), 100.0), model_id=pooled, now=LATER)
    row, report = outlook(workspace, "VOD.L"), report_of(workspace)
    assert row["verdict"] == report.verdicts()[0].word
    assert row["verdict_cause"] == f"{report.summary_of('VOD.L')} {report.summary()}"


def test_a_suspected_leak_and_a_damaged_model_are_no_verdict(tested, tmp_path):
    workspace = Workspace(shutil.copytree(tested.root, tmp_path / "copy"))
    manifest = next(workspace.backtests.glob("*/backtest.json"))
    manifest.write_text(manifest.read_text().replace('"suspected_leak": false', '"suspected_leak": true'))
    row = outlook(workspace, "SYN1")
    assert row["verdict"] == SUSPECT
    (workspace.models / row["model_id"] / "bundle.json").write_text("{")
    assert outlook(workspace, "SYN1")["verdict"] == NOT_TESTED
