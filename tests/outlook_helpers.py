"""A workspace that outlooks are read from: prices, fetches and forecasts of a few symbols."""

from dataclasses import replace

import pandas as pd
from helpers import flat_bars, no_quarantine, sessions_until, utc

from forecasting import Ledger, PriceStore
from forecasting.events import no_events
from forecasting.instruments import Instrument
from forecasting.price_tables import FETCH_COLUMNS

NEW_YEAR = utc("2019-01-01 12:00")


def tell(workspace, symbol="AAA", closes=(100.0, 101.0), days=None, at=NEW_YEAR, events=None, **facts):
    """Store closes up to the end of 2018, or of some days."""
    days = sessions_until("2018-12-31", len(closes)) if days is None else days
    instrument = replace(Instrument.from_symbol(symbol), **facts)
    told = no_events() if events is None else events
    PriceStore(workspace.prices).append([instrument], flat_bars(symbol, days, closes), told, no_quarantine(), at)


def asked(workspace, symbol, outcome, cause="", at=NEW_YEAR):
    fetches = pd.DataFrame([(symbol, None, None, outcome, cause, 0)], columns=FETCH_COLUMNS)
    nothing = flat_bars(symbol, [], [])
    PriceStore(workspace.prices).append([], nothing, no_events(), no_quarantine(), at, fetches=fetches)


def issue(workspace, *forecasts, model_id="m1", now=NEW_YEAR, **how):
    Ledger(workspace.ledger).issue(forecasts, model_id, now, now, **how)
