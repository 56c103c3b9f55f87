import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
import yfinance
from helpers import random_walk
from ingestion.yahoo_server import (
    HTML,
    MAINTENANCE,
    NOT_FOUND,
    TOO_MANY,
    UNAVAILABLE,
    Listing,
    YahooServer,
    session_to,
)

from forecasting.ingestion.provider import Failed, Fetched, FetchRequest
from forecasting.ingestion.yahoo import YahooProvider

FIRST, LAST = pd.Timestamp("2018-11-01"), pd.Timestamp("2018-12-31")
SPLIT, DIVIDEND = pd.Timestamp("2018-12-10"), pd.Timestamp("2018-11-20")


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    yfinance.set_tz_cache_location(str(tmp_path_factory.mktemp("yfinance")))


@pytest.fixture(autouse=True)
def _fresh_client(monkeypatch):
    """Start each test without the cookies and the session of the one before, which yfinance keeps."""
    monkeypatch.setattr(yfinance.data.SingletonMeta, "_instances", {})
    monkeypatch.setattr(yfinance.base, "_tz_info_fetch_ctr", 2)


@pytest.fixture
def server():
    with YahooServer().serving() as running:
        yield running


@pytest.fixture
def provider(server):
    with closing(session_to(server.port)) as session:
        yield YahooProvider(session, attempts=3, wait_s=0.0)


def listed(server, symbol, **details) -> Listing:
    server.listings[symbol] = Listing(symbol, random_walk("AAA", bars=60).bars, **details)
    return server.listings[symbol]


def ask(provider, symbol, first=FIRST, last=LAST):
    return provider.fetch(FetchRequest(symbol, first, last))


def test_bars_come_back_as_traded_with_their_split_and_dividend(server, provider):
    listing = listed(server, "SPLT", splits={SPLIT: 4.0}, dividends={DIVIDEND: 0.5})
    fetched = ask(provider, "SPLT")
    assert isinstance(fetched, Fetched)
    wanted = listing.bars.loc[FIRST:LAST]
    assert fetched.bars["session"].tolist() == wanted.index.tolist()
    for column in ("open", "high", "low", "close", "volume"):
        assert fetched.bars[column].to_numpy() == pytest.approx(wanted[column].to_numpy(), rel=1e-12)
    assert fetched.events.to_dict("records") == [
        {"symbol": "SPLT", "session": SPLIT, "kind": "split", "value": 4.0},
        {"symbol": "SPLT", "session": DIVIDEND, "kind": "dividend", "value": 0.5},
    ]
    assert fetched.instrument.currency == "USD"


def test_the_request_includes_its_last_session(server, provider):
    listed(server, "LAST")
    fetched = ask(provider, "LAST", last=pd.Timestamp("2018-12-28"))
    assert isinstance(fetched, Fetched)
    assert fetched.bars["session"].iloc[-1] == pd.Timestamp("2018-12-28")


def test_a_split_after_the_last_session_asked_for_does_not_change_what_traded(server, provider):
    # on the morning of a split Yahoo's history is already restated, and that session is not complete
    listing = listed(server, "MORN", splits={SPLIT: 4.0})
    before = SPLIT - pd.Timedelta(days=3)
    fetched = ask(provider, "MORN", last=before)
    assert isinstance(fetched, Fetched)
    assert fetched.bars["session"].iloc[-1] == before
    assert fetched.bars["close"].to_numpy() == pytest.approx(
        listing.bars["close"].loc[FIRST:before].to_numpy(), rel=1e-12
    )
    assert fetched.events.empty


def test_a_split_on_a_session_without_a_price_still_counts(server, provider):
    listing = listed(server, "HALT", splits={SPLIT: 4.0})
    listing.bars.loc[SPLIT] = np.nan
    fetched = ask(provider, "HALT")
    assert isinstance(fetched, Fetched)
    wanted = listing.bars["close"].loc[FIRST:LAST].dropna()
    assert fetched.bars["close"].to_numpy() == pytest.approx(wanted.to_numpy(), rel=1e-12)
    assert fetched.events["session"].tolist() == [SPLIT]


def test_currency_time_zone_and_calendar_are_those_of_the_listing(server, provider):
    listed(server, "PENC.L", calendar="XLON", currency="GBp", time_zone="Europe/London")
    server.listings["PENC.L"].bars = server.listings["PENC.L"].bars.drop(pd.Timestamp("2018-12-26"))
    fetched = ask(provider, "PENC.L")
    assert isinstance(fetched, Fetched)
    instrument = fetched.instrument
    assert (instrument.currency, instrument.time_zone, instrument.calendar) == ("GBp", "Europe/London", "XLON")
    assert fetched.bars["session"].dt.tz is None
    assert fetched.bars["session"].iloc[-1] == pd.Timestamp("2018-12-31")


