"""Issued forecasts as they are shown: earlier ones at today's share count, and how old they are."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from app_helpers import normal_forecast
from helpers import events_of, flat_bars, no_quarantine, utc

from forecasting.instruments import Instrument
from forecasting.issued import range_table, read_earlier, read_issued
from forecasting.ledger import Ledger
from forecasting.sessions import calendar_sessions, session_close
from forecasting.store import PriceStore
from forecasting.workspace import Workspace

ACME = Instrument("ACME", "yahoo", "XNYS")
DAYS = calendar_sessions("XNYS")
DAYS = DAYS[(DAYS >= "2018-10-01") & (DAYS <= "2018-12-31")]


def add(workspace, days, closes, known_at, splits=()):
    events = events_of("ACME", *((str(pd.Timestamp(day).date()), "split", ratio) for day, ratio in splits))
    PriceStore(workspace.prices).append([ACME], flat_bars("ACME", days, closes), events, no_quarantine(), known_at)


def issue(workspace, origin, last_close, model="m1", at=None):
    at = at or session_close("XNYS", pd.Timestamp(origin)) + pd.Timedelta(hours=1)
    Ledger(workspace.ledger).issue([normal_forecast(ACME, pd.Timestamp(origin), last_close)], model, at, at)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """ACME at 100 through 2018, forecast on each of its last 30 sessions; tests only read it."""
    workspace = Workspace(tmp_path_factory.mktemp("issued"))
    add(workspace, DAYS, [100.0] * len(DAYS), utc("2018-10-01"))
    for day in DAYS[-30:]:
        issue(workspace, day, 100.0)
    return workspace


@pytest.fixture
def daily(once, tmp_path):
    """A copy of it that a test may change."""
    return Workspace(shutil.copytree(once.root, tmp_path / "copy"))


def test_earlier_forecasts_are_a_week_apart_and_the_oldest_comes_first(once):
    issued = read_issued(once, "ACME")
    found = read_earlier(once, issued, 3)
    assert [one.origin for one in found] == list(DAYS[[-16, -11, -6]])
    assert [one.origin for one in read_earlier(once, issued, 3, apart=1)] == list(DAYS[-4:-1])
    assert len(read_earlier(once, issued, 50)) == 5
    assert read_earlier(once, issued, 0) == []


def test_of_a_session_that_was_forecast_twice_the_last_issue_counts(daily):
    issue(daily, DAYS[-6], 101.0, model="m2", at=utc("2018-12-21 23:00"))
    (one,) = read_earlier(daily, read_issued(daily, "ACME"), 1)
    assert (one.last_close, one.horizon) == (101.0, 20)


def test_earlier_prices_are_divided_by_the_splits_told_since_and_by_nothing_else(daily):
    before = read_earlier(daily, read_issued(daily, "ACME"), 1)[0]
    ex = "2019-01-02"
    # four shares for one; and what the source told of the past before is corrected
    add(daily, DAYS[-6:], [90.0] * 6, utc("2019-01-02 22:00"))
    add(daily, pd.DatetimeIndex([ex]), [25.0], utc("2019-01-02 22:30"), splits=[(ex, 4.0)])
    issue(daily, ex, 25.0, at=utc("2019-01-02 23:00"))
    issued = read_issued(daily, "ACME")
    assert issued.series.bars["close"].iloc[-2] == 22.5
    earlier = read_earlier(daily, issued, 10, apart=1)
    assert {one.last_close for one in earlier} == {25.0}  # of the close that was known then
    same = next(one for one in earlier if one.origin == before.origin)
    np.testing.assert_allclose(same.prices(), before.prices() / 4, rtol=1e-12)


def test_a_forecast_issued_when_a_split_was_known_already_is_not_divided_again(daily):
    add(daily, DAYS[-3:-2], [25.0], utc("2018-12-28"), splits=[(DAYS[-3], 4.0)])
    issue(daily, DAYS[-9], 25.0, model="replayed", at=utc("2018-12-30"))  # of a session before the split
    issue(daily, DAYS[-1], 25.0, model="m2", at=utc("2019-01-01"))
    earlier = read_earlier(daily, read_issued(daily, "ACME"), 20, apart=1)
    closes = {one.origin: one.last_close for one in earlier}
    assert (closes[DAYS[-9]], closes[DAYS[-10]]) == (25.0, 25.0)


@pytest.mark.parametrize(
    ("now", "behind"),
    [("2018-12-31 23:00", 0), ("2019-01-02 20:00", 0), ("2019-01-02 22:00", 1), ("2019-01-07 22:00", 4)],
)
def test_a_forecast_ages_by_the_sessions_that_are_complete(once, now, behind):
    issued = read_issued(once, "ACME")
    assert issued.sessions_behind(utc(now)) == behind
    assert issued.sessions_behind(utc("2018-01-01")) == 0


def test_what_was_issued_before_its_sessions_opened_is_no_replay(once):
    issued = read_issued(once, "ACME")
    assert not issued.is_replay
    assert replace(issued, rows=issued.rows.assign(mode="replay")).is_replay


def test_a_table_for_reading_has_the_ranges_that_the_levels_hold_as_text(once):
    forecast = read_issued(once, "ACME").forecast
    table = range_table(forecast)
    assert list(table) == [
        "target_session", "horizon", "estimated", "prob_up", "median", "range_50", "range_80", "range_90", "range_95",
    ]  # fmt: skip
    assert table["horizon"].tolist() == list(range(1, 21))
    lower, upper = forecast.interval(0.95).iloc[-1]
    assert table["range_95"].iloc[-1] == f"{lower:.2f} – {upper:.2f}"  # noqa: RUF001
    kept = [3, 5, 7]
    narrow = replace(forecast, levels=tuple(forecast.levels[i] for i in kept), values=forecast.values[:, kept])
    assert list(range_table(narrow))[-1] == "range_80"
