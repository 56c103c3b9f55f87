"""A small stand-in for Yahoo's chart service on this machine, and a session that leads yfinance to it."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pandas as pd
import requests
from requests.adapters import HTTPAdapter

from forecasting.sessions import session_open

MAINTENANCE = (200, "text/html", "<html><body>Will be right back...</body></html>")
HTML = (200, "text/html", "<html><body>Please agree to our terms.</body></html>")
TOO_MANY = (429, "text/plain", "Too Many Requests")
UNAVAILABLE = (503, "text/html", "<html><body>Service Unavailable</body></html>")


def _json(status: int, result: object, error: object = None) -> tuple[int, str, str]:
    return status, "application/json", json.dumps({"chart": {"result": result, "error": error}})


NOT_FOUND = _json(404, None, {"code": "Not Found", "description": "No data found, symbol may be delisted"})


@dataclass
class Listing:
    """What Yahoo knows of a symbol: bars as traded, from which it serves split-adjusted ones."""

    symbol: str
    bars: pd.DataFrame  # index session; open, high, low, close, volume as traded
    splits: dict[pd.Timestamp, float] = field(default_factory=dict)
    dividends: dict[pd.Timestamp, float] = field(default_factory=dict)  # as paid
    calendar: str = "XNYS"
    currency: str = "USD"
    time_zone: str = "America/New_York"

    def _opened(self, session: pd.Timestamp) -> int:
        return int(session_open(self.calendar, session).timestamp())

    def _since(self, session: pd.Timestamp) -> float:
        """Return by how much shares have multiplied after a session, up to today."""
        factor = 1.0
        for day, ratio in self.splits.items():
            if session < day:
                factor *= ratio
        return factor

    def chart(self, first: float, end: float) -> tuple[int, str, str]:
        """Answer with the bars and events whose opening lies in [first, end)."""
        rows = [(self._opened(s), s, row) for s, row in self.bars.iterrows() if first <= self._opened(s) < end]
        meta = {
            "currency": self.currency,
            "symbol": self.symbol,
            "instrumentType": "EQUITY",
            "exchangeTimezoneName": self.time_zone,
            "gmtoffset": -18000,
            "timezone": "EST",
            "dataGranularity": "1d",
            "validRanges": ["1d", "5d", "max"],
        }
        if not rows:
            return _json(200, [{"meta": meta, "indicators": {"quote": [{}], "adjclose": [{}]}}])
        quote = {
            name: [None if pd.isna(row[name]) else row[name] / self._since(s) for _, s, row in rows]
            for name in ("open", "high", "low", "close")
        }
        quote["volume"] = [None if pd.isna(r["volume"]) else round(r["volume"] * self._since(s)) for _, s, r in rows]
        events = {
            "splits": {
                str(self._opened(s)): {"date": self._opened(s), "numerator": r, "denominator": 1}
                for s, r in self.splits.items()
                if first <= self._opened(s) < end
            },
            "dividends": {
                str(self._opened(s)): {"date": self._opened(s), "amount": amount / self._since(s)}
                for s, amount in self.dividends.items()
                if first <= self._opened(s) < end
            },
        }
        result = {
            "meta": meta,
            "timestamp": [t for t, _, _ in rows],
            "events": {kind: found for kind, found in events.items() if found},
            "indicators": {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]},
        }
        return _json(200, [result])


class YahooServer:
    """Answers for its listings; `plan[symbol]` holds answers to give first, one per request for bars."""

    def __init__(self) -> None:
        self.listings: dict[str, Listing] = {}
        self.plan: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                status, kind, text = owner.answer(parts.path, query)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, str, str]:
        chart, _, symbol = path.rpartition("/")
        with self._lock:
            self.requests.append((path, query))
            if path == "/v1/test/getcrumb":
                return 200, "text/plain", "crumb"
            if chart != "/v8/finance/chart":
                return 404, "text/plain", "not found"  # as the cookie host answers
            if self.plan[symbol]:
                return self.plan[symbol].pop(0)
            if symbol not in self.listings:
                return NOT_FOUND
        listing = self.listings[symbol]
        if "range" in query:
            return listing.chart(listing._opened(listing.bars.index[-1]), float("inf"))
        return listing.chart(float(query["period1"]), float(query["period2"]))

    def charts(self, symbol: str) -> list[dict[str, str]]:
        """Return the queries of the requests for a symbol's chart."""
        return [query for path, query in self.requests if path == f"/v8/finance/chart/{symbol}"]

    @contextmanager
    def serving(self) -> Iterator["YahooServer"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class _ToThisMachine(HTTPAdapter):
    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def send(self, request, *args, **kwargs):
        parts = urlsplit(request.url)
        request = request.copy()
        request.headers["Host"] = parts.netloc
        request.url = urlunsplit(("http", f"127.0.0.1:{self._port}", parts.path, parts.query, ""))
        return super().send(request, *args, **kwargs)


def session_to(port: int) -> requests.Session:
    """Return a session whose every request goes to a port of this machine, whatever its host."""
    session = requests.Session()
    session.trust_env = False  # the guard's proxies are for those who leave this machine
    session.mount("https://", _ToThisMachine(port))
    session.mount("http://", _ToThisMachine(port))
    return session
