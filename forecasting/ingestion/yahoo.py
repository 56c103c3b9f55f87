"""Live prices from Yahoo through yfinance, one `Ticker.history` request per symbol.

`yfinance.download` is not used: it raises for no failure at all. What yfinance raises loses the status and
the reason that Yahoo gave, so the session it sends through is watched. Error answers that it caches in the
process are cleared before each attempt, or a retry would never reach the network.
"""

import logging
import re
import threading
import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd
import tenacity

from forecasting.currencies import CURRENCY_RULE
from forecasting.errors import DataError
from forecasting.events import split_factors
from forecasting.ingestion.exchanges import calendar_from
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest, FetchResult, Provider
from forecasting.instruments import Instrument
from forecasting.sessions import calendar_of, keeps_time_of, target_session

_DETAILS = ("currency", "exchangeName", "exchangeTimezoneName", "fullExchangeName", "instrumentType")
_RETRIED = {"bad_payload", "network_down", "timeout"}
_PAUSE = pd.Timedelta(hours=1)
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
_CUT_SHORT = {"ChunkedEncodingError", "ContentDecodingError", "HTTPError", "IncompleteRead"}


class _Watch:
    """Stands in for a session's `request`: keeps what Yahoo answered, and asks no more once it says 429.

    Parameters
    ----------
    session : of requests or of curl_cffi; watched by the last that was made for it
    refusal : what to raise instead of asking
    timeout_s : for every request, also those for which yfinance sets its own
    """

    def __init__(self, session: Any, refusal: type[Exception], timeout_s: float) -> None:
        request = session.request
        self._send: Any = request._send if isinstance(request, _Watch) else request
        self._refusal = refusal
        self._timeout_s = timeout_s
        self._of_thread = threading.local()
        self.retry_at: pd.Timestamp | None = None
        session.request = self

    @property
    def answer(self) -> Any:
        """The answer to this thread's last request for a chart; None where none came."""
        return getattr(self._of_thread, "answer", None)

    def forget(self) -> None:
        """Forget this thread's last answer."""
        self._of_thread.answer = None

    def __call__(self, method: str, url: str, **options: Any) -> Any:
        if self.retry_at is not None:
            raise self._refusal
        is_chart = "/v8/finance/chart/" in url
        if is_chart:
            self.forget()
        answer = self._send(method, url, **{**options, "timeout": self._timeout_s})
        if is_chart:
            self._of_thread.answer = answer
        if answer.status_code == 429 and not url.endswith("/getcrumb"):  # charts come without a crumb, too
            pause = str(answer.headers.get("Retry-After", ""))
            seconds = pd.Timedelta(seconds=int(pause)) if pause.isdecimal() else _PAUSE
            self.retry_at = pd.Timestamp.now("UTC").as_unit("us") + seconds
            raise self._refusal
        return answer


