"""Fetch many symbols: ask for what is missing, judge what comes, keep what is complete."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

import pandas as pd

from forecasting.bars import (
    EVENT_COLUMNS,
    Instrument,
    broken_rules,
    no_events,
    normalize_bars,
    validate_symbol,
)
from forecasting.config import Progress, no_progress
from forecasting.errors import BarsError, DataError, FetchError, UsageError
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest, Provider
from forecasting.ingestion.sample import SampleProvider
from forecasting.ingestion.synthetic import SyntheticProvider
from forecasting.ingestion.yahoo import YahooProvider
from forecasting.sessions import are_sessions, calendar_of, last_complete_session
from forecasting.store import PriceStore

HISTORY_START = pd.Timestamp("1990-01-01")
OVERLAP = pd.Timedelta(days=10)
"""How far before the last stored session the next request begins, to confirm what is stored."""

_POOL = 8

SOURCES: Mapping[str, Callable[[], Provider]] = {
    "sample": SampleProvider,
    "synthetic": SyntheticProvider,
    "yahoo": YahooProvider,
}


def make_provider(source: str) -> Provider:
    """Return the provider of a source by name."""
    if source == "files":
        raise UsageError("source 'files': files come in by fetch; next: tickercast fetch --files PATH --prices split")
    if source not in SOURCES:
        raise UsageError(f"source {source!r}: sources are {', '.join(SOURCES)}; next: --source sample")
    return SOURCES[source]()


@dataclass(frozen=True)
class Collection:
    """What a fetch brought: canonical frames as traded, and the cause for each symbol that failed."""

    instruments: Mapping[str, Instrument]
    bars: pd.DataFrame
    events: pd.DataFrame
    quarantined: pd.DataFrame
    failures: Mapping[str, Failed] = field(default_factory=dict)


def fetch_bars(
    provider: Provider,
    symbols: Sequence[str],
    store: PriceStore,
    now: pd.Timestamp,
    progress: Progress = no_progress,
) -> Collection:
    """Ask a provider for the complete sessions the store lacks; nothing is written.

    Parameters
    ----------
    symbols : none means the provider's own
    now : UTC instant; sessions not complete by then are left out

    Raises
    ------
    InvalidSymbol, UsageError
        Before any request.
    FetchError
        Every symbol failed.
    """
    wanted = list(dict.fromkeys(validate_symbol(s) for s in (symbols or provider.symbols)))
    if not wanted:
        raise UsageError(f"no symbols: the source {provider.source} needs at least one; next: tickercast run AAPL MSFT")
    known = store.instruments()
    held = store.summary().set_index("symbol")["last"] if known else pd.Series(dtype="datetime64[us]")
    failures: dict[str, Failed] = {} if symbols else dict(provider.refused)
    requests = []
    for symbol in wanted:
        try:
            last = last_complete_session(provider.calendar or calendar_of(symbol), now)
        except DataError as error:
            failures[symbol] = Failed(symbol, "no_calendar", str(error))
            continue
        if symbol in known and known[symbol].source != provider.source:
            failures[symbol] = Failed(
                symbol,
                "other_source",
                f"{symbol} is stored from {known[symbol].source}, asked for from {provider.source}: one source per "
                "symbol and workspace; next: another --workspace",
            )
        elif symbol not in held.index or not provider.incremental:
            requests.append(FetchRequest(symbol, HISTORY_START, last))
        elif held[symbol] < last:
            requests.append(FetchRequest(symbol, held[symbol] - OVERLAP, last))

    fetched: list[Fetched] = []
    with ThreadPoolExecutor(_POOL) as pool:
        for done, future in enumerate(as_completed(pool.submit(provider.fetch, r) for r in requests), 1):
            result = future.result()
            if isinstance(result, Failed):
                failures[result.symbol] = result
            else:
                fetched.append(result)
            progress("fetch", done, len(requests))
    collection = _judge(sorted(fetched, key=lambda f: f.instrument.symbol), requests, failures)
    if failures.keys() >= set(wanted):
        raise FetchError(
            f"none of {len(wanted)} symbols could be fetched; the workspace is as it was",
            {s: failures[s].cause for s in wanted},
        )
    return collection


def _judge(fetched: list[Fetched], requests: list[FetchRequest], failures: dict[str, Failed]) -> Collection:
    """Split what came into bars to keep and bars in quarantine."""
    last = {r.symbol: r.last for r in requests}
    kept, held, events, instruments = [], [], [], {}
    for item in fetched:
        instrument = item.instrument
        symbol = instrument.symbol
        try:
            bars = normalize_bars(item.bars)
        except BarsError as error:
            failures[symbol] = Failed(symbol, "bad_payload", str(error))
            continue
        bars = bars[bars["session"] <= last[symbol]]
        rules = broken_rules(bars)
        closed = ~are_sessions(instrument.calendar, pd.DatetimeIndex(bars["session"]))
        rules[closed & (rules == "")] = "not_a_session"
        kept.append(bars[rules == ""])
        held.append(bars.assign(rule=rules)[rules != ""])
        events.append(item.events[EVENT_COLUMNS])
        instruments[symbol] = instrument
    empty = normalize_bars(pd.DataFrame(columns=["symbol", "session", "open", "high", "low", "close", "volume"]))
    return Collection(
        instruments,
        pd.concat(kept, ignore_index=True) if kept else empty,
        pd.concat(events, ignore_index=True) if events else no_events(),
        pd.concat(held, ignore_index=True) if held else empty.assign(rule=""),
        failures,
    )
