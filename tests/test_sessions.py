from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from helpers import utc
from hypothesis import given
from hypothesis import strategies as st

from forecasting.errors import DataError
from forecasting.sessions import (
    _INDICES,
    _SUFFIXES,
    SETTLING,
    _record,
    are_sessions,
    calendar_of,
    calendar_sessions,
    is_session,
    last_complete_session,
    session_close,
    session_closes,
    session_numbers,
    session_open,
    target_session,
    target_sessions,
)

DAYS = st.dates(pd.Timestamp("1985-01-01").date(), pd.Timestamp("2040-12-31").date()).map(
    lambda d: pd.Timestamp(d).as_unit("us")
)


# exchange_calendars 4.13 under pandas 3.1, in building XHKG

UNBUILT = {"XTAE", "ASEX"}  # by exchange_calendars 4.13
CALENDARS = sorted({*_INDICES.values(), *_SUFFIXES.values(), "XNYS", "24/5", "24/7", "CMES"} - UNBUILT)


def iso(days):
    return [day.date().isoformat() for day in days]


def telling_sessions(calendar):
    """Return the recorded sessions of five years that closed early or when clocks changed, and some of each year."""
    recorded = calendar_sessions(calendar)
    chosen = recorded[(recorded >= "2021-02-01") & (recorded <= "2025-12-31")]
    closes = pd.Series(session_closes(calendar, chosen), index=chosen)
    clock = closes - chosen.tz_localize("UTC")
    odd = (clock != clock.shift()) | (clock != clock.shift(-1))
    return chosen[odd | (np.arange(len(chosen)) % 50 == 0)], closes


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


@given(
    st.sampled_from(["XNYS", "XNZE", "XBOM", "XSAU", "CMES", "24/5", "24/7"]),
    st.sets(
        DAYS.flatmap(lambda day: st.integers(0, 24 * 60 - 1).map(lambda m: day + pd.Timedelta(minutes=m))), min_size=2
    ),
)
def test_the_last_complete_session_is_complete_the_next_one_is_not_and_it_never_moves_back(calendar, moments):
    moments = sorted(now.tz_localize("UTC") for now in moments)
    last = [last_complete_session(calendar, now) for now in moments]
    assert last == sorted(last)
    for now, day in zip(moments, last, strict=True):
        assert is_session(calendar, day)
        assert session_close(calendar, day) + SETTLING <= now
        assert session_close(calendar, target_session(calendar, day, 1)) + SETTLING > now


@pytest.mark.parametrize("calendar", CALENDARS)
def test_on_no_exchange_is_a_session_complete_before_sixty_minutes_after_its_own_close(calendar):
    days, closes = telling_sessions(calendar)
    assert len(days) > 20
    assert (closes.diff().dropna() > pd.Timedelta(0)).all()
    for day in days:
        assert session_close(calendar, day) == closes[day]
        complete = closes[day] + pd.Timedelta(minutes=60)
        assert last_complete_session(calendar, complete) == day
        assert last_complete_session(calendar, complete - pd.Timedelta(seconds=1)) < day
        assert session_open(calendar, day) < closes[day]


@pytest.mark.parametrize("calendar", CALENDARS)
def test_at_both_ends_of_its_record_a_calendar_goes_over_to_weekdays_without_a_gap(calendar):
    recorded = calendar_sessions(calendar)
    first, last = _record(calendar)
    hour = pd.Timedelta(minutes=60)
    for end in (recorded[0], recorded[-1]):
        origin = end - pd.Timedelta(days=21)
        days, estimated = target_sessions(calendar, origin, 30)
        assert days[0] > origin
        assert days.is_monotonic_increasing
        assert days.is_unique
        assert end in days
        assert estimated.tolist() == [not first <= day <= last for day in days]
        assert are_sessions(calendar, pd.date_range(origin + pd.Timedelta(days=1), days[-1])).sum() == 30
        assert np.diff(session_numbers(calendar, days)).tolist() == [1] * 29
        for day, following in pairwise(days):
            complete = session_close(calendar, day) + hour
            assert last_complete_session(calendar, complete) == day
            assert last_complete_session(calendar, complete - pd.Timedelta(seconds=1)) < day
            assert session_close(calendar, following) + hour > complete


@pytest.mark.parametrize("calendar", CALENDARS)
def test_outside_the_record_a_session_is_open_at_least_as_long_as_any_that_is_recorded(calendar):
    recorded = calendar_sessions(calendar)
    later = target_sessions(calendar, recorded[-1], 1)[0][0]
    opens = session_open(calendar, later) - later.tz_localize("UTC")
    closes = session_close(calendar, later) - later.tz_localize("UTC")
    for day in recorded[-300:]:
        midnight = day.tz_localize("UTC")
        assert opens <= session_open(calendar, day) - midnight
        assert closes >= session_close(calendar, day) - midnight


@pytest.mark.parametrize("calendar", CALENDARS)
def test_within_the_record_targets_are_recorded_sessions_none_estimated_and_numbers_find_them_again(calendar):
    recorded = calendar_sessions(calendar)
    numbers = session_numbers(calendar, recorded)
    assert np.array_equal(numbers, np.arange(len(recorded)))
    for k in range(0, len(recorded) - 60, 997):
        days, estimated = target_sessions(calendar, recorded[k], 60)
        assert days.equals(recorded[k + 1 : k + 61])
        assert not estimated.any()


