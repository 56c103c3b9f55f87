"""Evenings of a universe whose source behaves like a live one, on a clock that a test sets."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from helpers import utc

from forecasting.config import CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.evening_report import EveningReport
from forecasting.events import no_events
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest, FetchResult, Provider
from forecasting.ingestion.synthetic import make_market
from forecasting.instruments import Instrument
from forecasting.ledger import Ledger
from forecasting.retraining import retrain
from forecasting.sessions import calendar_of, calendar_sessions, last_complete_session
from forecasting.universe import Universe
from forecasting.workspace import Workspace

SMALL = Recipe(
    horizon=5,
    network=NetworkConfig(hidden=4),
    training=TrainingConfig(window=60, burn_in=30, epochs=1),
    calibration=CalibrationConfig(sessions=60),
)
FIRST = pd.Timestamp("2017-03-01")


class LiveSource(Provider):
    """Simulated bars since `FIRST`, up to the last session that is complete at `now`.

    Attributes
    ----------
    down : symbols it does not answer for
    listed : by symbol, the first session of one that is younger
    last_told : by symbol, the session after which it tells nothing
    spoilt : by symbol, what it makes of the bars
    """

    source = "yahoo"

    def __init__(self) -> None:
        self.now = utc("2018-06-01 21:00")
        self.down: set[str] = set()
        self.listed: dict[str, pd.Timestamp] = {}
        self.last_told: dict[str, pd.Timestamp] = {}
        self.spoilt: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {}

    def fetch(self, request: FetchRequest) -> FetchResult:
        symbol = request.symbol
        if symbol in self.down:
            return Failed(symbol, "timeout", f"{symbol}: no answer; next: later")
        calendar = calendar_of(symbol)
        days = calendar_sessions(calendar)
        days = days[days >= FIRST]
        market = make_market(symbol).drop(columns="volatility").iloc[: len(days)]
        bars = market.set_index(days[: len(market)].rename("session"))
        last = min(request.last, last_complete_session(calendar, self.now), self.last_told.get(symbol, request.last))
        bars = bars.loc[max(request.first, self.listed.get(symbol, FIRST)) : last].reset_index().assign(symbol=symbol)
        bars = self.spoilt[symbol](bars) if symbol in self.spoilt else bars
        return Fetched(Instrument.from_symbol(symbol, self.source), bars, no_events())


class LiveEvenings:
    """The evening job of a universe, an hour after the close in New York."""

    def __init__(self, workspace: Workspace, *symbols: str) -> None:
        self.workspace, self.universe = workspace, Universe("watched", symbols)
        self.source = LiveSource()
        self.ledger = Ledger(workspace.ledger)

    def run(self, day: str, recipe: Recipe | None = SMALL, at: str = "21:00", **options) -> EveningReport:
        self.source.now = utc(f"{day} {at}")
        return retrain(self.workspace, self.universe, self.source, recipe, clock=lambda: self.source.now, **options)

    def exported(self) -> dict[str, bytes]:
        """Return the exports by name."""
        return {path.name: path.read_bytes() for path in self.workspace.exports.glob("*.csv")}

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.workspace.exports / f"{name}.csv", keep_default_na=False)

    def weights(self) -> dict[str, bytes]:
        """Return the weights of the saved models."""
        return {path.parent.name: path.read_bytes() for path in self.workspace.models.glob("*/weights.safetensors")}


def log_lines(workspace: Workspace) -> int:
    """Return how many steps the log has."""
    path: Path = workspace.logs / "tickercast.log"
    return len(path.read_text().splitlines()) if path.exists() else 0
