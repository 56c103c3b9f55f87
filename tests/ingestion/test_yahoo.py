import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yfinance
from helpers import random_walk, sessions_until, utc
from ingestion.yahoo_server import (
    HTML,
    MAINTENANCE,
    NO_START,
    NOT_FOUND,
    SERVER_ERROR,
    SLOW,
    TOO_MANY,
    TRUNCATED,
    UNAVAILABLE,
    WRONG_CRUMB,
    Answer,
    Listing,
    YahooServer,
    session_to,
)

from forecasting.ingestion.collector import fetch_bars
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest
from forecasting.ingestion.yahoo import YahooProvider
from forecasting.store import PriceStore

FIRST, LAST = pd.Timestamp("2018-11-01"), pd.Timestamp("2018-12-31")
SPLIT, DIVIDEND = pd.Timestamp("2018-12-10"), pd.Timestamp("2018-11-20")
NOW = utc("2018-12-31 22:30")
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "yahoo"
recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="the answers recorded from Yahoo are not here")


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


@pytest.fixture
def dead_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def listed(server, symbol, calendar="XNYS", bars=60, **details) -> Listing:
    frame = random_walk("AAA", bars=bars).bars.set_axis(sessions_until("2018-12-31", bars, calendar))
    server.listings[symbol] = Listing(symbol, frame, calendar=calendar, **details)
    return server.listings[symbol]


def ask(provider, symbol, first=FIRST, last=LAST):
    """Fetch; whatever fails does so in one line that says what to do next, and never guesses at a delisting."""
    result = provider.fetch(FetchRequest(symbol, pd.Timestamp(first), pd.Timestamp(last)))
    if isinstance(result, Failed):
        assert result.symbol == symbol
        assert symbol in result.cause
        assert result.cause.count("; next: ") == 1
        assert "\n" not in result.cause
        assert "delisted" not in result.cause.lower()
        assert (result.retry_at is not None) == (result.kind == "rate_limited")
    return result


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


def test_prices_in_pence_stay_in_pence_and_are_called_so(server, provider):
    london = {"calendar": "XLON", "time_zone": "Europe/London", "exchange": "LSE"}
    listing = listed(server, "PENC.L", currency="GBp", **london)
    fetched = ask(provider, "PENC.L")
    assert isinstance(fetched, Fetched)
    instrument = fetched.instrument
    assert (instrument.currency, instrument.time_zone, instrument.calendar) == ("GBp", "Europe/London", "XLON")
    assert fetched.bars["close"].tolist() == pytest.approx(listing.bars["close"].loc[FIRST:LAST].tolist(), rel=1e-12)


@pytest.mark.parametrize(
    ("symbol", "calendar", "exchange", "time_zone"),
    [
        ("NEAR.L", "XLON", "LSE", "Europe/London"),
        ("EAST.T", "XTKS", "JPX", "Asia/Tokyo"),  # opens at midnight in UTC
        ("SOUT.AX", "XASX", "ASX", "Australia/Sydney"),  # opens on the day before in UTC
        ("COIN-USD", "24/7", "CCC", "UTC"),
        ("WEST", "XNYS", "NYQ", "America/New_York"),
    ],
)
def test_a_bar_belongs_to_the_date_where_it_traded_in_summer_and_in_winter_time(
    server, provider, symbol, calendar, exchange, time_zone
):
    listing = listed(server, symbol, calendar, bars=100, exchange=exchange, time_zone=time_zone)
    fetched = ask(provider, symbol, listing.bars.index[0])
    assert isinstance(fetched, Fetched)
    assert fetched.bars["session"].tolist() == listing.bars.index.tolist()
    assert fetched.bars["session"].dt.tz is None
    assert (fetched.instrument.calendar, fetched.instrument.time_zone) == (calendar, time_zone)


def test_a_coin_has_a_bar_on_every_day_of_the_week(server, provider):
    listed(server, "DAY-USD", "24/7", bars=61, exchange="CCC", kind="CRYPTOCURRENCY", time_zone="UTC")
    fetched = ask(provider, "DAY-USD")
    assert isinstance(fetched, Fetched)
    assert fetched.bars["session"].tolist() == list(pd.date_range(FIRST, LAST))


def test_a_session_that_closes_early_is_a_session(server, provider):
    listed(server, "EARL")
    fetched = ask(provider, "EARL", "2018-11-22", "2018-11-26")
    assert isinstance(fetched, Fetched)
    assert [str(day.date()) for day in fetched.bars["session"]] == ["2018-11-23", "2018-11-26"]


