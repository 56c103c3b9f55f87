"""Measure the ledger and its scores as they grow: append a day, read one symbol's record, the latest, verify, score.

    python benchmarks/ledger.py
    python benchmarks/ledger.py --rows 500000

Every row is issued as in the evening, by `Ledger.issue`: 500 symbols at 20 horizons, each with a random walk; prices
and quantiles are random. Five million rows take about ten minutes to issue. Each action is measured when the ledger
has a tenth of its rows, and when it has them all.
"""

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.bars import BAR_COLUMNS
from forecasting.config import LEVELS
from forecasting.events import no_events
from forecasting.forecasts import Forecast
from forecasting.instruments import Instrument
from forecasting.ledger import Ledger
from forecasting.scoring import Scores
from forecasting.sessions import calendar_sessions, session_close, target_sessions
from forecasting.store import PriceStore
from forecasting.track_record import read_track_record

_SYMBOLS, _HORIZON = 500, 20
_TIMED = 17  # evenings whose steps are timed: two mergings of small files are among them
_MODEL_FOR = 20  # evenings
_TIMES = 9


class Market:
    """Random closes of 500 symbols, and forecasts of them that know nothing."""

    def __init__(self, evenings: int, root: Path) -> None:
        self.rng = np.random.default_rng(0)
        self.instruments = [Instrument.from_symbol(f"S{i:04d}", "files") for i in range(_SYMBOLS)]
        self.days = calendar_sessions("XNYS")[2000 : 2000 + evenings]
        moves = self.rng.normal(0, 0.01, (evenings, _SYMBOLS))
        self.closes = np.round(100 * np.exp(moves.cumsum(axis=0)), 2)
        self.store, self.ledger = PriceStore(root / "prices"), Ledger(root / "ledger")
        self.scores = Scores(root / "scores")

    def now(self, evening: int) -> pd.Timestamp:
        return session_close("XNYS", self.days[evening]) + pd.Timedelta(minutes=90)

    def forecasts(self, evening: int) -> Iterator[Forecast]:
        """Yield a forecast of each symbol; asked twice, others."""
        sessions, estimated = target_sessions("XNYS", self.days[evening], _HORIZON)
        values = np.sort(self.rng.normal(0, 0.02, (_SYMBOLS, _HORIZON, len(LEVELS))), axis=-1)
        for i, instrument in enumerate(self.instruments):
            close = float(self.closes[evening, i])
            yield Forecast(instrument, self.days[evening], close, sessions, estimated, LEVELS, values[i])

    def fetch(self, first: int, end: int) -> None:
        """Store the bars of some evenings."""
        days, close = self.days[first:end], self.closes[first:end].T.ravel()
        symbols = np.repeat([i.symbol for i in self.instruments], len(days))
        bars = pd.DataFrame({"symbol": symbols, "session": np.tile(days.to_numpy(), _SYMBOLS), "volume": 1e6})
        bars = bars.assign(symbol=bars["symbol"].astype(str), **dict.fromkeys(BAR_COLUMNS[2:6], close))[BAR_COLUMNS]
        self.store.append(self.instruments, bars, no_events(), bars.iloc[:0].assign(rule=""), self.now(end - 1))

    def issue(self, evening: int) -> float:
        """Issue an evening's forecasts; return the milliseconds that the ledger took."""
        walks = {f.symbol: f for f in self.forecasts(evening)}
        forecasts, model_id, now = [*self.forecasts(evening)], f"rnn-{evening // _MODEL_FOR:04d}", self.now(evening)
        return milliseconds(lambda: self.ledger.issue(forecasts, model_id, now, now, walks))


def milliseconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1e3


def measure(market: Market, end: int) -> dict[str, list[float]]:
    """Let the last evenings up to one pass, and return the milliseconds of what is done in them and after."""
    taken: dict[str, list[float]] = {}
    evenings = range(end - _TIMED, end)
    for evening in evenings:
        market.fetch(evening, evening + 1)
        taken.setdefault("issue 500 x 20", []).append(market.issue(evening))
        scored = milliseconds(lambda: market.scores.update(market.ledger, market.store))
        taken.setdefault("score an evening", []).append(scored)
    symbol = market.instruments[_SYMBOLS // 2].symbol
    for what, action in (
        ("read one symbol's record", lambda: market.ledger.read([symbol])),
        ("read its newest forecast", lambda: market.ledger.latest([symbol])),
        ("read all newest forecasts", market.ledger.latest),
        ("read its scores", lambda: market.scores.read("first", [symbol])),
    ):
        taken[what] = [milliseconds(action) for _ in range(_TIMES)]
    return taken


def folder_mb(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    rows = parser.parse_args().rows
    evenings = rows // (_SYMBOLS * _HORIZON)
    early = max(evenings // 10, _TIMED + 1)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        market = Market(evenings, root)
        tables = []
        for first, end in ((0, early), (early, evenings)):
            market.fetch(first, end - _TIMED)
            for evening in range(first, end - _TIMED):
                market.issue(evening)
            market.scores.update(market.ledger, market.store)
            tables.append(measure(market, end))
        print(f"{evenings} evenings of {_SYMBOLS} symbols x {_HORIZON} horizons; milliseconds\n")
        print(f"{'':28}{f'{early * 10_000:,} rows':>18}{f'{evenings * 10_000:,} rows':>18}{'slowest':>10}{'ratio':>8}")
        for what in tables[0]:
            before, after = (float(np.median(table[what])) for table in tables)
            print(f"{what:28}{before:18.0f}{after:18.0f}{max(tables[1][what]):10.0f}{after / before:8.1f}")
        print(f"\nledger {folder_mb(root / 'ledger'):.0f} MB, scores {folder_mb(root / 'scores'):.0f} MB")
        print(f"peak memory so far {peak_mb():.0f} MB")
        millions = market.ledger.head().rows / 1e6
        verified = milliseconds(market.ledger.verify) / 1e3
        print(f"verify: {verified:.1f} s, {verified / millions:.1f} s per million rows; peak {peak_mb():.0f} MB")
        shutil.rmtree(root / "scores")
        rebuilt = milliseconds(lambda: market.scores.update(market.ledger, market.store)) / 1e3
        print(f"score all anew: {rebuilt:.1f} s, {rebuilt / millions:.1f} s per million rows; peak {peak_mb():.0f} MB")
        made = milliseconds(lambda: read_track_record(market.scores, "first")) / 1e3
        print(f"track record: {made:.1f} s; peak {peak_mb():.0f} MB")


if __name__ == "__main__":
    main()
