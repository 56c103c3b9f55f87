"""Live prices from Yahoo through yfinance, one `Ticker.history` request per symbol.

`yfinance.download` is not used: it raises for no failure at all. Error answers that yfinance caches in
the process are cleared before each attempt, or a retry would never reach the network.
"""

import json
import logging
import threading
import warnings
from typing import Any

import pandas as pd
import tenacity

from forecasting.bars import Instrument, split_factors
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest, FetchResult, Provider
from forecasting.sessions import calendar_of, keeps_time_of

_TIMEOUT_S = 20


class _Transient(Exception):
    def __init__(self, kind: str, cause: str) -> None:
        super().__init__(cause)
        self.kind = kind
        self.cause = cause


class YahooProvider(Provider):
    """Serves what Yahoo lists.

    Parameters
    ----------
    session
        A `requests` or `curl_cffi` session to use instead of yfinance's own.
    attempts
        How often a request is tried while the network or Yahoo fails.
    wait_s
        Seconds before the second attempt; doubled for each further one.
    """

    source = "yahoo"

    def __init__(self, session: Any = None, attempts: int = 3, wait_s: float = 1.0) -> None:
        import yfinance

        logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # every failure is in the result
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="yfinance")
        yfinance.config.debug.hide_exceptions = False
        self._yfinance = yfinance
        self._session = session
        self._rate_limited = threading.Event()
        self._retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Transient),
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential(multiplier=wait_s, max=30),
            reraise=True,
        )

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the bars Yahoo has for the request, or the cause it has none."""
        try:
            return self._retry.copy()(self._attempt, request)
        except _Transient as error:
            return Failed(request.symbol, error.kind, error.cause)
        except Exception as error:  # one symbol's surprise must not end the others' batch
            cause = f"an unexpected {type(error).__name__} ({error}); next: leave it out, and report this line"
            return Failed(request.symbol, "unexpected", cause)

    def _attempt(self, request: FetchRequest) -> FetchResult:
        symbol = request.symbol
        limited = Failed(
            symbol, "rate_limited", "Yahoo limits how often it is asked; next: the same command in an hour"
        )
        if self._rate_limited.is_set():
            return limited
        errors = self._yfinance.exceptions
        self._yfinance.data.YfData.cache_get.cache_clear()
        no_data = Failed(
            symbol,
            "no_data",
            f"Yahoo has no prices of {symbol} from {request.first.date()} to {request.last.date()}; "
            "next: check the symbol at finance.yahoo.com",
        )
        try:
            ticker = self._yfinance.Ticker(symbol, session=self._session)
            raw = ticker.history(
                start=request.first.date().isoformat(),
                # Past today: prices are adjusted for every split up to now, wherever the request ends.
                end=(pd.Timestamp.now("UTC") + pd.Timedelta(days=2)).date().isoformat(),
                auto_adjust=False,
                actions=True,
                timeout=_TIMEOUT_S,
            )
            # By key: going through all of them makes yfinance ask for intraday bars.
            details = {key: (ticker.history_metadata or {}).get(key) for key in ("currency", "exchangeTimezoneName")}
        except errors.YFRateLimitError:
            self._rate_limited.set()
            return limited
        except (errors.YFTzMissingError, errors.YFPricesMissingError, IndexError):
            return no_data
        except (errors.YFException, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise _Transient(
                "bad_payload",
                f"Yahoo's answer is not a price history ({type(error).__name__}); next: try again later",
            ) from error
        except Exception as error:
            if (found := _network_failure(error)) is None:
                raise
            raise _Transient(*found) from error
        if raw.empty:
            return no_data
        if not (details["currency"] and details["exchangeTimezoneName"]):
            raise _Transient("bad_payload", "Yahoo's answer names no currency or time zone; next: try again later")
        if not keeps_time_of(calendar_of(symbol), details["exchangeTimezoneName"]):
            return Failed(
                symbol,
                "other_exchange",
                f"{symbol} trades in {details['exchangeTimezoneName']}, its symbol suggests {calendar_of(symbol)}; its "
                "sessions are not guessed; next: leave it out",
            )
        fetched = as_traded(symbol, raw, details, request.last)
        return fetched if len(fetched.bars) else no_data


def _network_failure(error: Exception) -> tuple[str, str] | None:
    """Tell connection failures of requests and of curl_cffi apart; both derive from OSError."""
    if not isinstance(error, OSError):
        return None
    if "timeout" in type(error).__name__.lower():
        return "timeout", f"Yahoo did not answer within {_TIMEOUT_S} s; next: try again later"
    return (
        "network_down",
        "Yahoo cannot be reached; next: check the network, or tickercast run --source sample without it",
    )


def as_traded(symbol: str, raw: pd.DataFrame, details: dict[str, Any], last: pd.Timestamp) -> Fetched:
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
            "symbol": symbol,
            "session": sessions,
            **{c: raw[c.title()].to_numpy() * factors for c in ("open", "high", "low", "close")},
            "volume": raw["Volume"].to_numpy() / factors,
        }
    )
    events = pd.concat(
        [
            pd.DataFrame({"symbol": symbol, "session": s.index, "kind": kind, "value": s.to_numpy("float64")})
            for kind, s in (("split", splits[splits.index <= last]), ("dividend", dividends[dividends.index <= last]))
        ],
        ignore_index=True,
    )
    instrument = Instrument(
        symbol,
        YahooProvider.source,
        calendar_of(symbol),
        str(details["currency"]),
        str(details["exchangeTimezoneName"]),
    )
    return Fetched(instrument, bars, events)
