"""A workspace that lives through evenings, and a ledger as it was written before."""

import hashlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake
from helpers import events_of, flat_bars, no_quarantine, normal_forecast, sessions_until, utc

from forecasting.bars import normalize_bars
from forecasting.events import no_events
from forecasting.instruments import Instrument
from forecasting.ledger import Ledger
from forecasting.ledger_rows import LEDGER_SCHEMA
from forecasting.scoring import ScoreReport, Scores
from forecasting.sessions import session_close
from forecasting.store import PriceStore
from forecasting.workspace import Workspace

KNOWN = utc("2018-12-31 22:00")


class Evenings:
    """Random prices of some symbols: each evening a bar comes in, a forecast is issued, what matured is scored.

    Parameters
    ----------
    workspace
    symbols, days : what is traded and on how many sessions, the last of them the last of 2018
    sigma : daily volatility of the prices, which forecasts know; the random walk believes in twice as much
    """

    def __init__(self, workspace: Workspace, symbols: str = "AAA BBB", days: int = 30, sigma: float = 0.01) -> None:
        self.store, self.ledger = PriceStore(workspace.prices), Ledger(workspace.ledger)
        self.scores = Scores(workspace.scores)
        self.symbols, self.sigma = symbols.split(), sigma
        self.days = sessions_until("2018-12-31", days)
        moves = np.random.default_rng(0).normal(0, sigma, (days, len(self.symbols)))
        self.closes = pd.DataFrame(100 * np.exp(moves.cumsum(axis=0)), self.days, self.symbols)

    def now(self, day: pd.Timestamp) -> pd.Timestamp:
        """Return an hour and a half after the close of a session in New York."""
        return session_close("XNYS", day) + pd.Timedelta(minutes=90)

    def tell(self, bars: pd.DataFrame, at: pd.Timestamp, events: pd.DataFrame | None = None) -> None:
        """Store bars and events as a source told them."""
        instruments = [Instrument.from_symbol(s) for s in self.symbols]
        self.store.append(instruments, bars, no_events() if events is None else events, no_quarantine(), at)

    def bars(self, days: pd.DatetimeIndex, symbols: list[str] | None = None) -> pd.DataFrame:
        """Return the bars of some days as traded."""
        parts = [flat_bars(s, days, self.closes.loc[days, s]) for s in symbols or self.symbols]
        return normalize_bars(pd.concat(parts))

    def split(self, symbol: str, day: pd.Timestamp, ratio: float) -> pd.DataFrame:
        """Split a symbol's shares from a day on, and return the event."""
        self.closes.loc[day:, symbol] /= ratio
        return events_of(symbol, (str(day.date()), "split", ratio))

    def issue(self, day: pd.Timestamp, model_id: str = "m1", horizon: int = 3, symbols: list[str] | None = None) -> int:
        """Issue forecasts from a session, in the evening after it."""
        made = {}
        for sigma in (self.sigma, 2 * self.sigma):
            made[sigma] = {
                s: normal_forecast(s, str(day.date()), horizon, sigma, last_close=float(self.closes.loc[day, s]))
                for s in symbols or self.symbols
            }
        forecasts, walks = made.values()
        return self.ledger.issue(forecasts.values(), model_id, self.now(day), self.now(day), walks)

    def update(self) -> ScoreReport:
        return self.scores.update(self.ledger, self.store)

    def pass_by(self, first: int, end: int, model_id: str = "m1", horizon: int = 3) -> None:
        """Let the evenings of some days pass, by position: a bar, a forecast, a score."""
        for day in self.days[first:end]:
            self.tell(self.bars(self.days[self.days == day]), self.now(day))
            self.issue(day, model_id, horizon)
            self.update()


def killed(*_arguments, **_options):
    raise KeyboardInterrupt


def write_old_ledger(path, rows: int) -> None:
    """Write records as they were before flags, report timing and the random walk were kept, and no head file."""
    frame = pd.DataFrame(
        {
            "model_id": "m0", "as_of": utc("2018-12-28 22:30:00.5"), "mode": "live", "symbol": "AAA",
            "origin": pd.Timestamp("2018-12-28"), "horizon": range(1, rows + 1),
            "target_session": pd.Timestamp("2018-12-31"), "estimated": False, "currency": "USD", "last_close": 123.45,
            "levels": [[0.1, 0.5, 0.9]] * rows, "values": [[-0.01, 0.0, 0.1 + 0.2]] * rows, "prob_up": 0.5,
            "expected": 124.0, "data_as_of": KNOWN, "sequence": range(1, rows + 1),
        }
    )  # fmt: skip
    previous, hashes = "0" * 64, []
    for row in frame.to_dict("records"):
        previous = hashlib.sha256((previous + json.dumps(row, sort_keys=True, default=str)).encode()).hexdigest()
        hashes.append(previous)
    names = [n for n in LEDGER_SCHEMA.names if n not in {"flags", "report_widening", "random_walk"}]
    schema = pa.schema([LEDGER_SCHEMA.field(name) for name in names])
    write_deltalake(str(path), pa.Table.from_pandas(frame.assign(hash=hashes), schema, preserve_index=False))