def test_a_bar_without_a_price_is_left_out(server, provider):
    listing = listed(server, "NULL")
    listing.bars.loc[pd.Timestamp("2018-12-20")] = np.nan
    fetched = ask(provider, "NULL")
    assert isinstance(fetched, Fetched)
    assert pd.Timestamp("2018-12-20") not in fetched.bars["session"].tolist()
    assert len(fetched.bars) == len(listing.bars.loc[FIRST:LAST]) - 1


def test_a_symbol_takes_one_request_for_its_time_zone_and_one_for_its_bars(server, provider):
    listed(server, "ONCE")
    ask(provider, "ONCE")
    assert [sorted(set(q) & {"range", "period1"}) for q in server.charts("ONCE")] == [["range"], ["period1"]]
    ask(provider, "ONCE")
    assert len(server.charts("ONCE")) == 3


@pytest.mark.parametrize("tries", [0, 2], ids=["first of the process", "later"])
def test_an_unknown_symbol_has_no_data_and_is_asked_for_once(server, provider, monkeypatch, tries):
    monkeypatch.setattr(yfinance.base, "_tz_info_fetch_ctr", tries)
    failed = ask(provider, "NOPE")
    assert isinstance(failed, Failed)
    assert failed.kind == "no_data"
    assert "check the symbol" in failed.cause
    if tries:
        assert len(server.charts("NOPE")) == 2  # yfinance itself asks twice after an error


def test_a_symbol_without_bars_in_the_request_has_no_data(server, provider):
    listed(server, "IDLE")
    failed = ask(provider, "IDLE", pd.Timestamp("2017-01-03"), pd.Timestamp("2017-01-31"))
    assert isinstance(failed, Failed)
    assert failed.kind == "no_data"


def test_what_looks_like_an_isin_is_a_failure_and_not_an_exception(server, provider):
    failed = ask(provider, "US0378331005")
    assert isinstance(failed, Failed)
    assert "US0378331005" in (failed.symbol, failed.cause)


def test_an_outage_is_tried_again_until_it_ends(server, provider):
    listing = listed(server, "BACK")
    server.plan["BACK"] = [UNAVAILABLE] * 4  # two attempts: yfinance asks twice after an error
    fetched = ask(provider, "BACK")
    assert isinstance(fetched, Fetched)
    assert len(fetched.bars) == len(listing.bars.loc[FIRST:LAST])


@pytest.mark.parametrize("answer", [UNAVAILABLE, HTML, MAINTENANCE], ids=["503", "html", "maintenance"])
@pytest.mark.parametrize("where", ["time zone", "bars"])
def test_an_outage_that_does_not_end_is_named_after_the_last_attempt(server, provider, answer, where):
    symbol = f"DOWN{'TB'[where == 'bars']}{len(answer[2])}"
    listed(server, symbol)
    if where == "bars":
        ask(provider, symbol)  # the time zone is known from here on
    server.requests.clear()
    server.plan[symbol] = [answer] * 100
    failed = ask(provider, symbol, last=LAST - pd.Timedelta(days=1))
    assert isinstance(failed, Failed)
    assert failed.kind == "bad_payload"
    assert "try again later" in failed.cause
    assert len(server.charts(symbol)) in (3, 6)  # each of three attempts reached the server


def test_a_rate_limit_stops_the_whole_batch(server, provider):
    listed(server, "SLOW")
    listed(server, "NEXT")
    server.plan["SLOW"] = [TOO_MANY] * 100
    failed = ask(provider, "SLOW")
    assert isinstance(failed, Failed)
    assert failed.kind == "rate_limited"
    limited = len(server.charts("SLOW"))
    assert limited <= 2
    after = ask(provider, "NEXT")
    assert isinstance(after, Failed)
    assert after.kind == "rate_limited"
    assert server.charts("NEXT") == []


def test_a_network_that_is_down_is_named():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with closing(session_to(port)) as session:
        failed = ask(YahooProvider(session, attempts=2, wait_s=0.0), "AAPL")
    assert isinstance(failed, Failed)
    assert failed.kind == "network_down"
    assert "--source sample" in failed.cause


def test_symbols_are_fetched_side_by_side(server, provider):
    symbols = [f"PAR{i}" for i in range(16)]
    for symbol in symbols:
        listed(server, symbol)
    server.plan["PAR3"] = [NOT_FOUND] * 100
    barrier = threading.Barrier(8)

    def fetch(i: int):
        if i < 8:
            barrier.wait(10)
        return ask(provider, symbols[i])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(fetch, range(16)))
    assert [isinstance(r, Failed) for r in results] == [i == 3 for i in range(16)]
    assert [r.instrument.symbol for r in results if isinstance(r, Fetched)] == [s for s in symbols if s != "PAR3"]


def test_without_a_session_of_its_own_the_guard_stops_it_at_once():
    result = ask(YahooProvider(), "AAPL")
    assert isinstance(result, Failed)
    assert result.kind == "unexpected"
    assert "tests may only connect to this machine" in result.cause
