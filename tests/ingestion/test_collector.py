from dataclasses import dataclass, field

import pandas as pd
import pytest
from helpers import events_of, flat_bars, sessions_until, utc

from forecasting.errors import FetchError, InvalidSymbol, UsageError
from forecasting.ingestion.collector import HISTORY_START, SOURCES, fetch_bars, make_provider
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest, Provider
from forecasting.instruments import Instrument
from forecasting.store import PriceStore

NOW = utc("2018-12-31 22:00")  # the year's last session is just complete
DAYS = sessions_until("2018-12-31", 5)  # 24, 26, 27, 28, 31 December


@dataclass
class Stub(Provider):
    """A source whose every answer is given beforehand."""

    answers: dict = field(default_factory=dict)
    source: str = "stub"
    symbols: tuple[str, ...] = ()
    asked: list[FetchRequest] = field(default_factory=list)

    def fetch(self, request):
        self.asked.append(request)
        answer = self.answers.get(request.symbol)
        if answer is None:
            return Failed(request.symbol, "no_data", f"no {request.symbol} here")
        bars, events = answer
        return Fetched(Instrument.from_symbol(request.symbol, self.source), bars, events)


def stub_of(**bars) -> Stub:
    return Stub({symbol: (frame, events_of(symbol)) for symbol, frame in bars.items()})


@pytest.fixture
def store(tmp_path) -> PriceStore:
    return PriceStore(tmp_path / "prices")


def keep(store, found, known_at=NOW) -> int:
    return store.append(found.instruments.values(), found.bars, found.events, found.quarantined, known_at).bars


def test_each_symbol_succeeds_or_fails_by_itself(store):
    stub = stub_of(AAA=flat_bars("AAA", DAYS, range(1, 6)))
    found = fetch_bars(stub, ["BBB", "AAA"], store, NOW)
    assert list(found.instruments) == ["AAA"]
    assert found.bars["close"].tolist() == [1, 2, 3, 4, 5]
    assert {s: (f.kind, f.cause) for s, f in found.failures.items()} == {"BBB": ("no_data", "no BBB here")}
    assert store.instruments() == {}


def test_where_every_symbol_fails_all_causes_are_told(store):
    with pytest.raises(FetchError, match="none of 2 symbols could be fetched") as caught:
        fetch_bars(Stub(), ["AAA", "BBB"], store, NOW).require_some()
    assert caught.value.causes == {"AAA": "no AAA here", "BBB": "no BBB here"}


def test_a_first_fetch_asks_for_all_history_up_to_the_last_complete_session(store):
    stub = stub_of(AAA=flat_bars("AAA", DAYS, range(1, 6)))
    found = fetch_bars(stub, ["AAA"], store, NOW - pd.Timedelta(seconds=1))
    assert stub.asked == [FetchRequest("AAA", HISTORY_START, pd.Timestamp("2018-12-28"))]
    assert found.bars["session"].max() == pd.Timestamp("2018-12-28")  # the unfinished bar never enters


def test_each_symbol_is_asked_for_up_to_its_own_exchanges_last_session(store):
    stub = Stub()
    fetch_bars(stub, ["AAA", "VOD.L", "BTC-USD"], store, utc("2018-12-26 12:00"))
    last = {r.symbol: str(r.last.date()) for r in stub.asked}
    assert last == {"AAA": "2018-12-24", "VOD.L": "2018-12-24", "BTC-USD": "2018-12-25"}


def test_a_later_fetch_overlaps_what_is_stored_and_a_current_symbol_is_not_asked_for(store):
    first = stub_of(AAA=flat_bars("AAA", DAYS[:3], [1, 2, 3]), BBB=flat_bars("BBB", DAYS, range(1, 6)))
    keep(store, fetch_bars(first, ["AAA", "BBB"], store, NOW))
    second = stub_of(AAA=flat_bars("AAA", DAYS, [1, 2, 3, 4, 5]))
    found = fetch_bars(second, ["AAA", "BBB"], store, NOW)
    assert second.asked == [FetchRequest("AAA", pd.Timestamp("2018-12-17"), pd.Timestamp("2018-12-31"))]
    assert found.failures == {}
    assert found.current == ("BBB",)
    assert keep(store, found) == 2
    idle = Stub()
    nothing = fetch_bars(idle, ["AAA", "BBB"], store, NOW + pd.Timedelta(hours=30))  # New Year's Day is over
    assert idle.asked == []
    assert nothing.current == ("AAA", "BBB")
    assert (len(nothing.bars), len(nothing.events), len(nothing.quarantined)) == (0, 0, 0)
    assert keep(store, nothing) == 0


