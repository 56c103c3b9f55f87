from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import normal_forecast, utc

from forecasting.errors import DataError, UsageError
from forecasting.ledger_rows import forecast_of, make_rows

BEFORE_OPEN = utc("2019-01-02 14:29:59")  # New York opens at 14:30 UTC
KNOWN = utc("2018-12-31 22:00")
SECOND = pd.Timedelta(seconds=1)


def modes(forecast, now, **how) -> list[str]:
    return [row["mode"] for row in make_rows(forecast, None, "m1", now, KNOWN, **how)]


def test_a_row_is_live_until_its_own_target_session_opens():
    forecast = normal_forecast()
    assert modes(forecast, BEFORE_OPEN) == ["live", "live", "live"]
    assert modes(forecast, BEFORE_OPEN + SECOND) == ["replay", "live", "live"]
    assert modes(forecast, utc("2019-01-03 14:30")) == ["replay", "replay", "live"]
    assert {r["as_of"] for r in make_rows(forecast, None, "m1", BEFORE_OPEN, KNOWN)} == {BEFORE_OPEN}


@pytest.mark.parametrize(
    ("symbol", "origin", "closed"),
    [
        ("BTC-USD", "2024-03-09", "2024-03-10 00:00"),  # a Saturday
        ("EURUSD=X", "2024-03-07", "2024-03-08 00:00"),
        ("EURUSD=X", "2024-03-08", "2024-03-09 00:00"),  # a Friday: no session opens before Monday
        ("ES=F", "2024-03-07", "2024-03-07 23:00"),
    ],
)
def test_where_the_market_hardly_closes_all_rows_are_live_for_six_hours_after_the_origins_close(symbol, origin, closed):
    forecast = normal_forecast(symbol, origin)
    assert modes(forecast, utc(closed) + pd.Timedelta(hours=6)) == ["live", "live", "live"]
    assert modes(forecast, utc(closed) + pd.Timedelta(hours=6) + SECOND) == ["replay", "replay", "replay"]


def test_a_session_after_the_published_holidays_opens_at_midnight_at_the_latest():
    forecast = normal_forecast("INFY.NS", "2026-12-31", horizon=1)
    assert forecast.estimated.tolist() == [True]
    assert modes(forecast, utc("2026-12-31 23:59:59")) == ["live"]
    assert modes(forecast, utc("2027-01-01 00:00")) == ["replay"]


@pytest.mark.parametrize("source", ["sample", "synthetic"])
def test_an_embedded_source_is_always_replay_as_of_the_origins_close(source):
    forecast = normal_forecast("^GSPC", origin="2018-12-24", source=source)
    rows = make_rows(forecast, None, "m1", utc("2018-12-24 20:00"), KNOWN)
    assert {row["mode"] for row in rows} == {"replay"}
    assert {row["as_of"] for row in rows} == {utc("2018-12-24 18:00")}  # the early close of Christmas Eve


def test_what_is_computed_as_of_a_past_session_is_replay_whatever_the_clock_says():
    forecast = normal_forecast(origin="2018-12-24")
    rows = make_rows(forecast, None, "m1", utc("2018-12-24 20:00"), KNOWN, as_replay=True)
    assert {row["mode"] for row in rows} == {"replay"}
    assert {row["as_of"] for row in rows} == {utc("2018-12-24 18:00")}
    assert modes(forecast, utc("2018-12-24 20:00")) == ["live", "live", "live"]


def test_a_row_carries_its_flags_and_by_how_much_a_report_widens_it():
    forecast = replace(normal_forecast(), report_widening=np.array([0.0, 0.25, -0.01]), has_market=False)
    rows = make_rows(forecast, None, "m1", BEFORE_OPEN, KNOWN, ["stale", "no_market"])
    assert [row["flags"] for row in rows] == [
        ["no_market", "stale"], ["no_market", "report_likely", "stale"], ["no_market", "stale"],
    ]  # fmt: skip
    assert [row["report_widening"] for row in rows] == [0.0, 0.25, -0.01]
    assert [row["report_widening"] for row in make_rows(normal_forecast(), None, "m1", KNOWN, KNOWN)] == [None] * 3
    back = forecast_of(pd.DataFrame(rows), forecast.instrument)
    assert back.flags() == forecast.flags()
    with pytest.raises(UsageError, match="flags good of AAA: flags are no_market, old_model, report_likely, stale"):
        make_rows(forecast, None, "m1", KNOWN, KNOWN, ["good", "stale"])


def test_a_row_carries_the_random_walk_as_far_as_there_is_one():
    values = normal_forecast(sigma=0.02).values.copy()
    values[2, 0] = np.nan
    walk = replace(normal_forecast(), values=values)
    rows = make_rows(normal_forecast(), walk, "m1", BEFORE_OPEN, KNOWN)
    assert [row["random_walk"] for row in rows] == [values[0].tolist(), values[1].tolist(), None]
    assert [row["random_walk"] for row in make_rows(normal_forecast(), None, "m1", KNOWN, KNOWN)] == [None] * 3


@pytest.mark.parametrize(
    "other", [normal_forecast("BBB"), normal_forecast(origin="2018-12-28"), normal_forecast(horizon=2)]
)
def test_a_random_walk_of_something_else_is_refused(other):
    with pytest.raises(DataError, match="the forecast and the random walk of AAA differ in what they are of"):
        make_rows(normal_forecast(), other, "m1", BEFORE_OPEN, KNOWN)


@pytest.mark.parametrize("broken", [{"last_close": float("nan")}, {"values": np.full((3, 11), np.inf)}])
def test_what_is_not_finite_is_not_issued(broken):
    with pytest.raises(DataError, match="AAA has a forecast that is not finite: it is not issued"):
        make_rows(replace(normal_forecast(), **broken), None, "m1", BEFORE_OPEN, KNOWN)