def test_the_metadata_decide_on_the_calendar_before_the_symbol_does(server, provider):
    listed(server, "ELSE.XX", "XLON", time_zone="Europe/London", exchange="LSE")
    listed(server, "OVER", "XTSE", time_zone="America/Toronto", exchange="TOR")
    calendars = [r.instrument.calendar for s in ("ELSE.XX", "OVER") if isinstance(r := ask(provider, s), Fetched)]
    assert calendars == ["XLON", "XTSE"]


@pytest.mark.parametrize(
    ("symbol", "exchange", "time_zone"),
    [("NONE.XX", None, "Europe/London"), ("NEW.XX", "???", "Europe/London"), ("FAR", "NYQ", "Europe/London")],
)
def test_an_exchange_that_is_not_known_or_keeps_other_time_is_not_guessed(
    server, provider, symbol, exchange, time_zone
):
    listed(server, symbol, "XLON", exchange=exchange, time_zone=time_zone)
    failed = ask(provider, symbol)
    assert isinstance(failed, Failed)
    assert failed.kind == "other_exchange"
    assert "not guessed" in failed.cause


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
def test_a_symbol_yahoo_does_not_know_is_named_and_asked_for_once(server, provider, monkeypatch, tries):
    monkeypatch.setattr(yfinance.base, "_tz_info_fetch_ctr", tries)
    failed = ask(provider, "NOPE")
    assert isinstance(failed, Failed)
    assert failed.kind == "unknown_symbol"
    assert "check the symbol" in failed.cause
    assert len(server.charts("NOPE")) == 2  # yfinance itself asks twice after an error


def test_a_symbol_that_yahoo_ceased_to_know_is_named(server, provider):
    listed(server, "GONE")
    ask(provider, "GONE")  # its time zone is known from here on
    del server.listings["GONE"]
    failed = ask(provider, "GONE")
    assert isinstance(failed, Failed)
    assert failed.kind == "unknown_symbol"


@pytest.mark.parametrize(("first", "last"), [("2017-01-03", "2017-01-31"), ("2019-01-02", "2019-01-31")])
def test_a_known_symbol_without_bars_in_the_request_is_named(server, provider, first, last):
    listed(server, "IDLE")
    failed = ask(provider, "IDLE", first, last)
    assert isinstance(failed, Failed)
    assert failed.kind == "no_data_in_range"
    assert f"Yahoo knows IDLE and has no prices of it from {first} to {last}" in failed.cause


@pytest.mark.parametrize("where", ["time zone", "bars"])
def test_a_request_that_yahoo_says_has_no_data_is_named_and_not_tried_again(server, provider, where):
    symbol = f"START{'TB'[where == 'bars']}"
    listed(server, symbol)
    if where == "bars":
        ask(provider, symbol)
    server.requests.clear()
    server.fixed[symbol] = NO_START
    failed = ask(provider, symbol)
    assert isinstance(failed, Failed)
    assert failed.kind == "no_data_in_range"
    assert len(server.charts(symbol)) == 2


@pytest.mark.parametrize(
    ("symbol", "first", "last", "following"),
    [("AAPL", "2018-12-22", "2018-12-23", "2018-12-24"), ("7203.T", "2018-12-31", "2019-01-03", "2019-01-04")],
)
def test_a_closed_market_is_named_with_its_next_session_and_yahoo_is_not_asked(
    server, provider, symbol, first, last, following
):
    failed = ask(provider, symbol, first, last)
    assert isinstance(failed, Failed)
    assert failed.kind == "market_closed"
    assert following in failed.cause
    assert server.requests == []


def test_an_isin_is_not_exchanged_for_some_symbol(server, provider):
    failed = ask(provider, "US0378331005")
    assert isinstance(failed, Failed)
    assert failed.kind == "unknown_symbol"
    assert server.requests == []


def test_a_chart_is_asked_for_with_yahoos_cookie_and_crumb(server, provider):
    server.crumb_needed = True
    listed(server, "CRMB")
    assert isinstance(ask(provider, "CRMB"), Fetched)
    server.crumb = "another"  # the one it has is refused once and exchanged
    assert isinstance(ask(provider, "CRMB"), Fetched)
    assert [query["crumb"] for query in server.charts("CRMB")] == ["crumb", "crumb", "crumb", "another"]


def test_a_crumb_that_yahoo_keeps_refusing_is_named(server, provider):
    listed(server, "DENY")
    server.fixed["DENY"] = WRONG_CRUMB
    failed = ask(provider, "DENY")
    assert isinstance(failed, Failed)
    assert failed.kind == "unauthorized"
    assert "HTTP 401, Unauthorized" in failed.cause
    assert len(server.charts("DENY")) == 2  # the second time with a fresh crumb


