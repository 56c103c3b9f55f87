import numpy as np
import pandas as pd
import pytest
from helpers import utc
from hypothesis import given
from hypothesis import strategies as st

from forecasting.errors import DataError
from forecasting.sessions import (
    are_sessions,
    calendar_of,
    calendar_sessions,
    is_session,
    last_complete_session,
    session_close,
    session_numbers,
    session_open,
    target_session,
    target_sessions,
)

DAYS = st.dates(pd.Timestamp("1985-01-01").date(), pd.Timestamp("2040-12-31").date()).map(
    lambda d: pd.Timestamp(d).as_unit("us")
)


def iso(days):
    return [day.date().isoformat() for day in days]


@pytest.mark.parametrize(
    ("symbol", "calendar"),
    [
        ("AAPL", "XNYS"), ("BRK-B", "XNYS"), ("^FCHI", "XPAR"), ("^GSPC", "XNYS"), ("^IXIC", "XNYS"),
        ("^FTSE", "XLON"), ("^N225", "XTKS"), ("VOD.L", "XLON"), ("7203.T", "XTKS"), ("SAP.DE", "XETR"),
        ("SHOP.TO", "XTSE"), ("PETR4.SA", "BVMF"), ("BTC-USD", "24/7"), ("ETH-BTC", "24/7"),
        ("EURUSD=X", "24/5"), ("CL=F", "CMES"),
    ],
)  # fmt: skip
def test_a_symbols_suffix_names_its_calendar(symbol, calendar):
    assert calendar_of(symbol) == calendar


def test_new_york_targets_skip_new_year_weekends_and_martin_luther_king_day():
    days, estimated = target_sessions("XNYS", pd.Timestamp("2018-12-31"), 15)
    assert iso(days) == [
        "2019-01-02", "2019-01-03", "2019-01-04", "2019-01-07", "2019-01-08", "2019-01-09", "2019-01-10",
        "2019-01-11", "2019-01-14", "2019-01-15", "2019-01-16", "2019-01-17", "2019-01-18", "2019-01-22", "2019-01-23",
    ]  # fmt: skip
    assert not estimated.any()
    assert not is_session("XNYS", pd.Timestamp("2019-01-21"))
    assert target_session("XNYS", pd.Timestamp("2018-12-31"), 14) == pd.Timestamp("2019-01-22")


def test_targets_of_an_origin_that_is_no_session_are_strictly_after_it():
    assert iso(target_sessions("XNYS", pd.Timestamp("2018-12-22"), 2)[0]) == ["2018-12-24", "2018-12-26"]


def test_exchanges_keep_their_own_holidays():
    # Boxing Day in London, not in New York; a coin trades on Christmas and at weekends
    assert [is_session(c, pd.Timestamp("2018-12-26")) for c in ("XLON", "XNYS")] == [False, True]
    assert iso(target_sessions("24/7", pd.Timestamp("2018-12-24"), 5)[0])[-1] == "2018-12-29"


def test_christmas_eve_2018_closed_early_in_new_york():
    eve = pd.Timestamp("2018-12-24")
    assert session_open("XNYS", eve) == utc("2018-12-24 14:30")
    assert session_close("XNYS", eve) == utc("2018-12-24 18:00")
    assert session_close("XNYS", pd.Timestamp("2018-12-21")) == utc("2018-12-21 21:00")


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2018-12-24 18:59:59", "2018-12-21"),
        ("2018-12-24 19:00:00", "2018-12-24"),
        ("2018-12-26 21:59:59", "2018-12-24"),
        ("2018-12-26 22:00:00", "2018-12-26"),
        ("2018-12-30 12:00:00", "2018-12-28"),
        ("2019-07-05 20:59:59", "2019-07-03"),  # daylight saving: the close is at 20:00 UTC
        ("2019-07-05 21:00:00", "2019-07-05"),
    ],
)
def test_a_session_is_complete_sixty_minutes_after_its_close(now, last):
    assert last_complete_session("XNYS", utc(now)) == pd.Timestamp(last)


def test_weekdays_stand_in_and_are_flagged_where_no_holidays_are_published():
    days, estimated = target_sessions("XNYS", pd.Timestamp("2035-12-28"), 4)
    assert iso(days) == ["2035-12-31", "2036-01-01", "2036-01-02", "2036-01-03"]
    assert estimated.tolist() == [False, True, True, True]
    coin, flagged = target_sessions("24/7", pd.Timestamp("2036-01-04"), 2)
    assert iso(coin) == ["2036-01-05", "2036-01-06"]
    assert flagged.all()


def test_the_last_complete_session_moves_on_where_no_holidays_are_published():
    end = calendar_sessions("XBOM")[-1]  # its published range ends a few months ahead
    later = (end + pd.offsets.BDay(3)).as_unit("us")
    now = session_close("XBOM", later) + pd.Timedelta(minutes=60)
    assert last_complete_session("XBOM", now) == later
    assert last_complete_session("XBOM", now - pd.Timedelta(seconds=1)) == later - pd.offsets.BDay(1)
    assert last_complete_session("XBOM", session_close("XBOM", end) + pd.Timedelta(minutes=60)) == end


def test_outside_the_recorded_range_weekdays_count_as_sessions():
    days = pd.DatetimeIndex(["1989-12-29", "1989-12-30", "2036-01-01", "2036-01-05"])
    assert are_sessions("XNYS", days).tolist() == [True, False, True, False]
    assert are_sessions("24/7", days).all()


@given(st.sampled_from(["XNYS", "XLON", "XBOM", "24/7"]), DAYS, st.integers(1, 60))
def test_targets_are_the_next_sessions_and_numbers_count_them(calendar, day, horizon):
    origin = target_sessions(calendar, day, 1)[0][0]  # a session
    days, _ = target_sessions(calendar, origin, horizon)
    assert len(days) == horizon
    assert days.is_monotonic_increasing
    assert days[0] > origin
    assert are_sessions(calendar, days).all()
    between = pd.date_range(origin + pd.Timedelta(days=1), days[-1])
    assert are_sessions(calendar, between).sum() == horizon
    numbers = session_numbers(calendar, days.insert(0, origin))
    assert np.array_equal(np.diff(numbers), np.ones(horizon))


@given(st.sampled_from(["XNYS", "XBOM", "24/7"]), DAYS, st.integers(0, 24 * 60 - 1))
def test_the_last_complete_session_is_complete_and_the_next_one_is_not(calendar, day, minute):
    recorded = calendar_sessions(calendar)
    day = max(day, recorded[5])
    now = day.tz_localize("UTC") + pd.Timedelta(minutes=minute)
    hour = pd.Timedelta(minutes=60)
    last = last_complete_session(calendar, now)
    assert session_close(calendar, last) + hour <= now
    assert session_close(calendar, target_session(calendar, last, 1)) + hour > now


@pytest.mark.parametrize("symbol", ["BRK.B", "^XYZ", "SAP.SG"])
def test_an_unknown_exchange_is_refused_instead_of_guessed(symbol):
    with pytest.raises(DataError, match="no exchange calendar is known for .*not guessed; next:"):
        calendar_of(symbol)
