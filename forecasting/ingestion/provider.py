"""The contract of a source of prices: one request per symbol, a result or a cause."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import pandas as pd

from forecasting.instruments import Instrument


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
    """Why a symbol has no bars.

    Parameters
    ----------
    symbol
    kind
        One word for programs, for example `unknown_symbol` or `rate_limited`.
    cause
        One line for people: what was asked, what was found and what to do next.
    retry_at
        UTC instant before which asking again is of no use, where the source limits that.
    """

    symbol: str
    kind: str
    cause: str
    retry_at: pd.Timestamp | None = None


FetchResult = Fetched | Failed


class Provider(Protocol):
    """A source of daily bars. `fetch` reports every failure as `Failed`; it raises none.

    Attributes
    ----------
    source : its name; a symbol comes from one source in a workspace
    symbols : what it offers by itself; empty where a person must choose
    refused : what it holds beside them and cannot offer, by name
    calendar : exchange calendar of all its symbols; None where each symbol tells its own
    incremental : whether to ask only for what is missing, or for whole histories each time
    """

    source: str
    symbols: tuple[str, ...] = ()
    refused: Mapping[str, Failed] = MappingProxyType({})
    calendar: str | None = None
    incremental: bool = True

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Fetch one symbol; may be called from several threads."""
        ...
