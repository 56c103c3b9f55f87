"""The contract of a source of prices: one request per symbol, a result or a cause."""

from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from forecasting.bars import Instrument


@dataclass(frozen=True)
class FetchRequest:
    """A wish for one symbol's bars.

    Parameters
    ----------
    symbol
    first, last : sessions, both inclusive
    """

    symbol: str
    first: pd.Timestamp
    last: pd.Timestamp


@dataclass(frozen=True)
class Fetched:
    """One symbol's bars and events as traded: `BAR_COLUMNS` and `EVENT_COLUMNS`, not yet judged."""

    instrument: Instrument
    bars: pd.DataFrame
    events: pd.DataFrame


@dataclass(frozen=True)
class Failed:
    """Why a symbol has no bars: a kind for programs, a cause (what, and what to do) for people."""

    symbol: str
    kind: str
    cause: str


FetchResult = Fetched | Failed


class Provider(Protocol):
    """A source of daily bars. `fetch` reports every failure as `Failed`; it raises none."""

    source: str
    symbols: tuple[str, ...]  # what it offers by itself; empty where a person must choose

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Fetch one symbol; may be called from several threads."""
        ...