def test_a_rate_limit_on_crumbs_alone_stops_nothing(server, provider):
    server.crumb = ""
    listed(server, "BARE")
    assert isinstance(ask(provider, "BARE"), Fetched)


def test_an_outage_is_tried_again_until_it_ends(server, provider):
    listing = listed(server, "BACK")
    server.plan["BACK"] = [UNAVAILABLE] * 4  # two attempts: yfinance asks twice after an error
    fetched = ask(provider, "BACK")
    assert isinstance(fetched, Fetched)
    assert len(fetched.bars) == len(listing.bars.loc[FIRST:LAST])
    assert len(server.charts("BACK")) == 6  # no attempt was given the error that yfinance keeps


@pytest.mark.parametrize(
    "answer",
    [UNAVAILABLE, HTML, MAINTENANCE, SERVER_ERROR, TRUNCATED],
    ids=["503", "html", "maintenance", "500", "truncated"],
)
@pytest.mark.parametrize("where", ["time zone", "bars"])
def test_an_outage_that_does_not_end_is_named_after_the_last_attempt(server, provider, answer, where):
    symbol = f"DOWN{'TB'[where == 'bars']}{len(answer.text)}"
    listed(server, symbol)
    if where == "bars":
        ask(provider, symbol)  # the time zone is known from here on
    server.requests.clear()
    server.fixed[symbol] = answer
    failed = ask(provider, symbol, last=LAST - pd.Timedelta(days=1))
    assert isinstance(failed, Failed)
    assert failed.kind == "bad_payload"
    assert "try again later" in failed.cause
    assert ("broke off" if answer.cut else f"HTTP {answer.status}") in failed.cause
    assert len(server.charts(symbol)) == 3 * (2 if answer.status >= 400 else 1)  # each attempt reached the server


def test_an_answer_without_result_or_error_is_a_bad_payload(server, provider):
    server.fixed["VOID"] = Answer(200, "application/json", '{"chart":{"result":[],"error":null}}')
    failed = ask(provider, "VOID")
    assert isinstance(failed, Failed)
    assert failed.kind == "bad_payload"


@pytest.mark.parametrize("currency", [None, "=1+1", "us dollars"])
def test_an_answer_without_a_currency_is_a_bad_payload(server, provider, currency):
    listed(server, "FREE", currency=currency)
    failed = ask(provider, "FREE")
    assert isinstance(failed, Failed)
    assert failed.kind == "bad_payload"
    assert "names no currency" in failed.cause


@pytest.mark.parametrize("answer", [SLOW, replace(TRUNCATED, held=True)], ids=["from the start", "from half-way"])
@pytest.mark.parametrize("where", ["time zone", "bars"])
def test_an_answer_that_does_not_come_in_time_is_named(server, answer, where):
    symbol = f"LATE{'TB'[where == 'bars']}{len(answer.text)}"
    listed(server, symbol)
    with closing(session_to(server.port)) as session:
        if where == "bars":
            ask(YahooProvider(session), symbol)
        server.requests.clear()
        server.fixed[symbol] = answer
        began = time.monotonic()
        failed = ask(YahooProvider(session, attempts=2, wait_s=0.0, timeout_s=0.2), symbol)
    assert time.monotonic() - began < 5  # yfinance would wait for 10 s or more
    assert isinstance(failed, Failed)
    assert failed.kind == "timeout"
    assert "within 0.2 s" in failed.cause
    assert len(server.charts(symbol)) == 2


def test_bars_that_do_not_come_in_time_are_not_taken_for_the_answer_before_them(server):
    tell = listed(server, "HALF").chart(0, float("inf"))
    server.plan["HALF"] = [tell]
    server.fixed["HALF"] = SLOW
    with closing(session_to(server.port)) as session:
        failed = ask(YahooProvider(session, attempts=1, timeout_s=0.2), "HALF")
    assert isinstance(failed, Failed)
    assert failed.kind == "timeout"


def test_a_network_that_is_down_is_named(dead_port):
    with closing(session_to(dead_port)) as session:
        failed = ask(YahooProvider(session, attempts=2, wait_s=0.0), "AAPL")
    assert isinstance(failed, Failed)
    assert failed.kind == "network_down"
    assert "--source sample" in failed.cause