class YahooProvider(Provider):
    """Serves what Yahoo lists.

    Once Yahoo answers that it is asked too often, this provider asks no more; another one starts afresh.

    Parameters
    ----------
    session
        A `requests` or `curl_cffi` session to use instead of one that yfinance makes.
    attempts
        How often a request is tried while the network or Yahoo fails.
    wait_s
        Seconds before the second attempt; doubled for each further one, and up to as many more at random.
    timeout_s
        Seconds after which a request without an answer is given up.
    """

    source = "yahoo"

    def __init__(self, session: Any = None, attempts: int = 3, wait_s: float = 1.0, *, timeout_s: float = 20) -> None:
        import yfinance

        logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # every failure is in the result
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="yfinance")
        yfinance.config.debug.hide_exceptions = False
        self._yfinance = yfinance
        self._session = session or yfinance.Ticker("AAPL").session
        self._timeout_s = timeout_s
        self._watch = _Watch(self._session, yfinance.exceptions.YFRateLimitError, timeout_s)
        self._retry = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda result: isinstance(result, Failed) and result.kind in _RETRIED),
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential(multiplier=wait_s, max=30) + tenacity.wait_random(0, wait_s),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the bars Yahoo has for the request, or the cause it has none."""
        try:
            return _refuse(request) or self._retry.copy()(self._attempt, request)
        except Exception as error:  # one symbol's surprise must not end the others' batch
            cause = (
                f"an unexpected {type(error).__name__} ({' '.join(str(error).split())}) for {_asked(request)}; next: "
                "leave it out, and report this line"
            )
            return Failed(request.symbol, "unexpected", cause)

    def _attempt(self, request: FetchRequest) -> FetchResult:
        self._yfinance.data.YfData.cache_get.cache_clear()
        self._watch.forget()
        if self._watch.retry_at is not None:
            return self._limited(request)
        try:
            ticker = self._yfinance.Ticker(request.symbol, session=self._session)
            raw = ticker.history(
                start=request.first.date().isoformat(),
                # Past today: prices are adjusted for every split up to now, wherever the request ends.
                end=(pd.Timestamp.now("UTC") + pd.Timedelta(days=2)).date().isoformat(),
                auto_adjust=False,
                actions=True,
                timeout=self._timeout_s,
            )
            # By key: going through all of them makes yfinance ask for intraday bars.
            details = {key: ticker.history_metadata.get(key) for key in _DETAILS}
        except self._yfinance.exceptions.YFRateLimitError:
            return self._limited(request)
        except Exception as error:
            return self._explain(request, error)
        return _read(request, raw, details)

    def _limited(self, request: FetchRequest) -> Failed:
        retry_at = self._watch.retry_at or pd.Timestamp.now("UTC").as_unit("us") + _PAUSE
        cause = (
            f"Yahoo limits how often it is asked (HTTP 429), so {_asked(request)} is left for later; next: the same "
            f"command after {retry_at:%Y-%m-%d %H:%M} UTC, which fetches the rest"
        )
        return Failed(request.symbol, "rate_limited", cause, retry_at)

    def _explain(self, request: FetchRequest, error: Exception) -> Failed:
        """Name a failure by what Yahoo answered, or by why there is no answer; raise what is neither."""
        exceptions, answer = self._yfinance.exceptions, self._watch.answer
        if answer is None and isinstance(error, OSError):
            return self._without_answer(request, error)
        if not isinstance(
            error, AttributeError | LookupError | OSError | TypeError | ValueError | exceptions.YFException
        ):
            raise error
        status = getattr(answer, "status_code", None)
        result, told = _content(answer)
        if told.get("code") == "Not Found":
            cause = (
                f"Yahoo does not know {request.symbol}, asked for {_span(request)}; next: check the symbol at "
                "finance.yahoo.com"
            )
            return Failed(request.symbol, "unknown_symbol", cause)
        empty = status == 200 and "meta" in result and isinstance(error, exceptions.YFPricesMissingError)
        if empty or str(told.get("description")).startswith("Data doesn't exist"):
            return _no_data(request)
        found = f"HTTP {status}, {told.get('code') or type(error).__name__}"
        if status in (401, 403):
            cause = (
                f"Yahoo refuses {_asked(request)} ({found}), also with a fresh crumb; next: try again later, and if it "
                "stays so, with a newer yfinance"
            )
            return Failed(request.symbol, "unauthorized", cause)
        return _bad_payload(request, f"is not a price history ({found})")

    def _without_answer(self, request: FetchRequest, error: OSError) -> Failed:
        """Tell the connection failures of requests and of curl_cffi apart; their names are the same."""
        name = type(error).__name__
        if "timeout" in name.lower() or "timed out" in str(error).lower():
            cause = f"Yahoo did not answer within {self._timeout_s:g} s for {_asked(request)}; next: try again later"
            return Failed(request.symbol, "timeout", cause)
        if name in _CUT_SHORT:
            return _bad_payload(request, f"broke off ({name})")
        cause = (
            f"Yahoo cannot be reached for {_asked(request)} ({name}); next: check the network, or tickercast run "
            "--source sample without it"
        )
        return Failed(request.symbol, "network_down", cause)


def _span(request: FetchRequest) -> str:
    return f"from {request.first.date()} to {request.last.date()}"


def _asked(request: FetchRequest) -> str:
    return f"{request.symbol} {_span(request)}"


def _no_data(request: FetchRequest) -> Failed:
    cause = (
        f"Yahoo knows {request.symbol} and has no prices of it {_span(request)}; next: leave it out, or ask again once "
        "it has traded"
    )
    return Failed(request.symbol, "no_data_in_range", cause)


def _bad_payload(request: FetchRequest, what: str) -> Failed:
    return Failed(request.symbol, "bad_payload", f"Yahoo's answer for {_asked(request)} {what}; next: try again later")


def _refuse(request: FetchRequest) -> Failed | None:
    """Return why there is nothing to ask Yahoo for, if so."""
    symbol = request.symbol
    if _ISIN.fullmatch(symbol):  # yfinance would look up some symbol for it and return that one's prices
        cause = f"{symbol}, asked for {_span(request)}, is an ISIN and no symbol of Yahoo; next: ask by its symbol"
        return Failed(symbol, "unknown_symbol", cause)
    try:
        calendar = calendar_of(symbol)
        session = target_session(calendar, request.first - pd.Timedelta(days=1), 1)
    except DataError:
        return None  # Yahoo may know the exchange
    if session <= request.last:
        return None
    cause = (
        f"{symbol} was asked for {_span(request)}, when {calendar} has no session; next: ask again once its next "
        f"session, {session.date()}, is complete"
    )
    return Failed(symbol, "market_closed", cause)


def _content(answer: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what an answer of Yahoo holds, and the error it tells; empty where it does not."""
    try:
        told = next(iter(answer.json().values()))  # under "chart", or under "finance" where a crumb is refused
        return (told["result"] or [{}])[0], told["error"] or {}
    except (AttributeError, LookupError, StopIteration, TypeError, ValueError):
        return {}, {}


