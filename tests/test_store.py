import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from helpers import events_of, flat_bars, no_quarantine, sessions_until, utc
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.bars import normalize_bars
from forecasting.errors import DataError, InvalidSymbol, UsageError
from forecasting.events import no_events
from forecasting.instruments import Instrument
from forecasting.store import PriceStore

MONDAY, TUESDAY, WEDNESDAY = (utc(f"2019-01-{d} 22:00") for d in (7, 8, 9))
DAYS = ["2019-01-02", "2019-01-03", "2019-01-04"]


@pytest.fixture
def store(tmp_path) -> PriceStore:
    return PriceStore(tmp_path / "prices")


def add(store, bars, known_at=MONDAY, events=None, quarantined=None, source="python") -> int:
    instruments = [Instrument.from_symbol(s, source) for s in bars["symbol"].unique()]
    return store.append(
        instruments,
        bars,
        no_events() if events is None else events,
        no_quarantine() if quarantined is None else quarantined,
        known_at,
    ).bars


def closes(store, symbol="AAA", **how) -> list[float]:
    return store.read([symbol], **how)[symbol].bars["close"].tolist()


PRICES = st.floats(1e-6, 1e6)


@given(st.lists(st.tuples(PRICES, PRICES, PRICES, PRICES, st.floats(0, 1e12)), min_size=1, max_size=5))
@settings(max_examples=10)
def test_what_is_stored_reads_back_to_the_last_bit(rows):
    days = sessions_until("2018-12-31", len(rows))
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close", "volume"]).assign(symbol="AAA", session=days)
    with tempfile.TemporaryDirectory() as folder:
        store = PriceStore(Path(folder) / "prices")
        assert add(store, normalize_bars(frame)) == len(rows)
        bars = store.read()["AAA"].bars
    expected = normalize_bars(frame).drop(columns="symbol").set_index("session")
    pd.testing.assert_frame_equal(bars, expected, check_exact=True)


def test_symbols_read_back_apart_and_in_session_order(store):
    add(store, pd.concat([flat_bars("BBB", DAYS, [4.0, 5.0, 6.0]), flat_bars("AAA", DAYS[::-1], [3.0, 2.0, 1.0])]))
    assert closes(store, "AAA") == [1.0, 2.0, 3.0]
    assert closes(store, "BBB") == [4.0, 5.0, 6.0]
    assert list(store.read()) == ["AAA", "BBB"]


def test_adding_the_same_bars_again_adds_nothing(store):
    bars = flat_bars("AAA", DAYS, [1.0, 2.0, 3.0])
    events = events_of("AAA", (DAYS[1], "dividend", 0.5))
    assert add(store, bars, MONDAY, events) == 3
    assert add(store, bars, TUESDAY, events) == 0
    assert store.summary()["known_at"].tolist() == [MONDAY]


def test_only_new_and_changed_bars_are_added(store):
    add(store, flat_bars("AAA", DAYS[:2], [1.0, 2.0]))
    assert add(store, flat_bars("AAA", DAYS, [1.0, 2.5, 3.0]), TUESDAY) == 2
    assert closes(store) == [1.0, 2.5, 3.0]


def test_a_correction_is_a_new_row_and_a_past_view_keeps_the_old_value(store, tmp_path):
    add(store, flat_bars("AAA", DAYS, [1.0, 2.0, 3.0]), MONDAY)
    assert add(store, flat_bars("AAA", DAYS[1:2], [2.5]), WEDNESDAY) == 1
    assert closes(store, as_of=MONDAY) == [1.0, 2.0, 3.0]
    assert closes(store, as_of=TUESDAY) == [1.0, 2.0, 3.0]
    assert closes(store, as_of=WEDNESDAY) == closes(store) == [1.0, 2.5, 3.0]
    assert closes(store, as_of=MONDAY - pd.Timedelta(1, "us")) == []
    assert DeltaTable(str(tmp_path / "prices" / "bars_1d")).to_pyarrow_table().num_rows == 4


def test_a_correction_taken_back_is_a_third_row(store):
    for close, known_at in ((2.0, MONDAY), (2.5, TUESDAY), (2.0, WEDNESDAY)):
        assert add(store, flat_bars("AAA", DAYS[:1], [close]), known_at) == 1
    assert [closes(store, as_of=t) for t in (MONDAY, TUESDAY, WEDNESDAY)] == [[2.0], [2.5], [2.0]]


