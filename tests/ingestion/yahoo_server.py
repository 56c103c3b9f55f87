"""A small stand-in for Yahoo's chart service on this machine, and a session that leads yfinance to it."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pandas as pd
import requests
from requests.adapters import HTTPAdapter

from forecasting.sessions import session_open


@dataclass(frozen=True)
class Answer:
    """What the server sends.

    `cut` breaks it off before its end, `held` keeps it back until the server is told; both stop it half-way.
    """

    status: int
    kind: str
    text: str
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    held: bool = False


def chart(status: int, result: object, error: object = None) -> Answer:
    return Answer(status, "application/json", json.dumps({"chart": {"result": result, "error": error}}))


HTML = Answer(200, "text/html", "<html><body>Please agree to our terms.</body></html>")
MAINTENANCE = Answer(200, "text/html", "<html><body>Will be right back...</body></html>")
NO_START = chart(
    400, None, {"code": "Bad Request", "description": "Data doesn't exist for startDate = 1577836800, endDate = 1e9"}
)
NOT_FOUND = chart(404, None, {"code": "Not Found", "description": "No data found, symbol may be delisted"})
SERVER_ERROR = chart(500, None, {"code": "internal-error", "description": "Something, symbol may be delisted"})
SLOW = Answer(200, "application/json", "{}", held=True)
TOO_MANY = Answer(429, "text/plain", "Too Many Requests")
TRUNCATED = Answer(200, "application/json", '{"chart":{"result":[{"meta":{"currency":"USD",', cut=True)
UNAVAILABLE = Answer(503, "text/html", "<html><body>Service Unavailable</body></html>")
WRONG_CRUMB = Answer(
    401,
    "application/json",
    json.dumps({"finance": {"result": None, "error": {"code": "Unauthorized", "description": "Invalid Crumb"}}}),
)


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
    exchange: str | None = "NMS"
    kind: str = "EQUITY"

    def _opened(self, session: pd.Timestamp) -> int:
        return int(session_open(self.calendar, session).timestamp())

    def _since(self, session: pd.Timestamp) -> float:
        """Return by how much shares have multiplied after a session, up to today."""
        factor = 1.0
        for day, ratio in self.splits.items():
            if session < day:
                factor *= ratio
        return factor

    def chart(self, first: float, end: float) -> Answer:
        """Answer with the bars and events whose opening lies in [first, end)."""
        rows = [(self._opened(s), s, row) for s, row in self.bars.iterrows() if first <= self._opened(s) < end]
        meta = {
            "currency": self.currency,
            "symbol": self.symbol,
            "exchangeName": self.exchange,
            "fullExchangeName": self.exchange,
            "instrumentType": self.kind,
            "exchangeTimezoneName": self.time_zone,
            "gmtoffset": -18000,
            "timezone": "EST",
            "dataGranularity": "1d",
            "validRanges": ["1d", "5d", "max"],
        }
        if not rows:
            return chart(200, [{"meta": meta, "indicators": {"quote": [{}], "adjclose": [{}]}}])
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
        return chart(200, [result])


class YahooServer:
    """Answers for its listings.

    Attributes
    ----------
    plan : by symbol, answers to give first, one per request for its chart
    fixed : by symbol, the answer to every further request for its chart
    limit : how many requests for charts are answered before each further one gets a 429
    crumb : what it hands out; none, and it answers 429 to who asks for one
    crumb_needed : whether a chart needs the cookie and the present crumb
    requests : path and query of every request
    holding : set once an answer is held
    released : to be set for the answers held
    """

    def __init__(self) -> None:
        self.listings: dict[str, Listing] = {}
        self.plan: dict[str, list[Answer]] = defaultdict(list)
        self.fixed: dict[str, Answer] = {}
        self.limit: int | None = None
        self.crumb, self.crumb_needed = "crumb", False
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.holding, self.released = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                answer = owner.answer(parts.path, query, self.headers.get("Cookie", ""))
                body = answer.text.encode()
                if answer.held and not answer.cut:
                    owner.hold()
                with suppress(OSError):  # whoever asked may have given up
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Type", answer.kind)
                    self.send_header("Content-Length", str(len(body) + 1000 * answer.cut))
                    self.end_headers()
                    self.wfile.write(body)
                if answer.held and answer.cut:
                    owner.hold()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def hold(self) -> None:
        self.holding.set()
        self.released.wait(30)

    def answer(self, path: str, query: dict[str, str], cookie: str) -> Answer:
        base, _, symbol = path.rpartition("/")
        with self._lock:
            self.requests.append((path, query))
            if path == "/":
                headers = {"Set-Cookie": "A3=cookie; Domain=.yahoo.com; Path=/; Max-Age=86400"}
                return Answer(404, "text/plain", "not found", headers)  # as the cookie host answers
            if path == "/v1/test/getcrumb":
                return Answer(200, "text/plain", self.crumb) if self.crumb else TOO_MANY
            if base != "/v8/finance/chart":
                return Answer(404, "text/plain", "not found")
            if self.limit is not None:
                self.limit -= 1
                if self.limit < 0:
                    return TOO_MANY
            if self.crumb_needed and not (query.get("crumb") == self.crumb and "A3=cookie" in cookie):
                return WRONG_CRUMB
            if self.plan[symbol]:
                return self.plan[symbol].pop(0)
            if symbol in self.fixed:
                return self.fixed[symbol]
            if symbol not in self.listings:
                return NOT_FOUND
        listing = self.listings[symbol]
        if "range" in query:
            return listing.chart(listing._opened(listing.bars.index[-1]), float("inf"))
        return listing.chart(float(query["period1"]), float(query["period2"]))

    def charts(self, symbol: str = "") -> list[dict[str, str]]:
        """Return the queries of the requests for charts of the symbols that begin so."""
        return [query for path, query in self.requests if path.startswith(f"/v8/finance/chart/{symbol}")]

    @contextmanager
    def serving(self) -> Iterator["YahooServer"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
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
