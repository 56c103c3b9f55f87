from itertools import pairwise

import pandas as pd
import pytest
from helpers import utc

from forecasting.closing_times import MERGED_WITHIN, next_completion
from forecasting.sessions import SETTLING, calendar_sessions, last_complete_session, session_close


def completions(calendars, after, count):
    """Return the next instants, one after the other, as text."""
    instants = [utc(after)]
    for _ in range(count):
        instants.append(next_completion(calendars, instants[-1]))
    return [f"{instant:%Y-%m-%d %H:%M}" for instant in instants[1:]]


@pytest.mark.parametrize(
    ("calendars", "after", "expected"),
    [
        pytest.param(
            ["XNYS"],
            "2018-12-21 21:59",
            ["2018-12-21 22:00", "2018-12-24 19:00", "2018-12-26 22:00", "2018-12-27 22:00"],
            id="a weekend, the half day before Christmas, Christmas",
        ),
        pytest.param(
            ["XNYS"],
            "2019-03-07 22:00",
            ["2019-03-08 22:00", "2019-03-11 21:00", "2019-03-12 21:00"],
            id="New York sets its clocks forward",
        ),
        pytest.param(
            ["XNYS", "XLON"],
            "2019-03-28 21:00",
            ["2019-03-29 17:30", "2019-03-29 21:00", "2019-04-01 16:30", "2019-04-01 21:00"],
            id="London sets its clocks forward three weeks later",
        ),
        pytest.param(
            ["XNYS"],
            "2018-11-02 20:59",
            ["2018-11-02 21:00", "2018-11-05 22:00"],
            id="New York sets its clocks back",
        ),
        pytest.param(
            ["XTKS", "XNYS", "24/7"],
            "2018-12-21 07:00",
            [
                "2018-12-21 22:00", "2018-12-22 01:00", "2018-12-23 01:00", "2018-12-24 01:00", "2018-12-24 19:00",
                "2018-12-25 01:00", "2018-12-25 07:00", "2018-12-26 01:00", "2018-12-26 07:00", "2018-12-26 22:00",
            ],
            id="Tokyo, New York and a coin at Christmas; the Emperor's birthday on the 24th",
        ),
        pytest.param(["XTKS"], "2019-04-26 06:59", ["2019-04-26 07:00", "2019-05-07 07:00"], id="ten days of holidays"),
        pytest.param(
            ["XLON", "XDUB"],
            "2018-12-20 17:30",
            ["2018-12-21 17:30", "2018-12-24 13:30", "2018-12-27 17:30"],
            id="Dublin closes two minutes before London, on half days too",
        ),
        pytest.param(
            ["24/5"], "2018-12-21 01:00", ["2018-12-22 01:00", "2018-12-25 01:00"], id="currencies, over a weekend"
        ),
        pytest.param(
            ["XNYS"], "2040-01-05 12:00", ["2040-01-06 01:00", "2040-01-07 01:00", "2040-01-10 01:00"],
            id="weekdays, where holidays are not published yet",
        ),
    ],
)  # fmt: skip
def test_a_run_is_due_an_hour_after_each_close(calendars, after, expected):
    assert completions(calendars, after, len(expected)) == expected


def test_every_session_of_every_exchange_is_served_within_minutes_of_its_completion():
    calendars = ["XNYS", "XLON", "XDUB", "XTKS", "24/7"]
    first, last = utc("2021-03-20 00:30"), utc("2021-04-07 00:00")  # clocks change in Europe, and Easter
    runs = [next_completion(calendars, first)]
    while runs[-1] < last:
        runs.append(next_completion(calendars, runs[-1]))
    assert min(other - one for one, other in pairwise(runs)) > MERGED_WITHIN
    for calendar in calendars:
        sessions = calendar_sessions(calendar)
        for session in sessions[(sessions >= "2021-03-20") & (sessions < "2021-04-06")]:
            complete = session_close(calendar, session) + SETTLING
            run = next(instant for instant in runs if instant >= complete)
            assert run - complete <= MERGED_WITHIN
            assert last_complete_session(calendar, run) == session


def test_the_next_run_is_the_same_from_whatever_instant_it_is_asked():
    calendars = ["XLON", "XDUB", "XNYS"]
    first, second = utc("2019-01-07 17:30"), utc("2019-01-07 22:00")
    minutes = pd.date_range("2019-01-07 10:00", "2019-01-07 21:59", freq="23min", tz="UTC")
    assert {next_completion(calendars, t) for t in minutes[minutes < first]} == {first}
    assert {next_completion(calendars, t) for t in minutes[minutes >= first]} == {second}