def test_the_pauses_between_attempts_double_and_are_not_all_the_same(dead_port, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with closing(session_to(dead_port)) as session:
        provider = YahooProvider(session, attempts=4, wait_s=1.0)
        for symbol in ("AAPL", "MSFT"):
            ask(provider, symbol)
    pauses_of_each = np.array(pauses).reshape(2, 3)
    assert (pauses_of_each >= [1, 2, 4]).all()
    assert (pauses_of_each <= [2, 3, 5]).all()
    assert (pauses_of_each[0] != pauses_of_each[1]).all()


def test_the_first_rate_limit_stops_the_whole_batch(server, provider):
    listed(server, "SLOW")
    listed(server, "NEXT")
    server.plan["SLOW"] = [TOO_MANY]
    before = utc("now")
    failed = ask(provider, "SLOW")
    assert isinstance(failed, Failed)
    assert failed.kind == "rate_limited"
    assert failed.retry_at is not None
    assert before + pd.Timedelta(hours=1) <= failed.retry_at <= utc("now") + pd.Timedelta(hours=1)
    assert f"after {failed.retry_at:%Y-%m-%d %H:%M} UTC, which fetches the rest" in failed.cause
    asked = len(server.requests)
    assert len(server.charts()) == 1
    after = ask(provider, "NEXT")
    assert isinstance(after, Failed)
    assert (after.kind, after.retry_at) == ("rate_limited", failed.retry_at)
    assert len(server.requests) == asked


def test_when_to_ask_again_is_what_yahoo_says(server, provider):
    server.fixed["WAIT"] = replace(TOO_MANY, headers={"Retry-After": "120"})
    before = utc("now")
    failed = ask(provider, "WAIT")
    assert isinstance(failed, Failed)
    assert failed.retry_at is not None
    assert before + pd.Timedelta(minutes=2) <= failed.retry_at <= utc("now") + pd.Timedelta(minutes=2)


def test_after_a_rate_limit_another_provider_starts_afresh(server, provider):
    listed(server, "AGAIN")
    server.plan["AGAIN"] = [TOO_MANY]
    assert isinstance(ask(provider, "AGAIN"), Failed)
    with closing(session_to(server.port)) as session:
        assert isinstance(ask(YahooProvider(session), "AGAIN"), Fetched)


@pytest.mark.parametrize("where", ["time zone", "bars"])
def test_what_is_under_way_at_a_rate_limit_is_kept_and_nothing_more_is_asked(server, provider, where):
    symbol = f"HELD{'TB'[where == 'bars']}"
    answer = listed(server, symbol).chart(0, float("inf"))
    if where == "bars":
        ask(provider, symbol)
    server.requests.clear()
    server.plan[symbol] = [replace(answer, held=True)]
    server.fixed["SLOW"] = TOO_MANY
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(ask, provider, symbol)
        assert server.holding.wait(10)
        ask(provider, "SLOW")
        server.released.set()
        result = under_way.result(10)
    assert isinstance(result, Fetched if where == "bars" else Failed)
    assert len(server.charts(symbol)) == 1


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


def test_of_forty_symbols_with_a_bad_one_thirty_nine_arrive_and_one_is_named(server, provider, tmp_path):
    symbols = [f"FORTY{i:02d}" for i in range(40)]
    for symbol in symbols:
        if symbol != "FORTY17":
            listed(server, symbol, bars=5)
    found = fetch_bars(provider, symbols, PriceStore(tmp_path / "prices"), NOW)
    assert sorted(found.instruments) == [s for s in symbols if s != "FORTY17"]
    assert found.bars.groupby("symbol").size().tolist() == [5] * 39
    assert {s: f.kind for s, f in found.failures.items()} == {"FORTY17": "unknown_symbol"}
    assert "Yahoo does not know FORTY17" in found.failures["FORTY17"].cause


def test_a_rate_limit_within_a_batch_keeps_what_came_and_a_later_run_fetches_the_rest(server, provider, tmp_path):
    symbols = [f"LIMIT{i:02d}" for i in range(40)]
    for symbol in symbols:
        listed(server, symbol, bars=5)
    server.limit = 30
    store = PriceStore(tmp_path / "prices")
    found = fetch_bars(provider, symbols, store, NOW)
    came = set(found.instruments)
    assert 11 <= len(came) <= 15  # two requests each, and at most eight symbols under way
    assert found.failures.keys() == set(symbols) - came
    assert {f.kind for f in found.failures.values()} == {"rate_limited"}
    assert all(f.retry_at is not None for f in found.failures.values())
    assert len(server.charts()) <= 30 + 8
    store.append(found.instruments.values(), found.bars, found.events, found.quarantined, NOW)

    server.limit = None
    server.requests.clear()
    with closing(session_to(server.port)) as session:
        rest = fetch_bars(YahooProvider(session), symbols, store, NOW)
    assert not rest.failures
    assert set(rest.instruments) == set(symbols) - came
    assert not any(server.charts(symbol) for symbol in came)


def replay(server, name, symbol):
    """Serve an answer as it was recorded."""
    found = json.loads((RECORDED / f"chart-{name}.json").read_text())
    server.fixed[symbol] = Answer(found["status"], "application/json", json.dumps(found["body"]))
    return found["body"]["chart"]


@recorded
def test_recorded_prices_of_apple_come_out_with_split_and_dividend(server, provider):
    chart = replay(server, "AAPL-2020-08-31-to-2020-11-07", "AAPL")
    fetched = ask(provider, "AAPL", "2020-08-31", "2020-11-06")
    assert isinstance(fetched, Fetched)
    assert fetched.bars["close"].tolist() == chart["result"][0]["indicators"]["quote"][0]["close"]
    assert fetched.bars["session"].tolist() == sessions_until("2020-11-06", 49).tolist()
    assert fetched.events.to_dict("records") == [
        {"symbol": "AAPL", "session": pd.Timestamp("2020-08-31"), "kind": "split", "value": 4.0},
        {"symbol": "AAPL", "session": pd.Timestamp("2020-11-06"), "kind": "dividend", "value": 0.205},
    ]


@recorded
def test_recorded_prices_of_nvidia_are_undone_for_its_split_and_for_one_after_them(server, provider):
    chart = replay(server, "NVDA-split-2021-02-01-to-2022-01-31", "NVDA")
    # the prices were recorded after the split of June 2024; an answer up to today also tells it, and dividends
    opened = chart["result"][0]["timestamp"]
    events = chart["result"][0]["events"]
    events["splits"]["1718026200"] = {"date": 1718026200, "numerator": 10, "denominator": 1, "splitRatio": "10:1"}
    events["dividends"] = {str(opened[25]): {"amount": 0.004, "date": opened[25]}}
    server.fixed["NVDA"] = replace(server.fixed["NVDA"], text=json.dumps({"chart": chart}))
    fetched = ask(provider, "NVDA", "2021-02-01", "2022-01-28")
    assert isinstance(fetched, Fetched)
    closes = fetched.bars.set_index("session")["close"]
    assert closes["2021-02-01"] == pytest.approx(529.48, abs=0.005)
    assert closes["2021-07-19":"2021-07-20"].tolist() == pytest.approx([751.19, 186.12], abs=0.005)
    kinds = fetched.events.set_index("kind")
    assert kinds.loc["split", "value"] == 4.0
    assert kinds.loc["split", "session"] == pd.Timestamp("2021-07-20")
    assert kinds.loc["dividend", "value"] == pytest.approx(0.16)


@recorded
@pytest.mark.parametrize(
    ("name", "calendar", "currency", "closes"),
    [
        ("BTC-USD", "24/7", "USD", {"2020-01-01": 7200.17, "2020-01-02": 6985.47, "2020-01-03": 7344.88}),
        ("OCDO.L", "XLON", "GBp", {"2020-01-02": 1259.5}),
        ("WSU.DE", "XETR", "EUR", {"2023-08-04": 34.45, "2023-08-07": 34.0, "2023-08-08": 33.2}),
    ],
)
def test_recorded_prices_keep_their_dates_and_their_currency(server, provider, name, calendar, currency, closes):
    (file,) = RECORDED.glob(f"chart-{name}-*.json")
    replay(server, file.stem.removeprefix("chart-"), name)
    fetched = ask(provider, name, min(closes), max(closes))
    assert isinstance(fetched, Fetched)
    assert (fetched.instrument.calendar, fetched.instrument.currency) == (calendar, currency)
    bars = fetched.bars.set_index(fetched.bars["session"].dt.date.astype(str))
    assert bars["close"].round(2).to_dict() == closes


@recorded
@pytest.mark.parametrize(
    ("name", "symbol", "kind"),
    [
        ("SI-2020-01-01-to-2020-01-03", "SI", "unknown_symbol"),
        ("BEKE-2020-01-01-to-2020-01-03", "BEKE", "no_data_in_range"),
        ("APS.AX-2020-01-01-to-2020-01-03", "APS.AX", "no_data_in_range"),
        ("notimestamp-quotes-length.fake", "AAPL", "bad_payload"),  # prices, and not a word of when
    ],
)
def test_recorded_answers_without_prices_are_told_apart(server, provider, name, symbol, kind):
    replay(server, name, symbol)
    failed = ask(provider, symbol, "2020-01-01", "2020-01-03")
    assert isinstance(failed, Failed)
    assert failed.kind == kind