def test_broken_bars_go_to_quarantine_under_their_rule(store):
    days = [*DAYS, pd.Timestamp("2018-12-25")]  # Christmas
    stub = stub_of(AAA=flat_bars("AAA", days, [1, -2, 3, float("nan"), 5, 6]))
    found = fetch_bars(stub, ["AAA"], store, NOW)
    assert [str(d.date()) for d in found.bars["session"]] == ["2018-12-24", "2018-12-27", "2018-12-31"]
    held = {
        str(d.date()): rule for d, rule in zip(found.quarantined["session"], found.quarantined["rule"], strict=True)
    }
    assert held == {"2018-12-25": "not_a_session", "2018-12-26": "not_positive", "2018-12-28": "missing_price"}
    assert keep(store, found) == 3
    assert len(store.quarantined(["AAA"])) == 3


def test_a_payload_that_is_no_frame_of_bars_fails_its_symbol_alone(store):
    stub = stub_of(
        AAA=flat_bars("AAA", DAYS, range(1, 6)), BBB=flat_bars("BBB", DAYS, range(1, 6)).drop(columns="close")
    )
    found = fetch_bars(stub, ["AAA", "BBB"], store, NOW)
    assert list(found.instruments) == ["AAA"]
    assert found.failures["BBB"].kind == "bad_payload"
    assert "close" in found.failures["BBB"].cause


def test_a_symbol_of_another_source_is_refused_before_it_is_asked_for(store):
    keep(store, fetch_bars(stub_of(AAA=flat_bars("AAA", DAYS, range(1, 6))), ["AAA"], store, NOW))
    other = stub_of(AAA=flat_bars("AAA", DAYS, range(1, 6)), BBB=flat_bars("BBB", DAYS, range(1, 6)))
    other.source = "other"
    found = fetch_bars(other, ["AAA", "BBB"], store, NOW)
    assert found.failures["AAA"].kind == "other_source"
    assert [r.symbol for r in other.asked] == ["BBB"]


def test_an_invalid_symbol_stops_everything_before_any_request(store):
    stub = stub_of(AAA=flat_bars("AAA", DAYS, range(1, 6)))
    with pytest.raises(InvalidSymbol):
        fetch_bars(stub, ["AAA", "../../etc"], store, NOW)
    assert stub.asked == []


def test_a_symbol_named_twice_is_asked_for_once_and_none_means_the_sources_own(store):
    stub = stub_of(AAA=flat_bars("AAA", DAYS, range(1, 6)))
    fetch_bars(stub, ["AAA", "AAA"], store, NOW)
    assert len(stub.asked) == 1
    stub.symbols = ("AAA",)
    assert list(fetch_bars(stub, [], store, NOW).instruments) == ["AAA"]
    with pytest.raises(UsageError, match="the source stub needs at least one"):
        fetch_bars(Stub(), [], store, NOW)


def test_progress_counts_every_request(store):
    seen = []
    stub = stub_of(AAA=flat_bars("AAA", DAYS, range(1, 6)))
    fetch_bars(stub, ["AAA", "BBB", "CCC"], store, NOW, lambda *step: seen.append(step))
    assert seen == [("fetch", 1, 3), ("fetch", 2, 3), ("fetch", 3, 3)]


def test_sources_are_made_by_name():
    assert [make_provider(name).source for name in SOURCES] == ["sample", "synthetic", "yahoo"]
    with pytest.raises(UsageError, match="sources are sample, synthetic, yahoo; next: --source sample"):
        make_provider("bloomberg")


@pytest.mark.parametrize("source", ["sample", "synthetic"])
def test_an_embedded_source_fills_the_store_once(store, source):
    provider = make_provider(source)
    found = fetch_bars(provider, [], store, utc("2026-11-23 12:00"))
    assert len(found.quarantined) == 0
    assert keep(store, found) == len(found.bars) > 10_000
    again = fetch_bars(provider, [], store, utc("2026-11-24 12:00"))
    assert keep(store, again) == 0
    assert list(store.read()) == sorted(provider.symbols)