def _read(request: FetchRequest, raw: pd.DataFrame, details: Mapping[str, Any]) -> FetchResult:
    """Return yfinance's frame as traded, with the instrument that Yahoo's metadata describe."""
    symbol, currency, zone = request.symbol, details["currency"], details["exchangeTimezoneName"]
    if raw.empty:
        return _no_data(request)
    if not (re.fullmatch(CURRENCY_RULE, str(currency)) and zone):
        return _bad_payload(request, "names no currency or time zone")
    try:
        calendar = calendar_from(details, symbol)
        agrees = keeps_time_of(calendar, zone)
    except DataError as error:
        return Failed(symbol, "other_exchange", str(error))
    if not agrees:
        exchange = details["fullExchangeName"] or details["exchangeName"] or "an unnamed exchange"
        cause = (
            f"{_asked(request)} trades on {exchange} by the clocks of {zone}, which are not those of {calendar}; its "
            "sessions are not guessed; next: leave it out"
        )
        return Failed(symbol, "other_exchange", cause)
    fetched = as_traded(Instrument(symbol, YahooProvider.source, calendar, currency, zone), raw, request.last)
    return fetched if len(fetched.bars) else _no_data(request)


def as_traded(instrument: Instrument, raw: pd.DataFrame, last: pd.Timestamp) -> Fetched:
    """Return yfinance's frame up to a session as traded: the adjustment for all its splits, later ones too, undone."""
    sessions = pd.DatetimeIndex(raw.index.tz_localize(None)).normalize().as_unit("us").rename("session")
    raw = raw.set_axis(sessions)
    splits = raw["Stock Splits"][raw["Stock Splits"] > 0]
    dividends = (raw["Dividends"] * split_factors(sessions, splits))[raw["Dividends"] > 0]
    # only now: an event may stand on a session without a price, or on one that is not complete yet
    raw = raw[raw["Close"].notna() & (sessions <= last)]
    sessions = pd.DatetimeIndex(raw.index)
    factors = split_factors(sessions, splits)
    bars = pd.DataFrame(
        {
            "symbol": instrument.symbol,
            "session": sessions,
            **{c: raw[c.title()].to_numpy() * factors for c in ("open", "high", "low", "close")},
            "volume": raw["Volume"].to_numpy() / factors,
        }
    )
    events = pd.concat(
        [
            pd.DataFrame(
                {"symbol": instrument.symbol, "session": s.index, "kind": kind, "value": s.to_numpy("float64")}
            )
            for kind, s in (("split", splits[splits.index <= last]), ("dividend", dividends[dividends.index <= last]))
        ],
        ignore_index=True,
    )
    return Fetched(instrument, bars, events)
