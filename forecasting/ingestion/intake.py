"""Judge what a source answered: what is canonical and complete is kept, what breaks a rule is quarantined."""

from dataclasses import dataclass

import pandas as pd

from forecasting.bars import broken_rules, normalize_bars
from forecasting.errors import DataError
from forecasting.events import EVENT_COLUMNS, validate_events
from forecasting.ingestion.provider import Failed, Fetched
from forecasting.instruments import Instrument
from forecasting.sessions import are_sessions, last_complete_session


@dataclass(frozen=True)
class Accepted:
    """One symbol's canonical bars and events as traded, and the bars that broke a rule (column `rule`)."""

    instrument: Instrument
    bars: pd.DataFrame
    events: pd.DataFrame
    quarantined: pd.DataFrame


def judge(fetched: Fetched, now: pd.Timestamp) -> Accepted | Failed:
    """Return what of an answer enters the store at the UTC instant `now`.

    Bars whose session is not complete yet are left out; a later fetch brings them. Beside the rules of
    `broken_rules`, a bar breaks `future_session` if its date has not come where it trades, and
    `not_a_session` if the exchange was closed.
    """
    instrument = fetched.instrument
    try:
        bars, events = normalize_bars(fetched.bars), validate_events(fetched.events[EVENT_COLUMNS])
        last = last_complete_session(instrument.calendar, now)
        today = now.tz_convert(instrument.time_zone).tz_localize(None).normalize()
    except (DataError, KeyError) as error:  # no time zone of this name is a KeyError
        return Failed(instrument.symbol, "bad_payload", f"{error}; next: leave it out, and report this line")
    rules = broken_rules(bars)
    closed = ~are_sessions(instrument.calendar, pd.DatetimeIndex(bars["session"]))
    rules[closed & (rules == "")] = "not_a_session"
    rules[bars["session"] > today] = "future_session"
    complete = (bars["session"] <= last) | (rules == "future_session")
    bars, rules = bars[complete], rules[complete]
    return Accepted(
        instrument, bars[rules == ""], events[events["session"] <= last], bars.assign(rule=rules)[rules != ""]
    )
