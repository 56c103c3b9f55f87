"""Fetch many symbols: ask for what is missing, compare it with what is stored, keep what is complete."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import pandas as pd

from forecasting.bars import BAR_COLUMNS, normalize_bars
from forecasting.config import Progress, no_progress
from forecasting.errors import DataError, FetchError, UsageError
from forecasting.events import no_events
from forecasting.ingestion.intake import Accepted, judge
from forecasting.ingestion.provider import Failed, FetchRequest, Provider
from forecasting.ingestion.sample import SampleProvider
from forecasting.ingestion.synthetic import SyntheticProvider
from forecasting.ingestion.yahoo import YahooProvider
from forecasting.instruments import Instrument, validate_symbol
from forecasting.restatements import disagreeing
from forecasting.sessions import calendar_of, last_complete_session
from forecasting.store import PriceStore

HISTORY_START = pd.Timestamp("1990-01-01")
"""Where a whole history begins that is asked for; recorded calendars begin there. Files are read from their start."""

_ALL_OF_IT = (pd.Timestamp("1700-01-01"), pd.Timestamp("2200-01-01"))
"""What is asked of a source that is at hand; `judge` leaves out what is not complete."""
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


def source_of_new(stored: Iterable[Instrument]) -> str:
    """Return the source that a new symbol is asked of: the only one of what is stored, where it has one, else yahoo."""
    sources = {instrument.source for instrument in stored}
    return sources.pop() if len(sources) == 1 and sources <= SOURCES.keys() else "yahoo"


@dataclass(frozen=True)
class Collection:
    """What a fetch brought: canonical frames as traded, and the cause for each symbol that failed.

    Parameters
    ----------
    instruments, bars, events, quarantined : as `PriceStore.append` takes them
    failures : by symbol
    whole : symbols whose whole history came
    current : symbols that were not asked for, because no session has completed since their last bar
    fetches : a row per symbol that was asked for or refused, as `PriceStore.append` takes it
    """

    instruments: Mapping[str, Instrument]
    bars: pd.DataFrame
    events: pd.DataFrame
    quarantined: pd.DataFrame
    failures: Mapping[str, Failed]
    whole: frozenset[str]
    current: tuple[str, ...]
    fetches: pd.DataFrame

    @property
    def nothing_came(self) -> bool:
        """Whether every symbol failed."""
        return bool(self.failures) and not self.instruments and not self.current

    def require_some(self) -> None:
        """Raise `FetchError`, with the cause for each symbol, where all of them failed."""
        if self.nothing_came:
            raise FetchError(
                f"none of {len(self.failures)} symbols could be fetched; the prices are as they were",
                {symbol: failed.cause for symbol, failed in self.failures.items()},
                {symbol: failed.kind for symbol, failed in self.failures.items()},
            )


def fetch_bars(
    provider: Provider,
    symbols: Sequence[str],
    store: PriceStore,
    now: pd.Timestamp,
    progress: Progress = no_progress,
    full: bool = False,
) -> Collection:
    """Ask a provider for the complete sessions the store lacks; nothing is written.

    Of a stored symbol only the missing sessions are asked for, and a few before them. Where these differ
    from the store in a price, a split or a dividend, its whole history is asked for again.

    Parameters
    ----------
    symbols : none means the provider's own
    now : UTC instant; sessions not complete by then are left out
    full : ask for whole histories, whatever is stored

    Raises
    ------
    InvalidSymbol, UsageError
        Before any request.
    """
    wanted = list(dict.fromkeys(validate_symbol(s) for s in (symbols or provider.symbols)))
    if not wanted:
        raise UsageError(f"no symbols: the source {provider.source} needs at least one; next: tickercast run AAPL MSFT")
    known = store.instruments()
    requests, failures = _plan(provider, wanted, known, store, now, full)
    if not symbols:
        failures |= provider.refused
    results = _ask(provider, requests.values(), now, progress)
    again = _restated(results, requests, store)
    requests |= {symbol: FetchRequest(symbol, HISTORY_START, requests[symbol].last) for symbol in again}
    results |= _ask(provider, [requests[symbol] for symbol in again], now, progress)
    failures |= {symbol: result for symbol, result in results.items() if isinstance(result, Failed)}
    failures |= _of_other_kind(results, known)
    failures = {symbol: failures[symbol] for symbol in dict.fromkeys([*wanted, *failures]) if symbol in failures}
    accepted = {symbol: results[symbol] for symbol in sorted(results) if symbol not in failures}
    frames = [(r.bars, r.events, r.quarantined) for r in accepted.values() if isinstance(r, Accepted)]
    empty = normalize_bars(pd.DataFrame(columns=BAR_COLUMNS))
    bars, events, quarantined = (
        pd.concat(parts, ignore_index=True)
        for parts in zip(*(frames or [(empty, no_events(), empty.assign(rule=""))]), strict=True)
    )
    return Collection(
        {symbol: r.instrument for symbol, r in accepted.items() if isinstance(r, Accepted)},
        bars,
        events,
        quarantined,
        failures,
        frozenset(symbol for symbol in accepted if requests[symbol].first <= HISTORY_START),
        tuple(s for s in wanted if s not in requests and s not in failures),
        _outcomes(requests, failures, bars),
    )


def _plan(
    provider: Provider,
    wanted: Sequence[str],
    known: Mapping[str, Instrument],
    store: PriceStore,
    now: pd.Timestamp,
    full: bool,
) -> tuple[dict[str, FetchRequest], dict[str, Failed]]:
    """Return what to ask for, and the symbols that must not be asked for."""
    held = store.last_sessions() if known else pd.Series(dtype="datetime64[us]")
    requests: dict[str, FetchRequest] = {}
    failures: dict[str, Failed] = {}
    for symbol in wanted:
        if symbol in known and known[symbol].source != provider.source:
            failures[symbol] = Failed(
                symbol,
                "other_source",
                f"{symbol} is stored from {known[symbol].source}, asked for from {provider.source}: one source per "
                "symbol and workspace; next: another --workspace",
            )
            continue
        try:
            calendar = known[symbol].calendar if symbol in known else provider.calendar or calendar_of(symbol)
            last = last_complete_session(calendar, now)
        except DataError:  # the source may know the exchange; what is not complete is then left out by `judge`
            last = now.tz_localize(None).normalize() + pd.Timedelta(days=1)
        if not provider.incremental:
            requests[symbol] = FetchRequest(symbol, *_ALL_OF_IT)
        elif full or symbol not in held.index:
            requests[symbol] = FetchRequest(symbol, HISTORY_START, last)
        elif held[symbol] < last:
            requests[symbol] = FetchRequest(symbol, held[symbol] - OVERLAP, last)
    return requests, failures


def _ask(
    provider: Provider, requests: Iterable[FetchRequest], now: pd.Timestamp, progress: Progress
) -> dict[str, Accepted | Failed]:
    """Return each request's answer, judged, by symbol."""
    results: dict[str, Accepted | Failed] = {}
    with ThreadPoolExecutor(_POOL) as pool:
        futures = {pool.submit(provider.fetch, request): request.symbol for request in requests}
        for done, future in enumerate(as_completed(futures), 1):
            answer = future.result()
            results[futures[future]] = answer if isinstance(answer, Failed) else judge(answer, now)
            progress("fetch", done, len(futures))
    return results