def test_a_split_restates_no_stored_row_and_adjusts_from_when_it_was_known(store, tmp_path):
    add(store, flat_bars("AAA", DAYS[:2], [400.0, 404.0]), MONDAY)
    split = events_of("AAA", (DAYS[2], "split", 4.0))
    assert add(store, flat_bars("AAA", DAYS, [400.0, 404.0, 102.0]), TUESDAY, split) == 1
    assert closes(store, as_of=MONDAY) == [400.0, 404.0]
    assert closes(store) == [100.0, 101.0, 102.0]


def test_the_total_basis_is_derived_on_reading(store):
    add(store, flat_bars("AAA", DAYS, [100.0, 50.0, 49.0]), events=events_of("AAA", (DAYS[2], "dividend", 1.0)))
    assert closes(store, basis="split") == [100.0, 50.0, 49.0]
    assert closes(store, basis="total") == pytest.approx([98.0, 49.0, 49.0], rel=1e-15)


def test_a_missing_volume_is_not_a_change(store):
    bars = flat_bars("AAA", DAYS, [1.0, 2.0, 3.0]).assign(volume=np.nan)
    assert add(store, bars) == 3
    assert add(store, bars, TUESDAY) == 0
    assert add(store, bars.assign(volume=5.0), WEDNESDAY) == 3


def test_a_symbol_keeps_its_source(store):
    add(store, flat_bars("AAA", DAYS, [1.0, 2.0, 3.0]), source="sample")
    with pytest.raises(DataError, match="AAA is stored from sample, these bars are from yahoo: one source per symbol"):
        add(store, flat_bars("AAA", DAYS, [9.0, 9.0, 9.0]), TUESDAY, source="yahoo")
    assert closes(store) == [1.0, 2.0, 3.0]


def test_an_instruments_minor_unit_is_stored_and_files_without_one_are_read(store, tmp_path):
    pence = Instrument("VOD.L", "yahoo", "XLON", "GBp", "Europe/London")
    bars = flat_bars("VOD.L", DAYS, [150.0, 151.0, 152.0])
    store.append([pence], bars, no_events(), no_quarantine(), MONDAY)
    path = tmp_path / "prices" / "instruments.json"
    stored = json.loads(path.read_text())
    facts = stored["instruments"]["VOD.L"]
    assert (facts["currency"], facts["major_currency"], facts["minor_unit"]) == ("GBp", "GBP", 100)
    assert store.instruments() == {"VOD.L": pence}
    del facts["major_currency"], facts["minor_unit"]
    path.write_text(json.dumps(stored))
    (read,) = store.instruments().values()
    assert (read.major_currency, read.minor_unit, read.currency_in_words) == ("GBP", 100, "GBp (pence, 1/100 GBP)")


def test_quarantined_bars_are_kept_apart_with_their_rule(store):
    bad = flat_bars("AAA", DAYS[2:], [-3.0]).assign(rule="not_positive")
    add(store, flat_bars("AAA", DAYS[:2], [1.0, 2.0]), quarantined=bad)
    add(store, flat_bars("AAA", DAYS[:2], [1.0, 2.0]), TUESDAY, quarantined=bad)
    held = store.quarantined(["AAA"])
    assert held[["session", "close", "rule", "known_at"]].to_numpy().tolist() == [
        [pd.Timestamp(DAYS[2]), -3.0, "not_positive", MONDAY]
    ]
    assert closes(store) == [1.0, 2.0]
    assert store.quarantined(["BBB"]).empty


def test_the_summary_counts_sessions_once_however_often_they_were_corrected(store):
    add(store, pd.concat([flat_bars("AAA", DAYS, [1.0, 2.0, 3.0]), flat_bars("BBB", DAYS[:1], [1.0])]))
    add(store, flat_bars("AAA", DAYS[:1], [1.5]), TUESDAY)
    summary = store.summary().set_index("symbol")
    assert summary.loc["AAA", ["first", "last", "bars", "known_at", "source", "quarantined"]].tolist() == [
        pd.Timestamp(DAYS[0]), pd.Timestamp(DAYS[2]), 3, TUESDAY, "python", 0,
    ]  # fmt: skip
    assert summary.loc["BBB", "bars"] == 1


def test_an_empty_store_is_empty_and_reading_it_creates_nothing(store, tmp_path):
    assert store.instruments() == store.read() == {}
    assert store.summary().empty
    assert store.quarantined().empty
    with pytest.raises(
        DataError, match="no prices of AAA in the workspace, which holds none; next: tickercast fetch AAA"
    ):
        store.read(["AAA"])
    assert list(tmp_path.iterdir()) == []


def test_adding_nothing_changes_nothing(store, tmp_path):
    assert add(store, flat_bars("AAA", [], [])) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_symbol_that_breaks_the_rule_never_reaches_a_query(store):
    with pytest.raises(InvalidSymbol):
        store.read(["A';drop"])