@pytest.mark.parametrize("calendar", sorted(UNBUILT))
def test_a_calendar_that_cannot_be_built_is_refused_in_words(calendar):
    with pytest.raises(
        DataError, match=f"the exchange calendar {calendar} cannot be built .*; next: leave its symbols"
    ):
        last_complete_session(calendar, utc("2024-01-02 12:00"))


@pytest.mark.parametrize(
    ("calendar", "complete", "session"),
    [
        ("XLON", "2018-12-24 13:30", "2018-12-24"),  # closes at 12:30 on Christmas Eve
        ("XHKG", "2019-02-04 05:00", "2019-02-04"),  # closes at noon on the eve of the lunar new year
        ("XASX", "2019-01-02 06:00", "2019-01-02"),  # opens at 23:00 UTC on the day before
        ("XFRA", "2018-12-20 21:59", "2018-12-19"),  # the floors close at 22:00 in Berlin, Xetra at 17:30
        ("XFRA", "2018-12-20 22:00", "2018-12-20"),
        ("XFRA", "2018-07-20 20:59", "2018-07-19"),  # daylight saving: the close is at 20:00 UTC
        ("XFRA", "2018-07-20 21:00", "2018-07-20"),
        ("XFRA", "2018-12-28 21:59", "2018-12-27"),  # an early close counts as late as any
        ("XFRA", "2018-12-28 22:00", "2018-12-28"),
        ("XETR", "2018-12-20 17:30", "2018-12-20"),
        ("XNZE", "2018-12-24 00:45", "2018-12-24"),  # closes at 12:45 in Auckland, 23:45 UTC on the day before
        ("XSAU", "2024-01-07 13:00", "2024-01-07"),  # a Sunday
        ("CMES", "2018-12-22 00:00", "2018-12-21"),  # closes at 17:00 in Chicago, 23:00 UTC
        ("CMES", "2018-11-23 23:59", "2018-11-22"),  # shares close at noon that day, energy and metals later
        ("CMES", "2018-11-24 00:00", "2018-11-23"),
        ("CMES", "2018-07-14 23:59", "2018-07-13"),  # the session of Sunday evening is Monday's
        ("CMES", "2018-07-15 23:00", "2018-07-13"),
        ("24/5", "2018-12-22 01:00", "2018-12-21"),  # closes at midnight UTC
        ("24/5", "2018-12-24 12:00", "2018-12-21"),
        ("24/7", "2018-12-23 01:00", "2018-12-22"),
        ("24/7", "2018-12-24 00:59", "2018-12-22"),
    ],
)  # fmt: skip
def test_what_is_complete_when_is_known_for_early_closes_and_markets_that_hardly_close(calendar, complete, session):
    assert last_complete_session(calendar, utc(complete)) == pd.Timestamp(session)


def test_the_week_of_a_calendar_outside_its_record_is_the_exchanges_own():
    week = pd.date_range("2035-07-01", periods=7)  # from Sunday on
    assert are_sessions("XSAU", week).tolist() == [True] * 5 + [False] * 2
    assert iso(target_sessions("XSAU", pd.Timestamp("2035-07-05"), 2)[0]) == ["2035-07-08", "2035-07-09"]
    assert last_complete_session("XSAU", utc("2035-07-07 12:00")) == pd.Timestamp("2035-07-05")
    assert session_numbers("XSAU", pd.DatetimeIndex(["2035-07-05", "2035-07-08"])).tolist() == [
        n + session_numbers("XSAU", pd.DatetimeIndex(["2035-07-05"]))[0] for n in (0, 1)
    ]
    assert are_sessions("XSAU", pd.DatetimeIndex(["2015-07-05", "2015-07-03"])).tolist() == [True, False]


@pytest.mark.parametrize(
    ("calendar", "end"),
    [("XSHG", "2026-12-31"), ("XBOM", "2026-12-31"), ("XSES", "2026-12-31"), ("XIDX", "2025-12-31")],
)
def test_targets_are_estimated_from_where_holidays_are_not_listed_any_more(calendar, end):
    days, estimated = target_sessions(calendar, pd.Timestamp(end) - pd.Timedelta(days=14), 30)
    assert estimated.tolist() == (days > end).tolist()
    assert 0 < estimated.sum() < 30


def test_a_holiday_at_the_end_of_the_record_is_no_weekday_that_stands_in():
    days, estimated = target_sessions("XIDX", pd.Timestamp("2025-12-30"), 2)  # 31 December is a holiday in Jakarta
    assert iso(days) == ["2026-01-01", "2026-01-02"]
    assert estimated.all()
    assert not is_session("XIDX", pd.Timestamp("2025-12-31"))
    assert last_complete_session("XIDX", utc("2026-01-01 12:00")) == pd.Timestamp("2025-12-30")


def test_targets_of_an_origin_before_the_record_are_the_weekdays_up_to_it():
    days, estimated = target_sessions("XTKS", pd.Timestamp("1996-12-30"), 3)
    assert iso(days) == ["1996-12-31", "1997-01-06", "1997-01-07"]
    assert estimated.tolist() == [True, False, False]


@pytest.mark.parametrize("symbol", ["BRK.B", "^XYZ", "SAP.SG", "A."])
def test_an_unknown_exchange_is_refused_instead_of_guessed(symbol):
    with pytest.raises(DataError, match="no exchange calendar is known for .*not guessed; next:"):
        calendar_of(symbol)