def _restated(
    results: Mapping[str, Accepted | Failed], requests: Mapping[str, FetchRequest], store: PriceStore
) -> list[str]:
    """Return the symbols of which a part was asked for, and came different from what is stored."""
    parts = [r for s, r in results.items() if isinstance(r, Accepted) and requests[s].first > HISTORY_START]
    if not parts:
        return []
    begins = pd.Series({r.instrument.symbol: requests[r.instrument.symbol].first for r in parts})
    answered, stored = (
        (pd.concat([r.bars for r in parts]), pd.concat([r.events for r in parts])),
        store.read_overlap(list(begins.index), begins.min()),
    )
    stored = tuple(f[f["session"].to_numpy() >= begins.reindex(f["symbol"]).to_numpy()] for f in stored)
    return sorted(disagreeing(*answered, *stored))


def _of_other_kind(results: Mapping[str, Accepted | Failed], known: Mapping[str, Instrument]) -> dict[str, Failed]:
    """Return the symbols whose prices are on another basis, in other money or of another exchange than stored."""
    failures = {}
    for symbol, result in results.items():
        if symbol not in known or not isinstance(result, Accepted):
            continue
        for name in ("price_basis", "currency", "calendar"):
            stored, told = (getattr(i, name) for i in (known[symbol], result.instrument))
            if stored != told:
                what = name.replace("_", " ")
                cause = (
                    f"{symbol} is stored with {what} {stored}, this is {told}: one {what} per symbol and workspace; "
                    "next: state the stored one, or choose another --workspace"
                )
                failures[symbol] = Failed(symbol, f"other_{name}", cause)
    return failures


def _outcomes(requests: Mapping[str, FetchRequest], failures: Mapping[str, Failed], bars: pd.DataFrame) -> pd.DataFrame:
    """Return what was asked for and what came of it, a row per symbol."""
    counts = bars["symbol"].value_counts()
    rows = []
    for symbol in sorted(requests.keys() | failures.keys()):
        request, failed = requests.get(symbol), failures.get(symbol)
        asked = (request.first, request.last) if request else (pd.NaT, pd.NaT)
        asked = (pd.NaT, pd.NaT) if asked == _ALL_OF_IT else asked
        told = (failed.kind, failed.cause) if failed else ("ok", "")
        rows.append((symbol, *asked, *told, int(counts.get(symbol, 0))))
    return pd.DataFrame(rows, columns=["symbol", "first", "last", "outcome", "cause", "bars"])