# of five bars at most: more that differ are taken for another scale, of which no stored bar may be left
ONE_TOLD = st.dictionaries(st.integers(0, 9), st.floats(1.0, 100.0), min_size=1, max_size=5)
HISTORIES = st.lists(ONE_TOLD, min_size=1, max_size=6)


def check_that_each_can_be_read_as_of_when_it_was_told(histories):
    days = sessions_until("2018-12-31", 10)
    with tempfile.TemporaryDirectory() as folder:
        store = PriceStore(Path(folder) / "prices")
        expected: list[dict[int, float]] = []
        for k, history in enumerate(histories):
            bars = flat_bars("AAA", days[sorted(history)], [history[i] for i in sorted(history)])
            at = MONDAY + pd.Timedelta(days=k)
            store.append([Instrument.from_symbol("AAA")], bars, no_events(), no_quarantine(), at, whole=["AAA"])
            # what lies before and after its range is not judged
            before = expected[-1] if expected else {}
            outside = {i: v for i, v in before.items() if not min(history) <= i <= max(history)}
            expected.append({**outside, **history})
        for k, told in enumerate(expected):
            read = store.read(["AAA"], as_of=MONDAY + pd.Timedelta(days=k))["AAA"].bars["close"]
            wanted = pd.Series({days[i]: told[i] for i in sorted(told)})
            assert read.index.tolist() == wanted.index.tolist()
            assert read.to_numpy() == pytest.approx(wanted.to_numpy(), rel=1e-6)


@given(HISTORIES)
@settings(max_examples=10)
def test_every_history_a_source_ever_told_can_be_read_as_of_when_it_told_it(histories):
    check_that_each_can_be_read_as_of_when_it_was_told(histories)


@pytest.mark.slow
@given(HISTORIES)
@settings(max_examples=100)
def test_of_many_histories_each_can_be_read_as_of_when_it_was_told(histories):
    check_that_each_can_be_read_as_of_when_it_was_told(histories)


def test_closes_are_a_table_of_sessions_and_symbols_as_the_series_have_them(store):
    add(store, pd.concat([flat_bars("BBB", DAYS, [4.0, 5.0, 6.0]), flat_bars("AAA", DAYS[1:], [2.0, 3.0])]))
    add(store, flat_bars("AAA", [], []), TUESDAY)
    split = events_of("BBB", (DAYS[2], "split", 2.0))
    add(store, flat_bars("BBB", DAYS[2:], [3.0]), TUESDAY, split)
    table = store.read_closes()
    assert table.columns.tolist() == ["AAA", "BBB"]
    assert table["AAA"].tolist()[1:] == [2.0, 3.0]
    assert np.isnan(table["AAA"].iloc[0])
    assert table["BBB"].tolist() == closes(store, "BBB") == [2.0, 2.5, 3.0]
    assert store.read_closes(["BBB"], as_of=MONDAY)["BBB"].tolist() == [4.0, 5.0, 6.0]


def test_a_session_whose_close_was_not_positive_is_void_until_a_good_bar_comes(store):
    bad = flat_bars("AAA", DAYS[1:2], [-3.0]).assign(rule="not_positive")
    add(store, flat_bars("AAA", [DAYS[0], DAYS[2]], [1.0, 2.0]), quarantined=bad)
    assert store.read()["AAA"].void.tolist() == [pd.Timestamp(DAYS[1])]
    add(store, flat_bars("AAA", DAYS[1:2], [1.5]), TUESDAY)
    assert store.read()["AAA"].void.tolist() == []
    assert store.read(as_of=MONDAY)["AAA"].void.tolist() == [pd.Timestamp(DAYS[1])]


def test_two_bad_rows_of_one_session_are_kept_once_however_often_they_come(store):
    bad = pd.concat([flat_bars("AAA", DAYS[:1], [close]) for close in (-1.0, -2.0)]).assign(rule="not_positive")
    for known_at in (MONDAY, TUESDAY, WEDNESDAY):
        add(store, flat_bars("AAA", DAYS[1:], [1.0, 2.0]), known_at, quarantined=bad)
    assert sorted(store.quarantined()["close"]) == [-2.0, -1.0]


def test_an_instant_without_a_time_zone_is_refused(store):
    add(store, flat_bars("AAA", DAYS, [1.0, 2.0, 3.0]))
    with pytest.raises(UsageError, match="an instant has a time zone"):
        store.read(as_of=pd.Timestamp("2019-01-07"))
