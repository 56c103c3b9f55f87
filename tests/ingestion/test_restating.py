"""A source that tells its past differently than before: what is asked for, stored, recorded and read."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from helpers import events_of, flat_bars, sessions_until, utc

from forecasting.events import no_events
from forecasting.ingestion.collector import HISTORY_START, OVERLAP, fetch_bars
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest, Provider
from forecasting.instruments import Instrument
from forecasting.store import PriceStore

DAYS = sessions_until("2018-12-31", 60)
THURSDAY, MONDAY = utc("2018-12-27 22:00"), utc("2018-12-31 22:00")
CLOSES = np.linspace(100, 130, 60).round(2)


@dataclass
class Vendor(Provider):
    """A source with a history as traded, which answers what a request covers."""

    bars: pd.DataFrame
    events: pd.DataFrame = field(default_factory=no_events)
    source: str = "vendor"
    refuses: bool = False
    asked: list[FetchRequest] = field(default_factory=list)

    def fetch(self, request):
        self.asked.append(request)
        if self.refuses and request.first == HISTORY_START:
            return Failed(request.symbol, "timeout", "no answer")
        covered = [f[f["session"].between(request.first, request.last)] for f in (self.bars, self.events)]
        return Fetched(Instrument.from_symbol(request.symbol, self.source), *covered)


@pytest.fixture
def store(tmp_path) -> PriceStore:
    return PriceStore(tmp_path / "prices")


@pytest.fixture
def vendor() -> Vendor:
    return Vendor(flat_bars("AAA", DAYS, CLOSES))


def fetch(vendor, store, now, **how):
    found = fetch_bars(vendor, ["AAA"], store, now, **how)
    added = store.append(
        found.instruments.values(),
        found.bars,
        found.events,
        found.quarantined,
        now,
        whole=found.whole,
        fetches=found.fetches,
    )
    return found, added


def closes(store, **how) -> list[float]:
    return store.read(["AAA"], **how)["AAA"].bars["close"].tolist()


def scale(vendor, factor, until=60):
    rows = vendor.bars.index[:until]
    vendor.bars.loc[rows, ["open", "high", "low", "close"]] *= factor


def restatement(store) -> dict:
    (row,) = store.restatements(["AAA"]).to_dict("records")
    return row


def test_a_history_told_as_before_takes_one_small_request_and_restates_nothing(store, vendor):
    fetch(vendor, store, THURSDAY)
    _, added = fetch(vendor, store, MONDAY)
    assert [r.first for r in vendor.asked] == [HISTORY_START, DAYS[-3] - OVERLAP]
    assert added.bars == 2
    assert len(added.restatements) == len(store.restatements()) == 0
    assert closes(store) == CLOSES.tolist()


def test_a_split_and_a_dividend_announced_since_change_no_stored_bar(store, vendor):
    fetch(vendor, store, THURSDAY)
    scale(vendor, 4.0, until=58)  # as traded: 4 for 1 on the 28th
    vendor.bars.loc[vendor.bars.index[:58], ["open", "high", "low", "close"]] /= 4.0
    vendor.events = events_of("AAA", ("2018-12-28", "split", 4.0), ("2018-12-31", "dividend", 0.5))
    _, added = fetch(vendor, store, MONDAY)
    assert len(vendor.asked) == 2
    assert (added.bars, len(added.restatements)) == (2, 0)
    assert closes(store)[:58] == pytest.approx(CLOSES[:58] / 4)
    assert closes(store, as_of=THURSDAY) == CLOSES[:58].tolist()


def test_a_corrected_price_in_the_overlap_brings_the_whole_history_anew(store, vendor):
    fetch(vendor, store, THURSDAY)
    vendor.bars.loc[55, ["open", "high", "low", "close"]] = 99.0
    vendor.bars.loc[2, ["open", "high", "low", "close"]] = 98.0  # far before the overlap
    found, added = fetch(vendor, store, MONDAY)
    assert [r.first for r in vendor.asked] == [HISTORY_START, DAYS[-3] - OVERLAP, HISTORY_START]
    assert found.whole == {"AAA"}
    assert added.bars == 4  # two corrected, two new
    row = restatement(store)
    assert (row["first"], row["last"], row["bars"], row["withdrawn"]) == (DAYS[2], DAYS[55], 2, 0)
    assert row["largest"] == pytest.approx(max(1 - 99 / CLOSES[55], 1 - 98 / CLOSES[2]))
    assert row["cause"] == "2 closes corrected"
    assert row["known_at"] == MONDAY
    assert closes(store, as_of=THURSDAY) == CLOSES[:58].tolist()
    assert closes(store)[55] == 99.0
    assert closes(store)[2] == 98.0


@pytest.mark.parametrize(
    ("factor", "cause"),
    [
        (0.25, "58 closes times 0.25: a split of which the source told no event"),
        (0.01, "58 closes times 0.01: a change of unit, such as pence and pounds"),
        (0.97, "58 closes revised"),
    ],
)
def test_the_likely_cause_of_a_history_on_another_scale_is_named(store, vendor, factor, cause):
    fetch(vendor, store, THURSDAY)
    scale(vendor, factor)
    fetch(vendor, store, MONDAY)
    assert restatement(store)["cause"] == cause
    assert closes(store) == pytest.approx(CLOSES * factor)
    assert closes(store, as_of=THURSDAY) == CLOSES[:58].tolist()


def test_a_split_that_the_vendor_forgot_is_recorded_when_it_is_told(store, vendor):
    vendor.bars.loc[vendor.bars.index[56:], ["open", "high", "low", "close"]] /= 4.0  # it traded at a quarter
    fetch(vendor, store, THURSDAY)
    vendor.events = events_of("AAA", (str(DAYS[56].date()), "split", 4.0))
    _, added = fetch(vendor, store, MONDAY)
    assert added.bars == 2  # no bar as traded changes
    row = restatement(store)
    assert (row["bars"], row["events"], row["cause"]) == (0, 1, f"a split of 4 on {DAYS[56].date()} told late")
    assert closes(store)[55] == pytest.approx(CLOSES[55] / 4)
    assert closes(store, as_of=THURSDAY)[55] == CLOSES[55]


def test_a_split_taken_back_stops_to_adjust(store, vendor):
    vendor.events = events_of("AAA", (str(DAYS[56].date()), "split", 4.0))
    fetch(vendor, store, THURSDAY)
    vendor.events = no_events()
    fetch(vendor, store, MONDAY)
    assert restatement(store)["cause"] == f"the split of 4 on {DAYS[56].date()} withdrawn"
    assert closes(store) == CLOSES.tolist()
    assert closes(store, as_of=THURSDAY)[0] == CLOSES[0] / 4
    vendor.events = events_of("AAA", (str(DAYS[56].date()), "split", 2.0))
    fetch(vendor, store, MONDAY + pd.Timedelta(days=2), full=True)
    assert closes(store)[0] == CLOSES[0] / 2


def test_a_changed_dividend_is_recorded_with_both_amounts(store, vendor):
    vendor.events = events_of("AAA", (str(DAYS[56].date()), "dividend", 0.5))
    fetch(vendor, store, THURSDAY)
    vendor.events = events_of("AAA", (str(DAYS[56].date()), "dividend", 0.55))
    fetch(vendor, store, MONDAY)
    assert restatement(store)["cause"] == f"the dividend on {DAYS[56].date()} changed from 0.5 to 0.55"


def test_a_revised_volume_is_recorded_without_asking_again(store, vendor):
    fetch(vendor, store, THURSDAY)
    vendor.bars.loc[57, "volume"] = 1234.0
    _, added = fetch(vendor, store, MONDAY)
    assert len(vendor.asked) == 2
    assert added.bars == 3
    row = restatement(store)
    assert (row["first"], row["bars"], row["largest"]) == (DAYS[57], 1, 0.0)
    assert row["cause"] == "volume or intraday prices of 1 bar revised"


def test_a_bar_missing_from_the_overlap_alone_changes_nothing(store, vendor):
    fetch(vendor, store, THURSDAY)
    vendor.bars = vendor.bars.drop(index=55)
    _, added = fetch(vendor, store, MONDAY)
    assert len(vendor.asked) == 2
    assert (added.bars, len(added.restatements)) == (2, 0)
    assert closes(store) == CLOSES.tolist()


def test_a_bar_that_a_restated_history_no_longer_has_is_withdrawn_and_can_come_back(store, vendor):
    fetch(vendor, store, THURSDAY)
    whole = vendor.bars.copy()
    vendor.bars = vendor.bars.drop(index=10)
    scale(vendor, 0.5)
    fetch(vendor, store, MONDAY)
    row = restatement(store)
    assert (row["bars"], row["withdrawn"]) == (57, 1)
    assert row["cause"].endswith("; 1 bar withdrawn")
    assert closes(store) == pytest.approx(np.delete(CLOSES, 10) / 2)
    assert store.summary()["bars"].tolist() == [59]
    assert closes(store, as_of=THURSDAY) == CLOSES[:58].tolist()
    vendor.bars = whole
    fetch(vendor, store, MONDAY + pd.Timedelta(days=2), full=True)
    assert closes(store) == CLOSES.tolist()


def test_a_shorter_history_withdraws_nothing_before_its_beginning(store, vendor):
    fetch(vendor, store, THURSDAY)
    vendor.bars = vendor.bars.iloc[20:]
    fetch(vendor, store, MONDAY, full=True)
    assert closes(store) == CLOSES.tolist()


def test_a_bar_that_has_become_bad_is_quarantined_and_the_good_one_stays(store, vendor):
    fetch(vendor, store, THURSDAY)
    vendor.bars.loc[55, "low"] = -1.0
    fetch(vendor, store, MONDAY, full=True)
    assert closes(store) == CLOSES.tolist()
    assert store.quarantined()["rule"].tolist() == ["not_positive"]
    assert len(store.restatements()) == 0


def test_where_the_whole_history_cannot_be_had_the_old_one_stays_whole(store, vendor):
    fetch(vendor, store, THURSDAY)
    scale(vendor, 0.25)
    vendor.refuses = True
    found, added = fetch(vendor, store, MONDAY)
    assert found.failures["AAA"].kind == "timeout"
    assert added.bars == 0
    assert closes(store) == CLOSES[:58].tolist()
    vendor.refuses = False
    fetch(vendor, store, MONDAY)  # nothing was lost, the next one completes it
    assert closes(store) == pytest.approx(CLOSES / 4)


def test_every_fetch_leaves_what_was_asked_and_what_came_of_it(store, vendor):
    fetch(vendor, store, THURSDAY)
    (row,) = store.last_fetches().to_dict("records")
    assert (row["symbol"], row["known_at"], row["first"], row["last"]) == ("AAA", THURSDAY, HISTORY_START, DAYS[57])
    assert (row["outcome"], row["cause"], row["bars"]) == ("ok", "", 58)
    scale(vendor, 0.25)
    vendor.refuses = True
    fetch(vendor, store, MONDAY)
    (row,) = store.last_fetches().to_dict("records")
    assert (row["known_at"], row["outcome"], row["cause"], row["bars"]) == (MONDAY, "timeout", "no answer", 0)


RESCALED = {
    "a bar of it is bad now": lambda v: v.bars.loc.__setitem__((30, "low"), -1.0),
    "it begins later": lambda v: setattr(v, "bars", v.bars.iloc[4:]),
    "it lacks a bar": lambda v: setattr(v, "bars", v.bars.drop(index=40)),
}


@pytest.mark.parametrize("change", RESCALED)
def test_no_reader_sees_two_scales_whatever_a_rescaled_history_lacks(store, vendor, change):
    fetch(vendor, store, THURSDAY)
    scale(vendor, 0.01)
    RESCALED[change](vendor)
    fetch(vendor, store, MONDAY)
    assert max(closes(store)) < 2
    assert closes(store, as_of=THURSDAY) == CLOSES[:58].tolist()


def test_a_history_rescaled_in_a_part_and_shortened_leaves_no_other_scale_before_it(store, vendor):
    fetch(vendor, store, THURSDAY)
    scale(vendor, 0.25, until=30)
    vendor.bars = vendor.bars.iloc[10:]
    fetch(vendor, store, MONDAY, full=True)
    assert closes(store) == pytest.approx([*(CLOSES[10:30] / 4), *CLOSES[30:]])


def test_an_answer_that_shares_no_session_with_the_store_is_not_trusted(store, vendor):
    fetch(vendor, store, THURSDAY)
    vendor.bars = vendor.bars.drop(index=range(45, 58))
    scale(vendor, 1 / 16, until=47)
    fetch(vendor, store, MONDAY)
    assert [r.first for r in vendor.asked][-1] == HISTORY_START
    assert closes(store) == pytest.approx(np.delete(CLOSES, range(45, 58)) / 16)


def test_an_event_on_a_session_whose_bar_is_held_back_does_not_ask_for_all_again(store, vendor):
    vendor.bars.loc[57, "low"] = -1.0
    vendor.events = events_of("AAA", (str(DAYS[57].date()), "dividend", 0.5))
    fetch(vendor, store, THURSDAY)
    fetch(vendor, store, MONDAY)
    assert len(vendor.asked) == 2


def test_amounts_that_were_rounded_after_a_split_are_the_same(store, vendor):
    vendor.events = events_of("AAA", *((str(day.date()), "dividend", 0.22) for day in DAYS[40:58]))
    fetch(vendor, store, THURSDAY)
    vendor.events = vendor.events.assign(value=3 * 0.073333)
    _, added = fetch(vendor, store, MONDAY)
    assert len(vendor.asked) == 2
    assert len(added.restatements) == 0
    vendor.events = vendor.events.assign(value=0.3)
    fetch(vendor, store, MONDAY, full=True)
    assert restatement(store)["cause"] == "18 splits and dividends revised"


def test_a_symbol_whose_every_bar_is_held_back_is_shown_and_not_asked_for_again(store, vendor):
    vendor.bars = vendor.bars.assign(low=-1.0)
    fetch(vendor, store, MONDAY)
    (row,) = store.summary().to_dict("records")
    assert (row["symbol"], row["bars"], row["quarantined"]) == ("AAA", 0, 60)
    assert pd.isna(row["first"])
    found, _ = fetch(vendor, store, MONDAY)
    assert found.current == ("AAA",)
    assert len(store.read()["AAA"]) == 0


def test_a_symbol_told_on_another_basis_fails_by_itself(store, vendor):
    fetch(vendor, store, THURSDAY)
    other = Instrument.from_symbol("AAA", "vendor")
    vendor.fetch = lambda request: Fetched(replace(other, price_basis="split"), vendor.bars, vendor.events)
    found, added = fetch(vendor, store, MONDAY)
    assert found.failures["AAA"].kind == "other_price_basis"
    assert added.bars == 0


def test_a_time_zone_that_does_not_exist_fails_its_symbol_alone(store, vendor):
    odd = Instrument("AAA", "vendor", "24/7", "USD", "Mars/Olympus")
    vendor.fetch = lambda request: Fetched(odd, vendor.bars, vendor.events)
    found = fetch_bars(vendor, ["AAA"], store, MONDAY)
    assert found.failures["AAA"].kind == "bad_payload"
