"""Planted faults are found under their names, and what markets really do is not taken for one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import events_of, no_quarantine, random_walk, utc
from hypothesis import given
from hypothesis import strategies as st

from forecasting.bars import BAR_COLUMNS, PRICE_COLUMNS, PriceSeries, broken_rules, normalize_bars
from forecasting.errors import DataError
from forecasting.ingestion.layouts import read_prices
from forecasting.ingestion.provider import FetchRequest
from forecasting.ingestion.quality import FINDING_COLUMNS, check_quality, find_flags
from forecasting.ingestion.sample import SampleProvider
from forecasting.ingestion.synthetic import make_market
from forecasting.instruments import Instrument
from forecasting.sessions import are_sessions
from forecasting.store import PriceStore

REAL = Path(__file__).parents[3] / "shared" / "data"
real_files = pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")


def walk(bars=300, seed=0, volatility=0.01, last="2018-12-31"):
    return random_walk(bars=bars, seed=seed, volatility=volatility, last=last).bars


def series(bars, symbol="AAA"):
    return PriceSeries(Instrument.from_symbol(symbol), bars)


def flags(bars):
    return find_flags(series(bars))


def the_flag(bars):
    found = flags(bars)
    assert len(found) == 1, found.to_string()
    return found.iloc[0]


def with_split(bars, at, ratio, volume_too=True):
    """Return bars whose split of `ratio` new shares per old on row `at` was not applied to those before it."""
    out = bars.copy()
    out.loc[out.index[:at], PRICE_COLUMNS] *= ratio
    if volume_too:
        out.loc[out.index[:at], "volume"] /= ratio
    return out


def scaled(bars, rows, factor, columns=PRICE_COLUMNS):
    out = bars.copy()
    out.loc[out.index[rows], list(columns)] *= factor
    return out


def price_only(bars):
    return bars.assign(open=bars["close"], high=bars["close"], low=bars["close"], volume=0.0)


def with_news(bars, at, move, volume=8.0, widen=0.0):
    """Return bars whose price goes to another level overnight, in a session of heavy volume, perhaps a wide one."""
    out = scaled(bars, slice(at, None), move)
    out.loc[out.index[at], "volume"] *= volume
    out.loc[out.index[at], "high"] *= np.exp(widen)
    out.loc[out.index[at], "low"] *= np.exp(-widen)
    return out


# what is no fault


@pytest.mark.parametrize("symbol", [f"SYN{i}" for i in range(1, 13)])
def test_a_market_of_changing_volatility_has_no_findings(symbol):
    assert not len(flags(make_market(symbol)))


@given(st.integers(0, 10_000), st.sampled_from([0.002, 0.01, 0.03, 0.06]), st.integers(1, 60))
def test_a_random_walk_of_any_volatility_and_length_has_no_findings(seed, volatility, bars):
    assert not len(flags(walk(bars, seed, volatility)))


def test_the_embedded_indices_have_no_findings():
    for symbol in ("^GSPC", "^IXIC"):
        got = SampleProvider().fetch(FetchRequest(symbol, pd.Timestamp("1990-01-01"), pd.Timestamp("2030-01-01")))
        bars = normalize_bars(got.bars)
        assert len(bars) > 5000
        assert not len(find_flags(PriceSeries(got.instrument, bars.drop(columns="symbol").set_index("session"))))


@pytest.mark.parametrize(
    ("move", "volume", "widen"),
    [
        (0.80, 10.0, 0.05),  # a crash as in October 1987
        (0.55, 10.0, 0.0),  # bad earnings, in a narrow session
        (0.65, 8.0, 0.0),  # near 2/3, told by volume alone
        (0.50, 1.0, 0.08),  # halved, told by the range alone
        (0.30, 30.0, 0.0),  # a failed drug trial
        (2.00, 40.0, 0.0),  # a bid at twice the price
        (1.50, 10.0, 0.0),
    ],
)
def test_news_of_the_size_of_a_split_is_no_split(move, volume, widen):
    assert not len(flags(with_news(walk(), 150, move, volume, widen)))


def test_a_price_that_halves_within_a_session_is_no_split():
    bars = scaled(walk(), slice(150, None), 0.5)
    bars.loc[bars.index[150], ["open", "high"]] *= 2
    assert not len(flags(bars))


def test_a_move_that_is_near_no_ratio_is_no_split():
    assert not len(flags(with_split(walk(), 150, 1.75)))


def test_a_halved_price_among_moves_of_its_size_is_no_split():
    wild = walk(seed=3, volatility=0.15)
    assert not len(flags(with_split(wild, 150, 2.0)))
    assert len(flags(with_split(walk(seed=3, volatility=0.02), 150, 2.0))) == 1


# splits


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(1.5, "3-for-2 split"), (2.0, "2-for-1 split"), (5.0, "5-for-1 split"), (20.0, "20-for-1 split"),
     (0.5, "1-for-2 reverse split"), (0.1, "1-for-10 reverse split")],
)  # fmt: skip
def test_a_split_that_was_not_applied_is_named_with_its_ratio_and_its_evidence(ratio, words):
    bars = with_split(walk(), 150, ratio)
    flag = the_flag(bars)
    assert (flag["symbol"], flag["severity"], flag["rule"], flag["bars"]) == ("AAA", "flag", "missed_split", 1)
    assert flag["first"] == flag["last"] == bars.index[150]
    assert f"looks like a {words} not applied" in flag["likely_cause"]
    assert "volume moved the other way" in flag["likely_cause"]
    assert f"close {bars['close'].iloc[149]:.6g} to {bars['close'].iloc[150]:.6g}" in flag["found"]


@given(st.integers(10, 290), st.sampled_from([2.0, 3.0, 4.0, 10.0, 0.1, 0.25]), st.integers(0, 50))
def test_a_split_is_found_wherever_it_is_and_alone(at, ratio, seed):
    bars = walk(seed=seed)
    flag = the_flag(with_split(bars, at, ratio))
    assert (flag["rule"], flag["first"]) == ("missed_split", bars.index[at])


def test_a_split_on_the_newest_bar_is_found():
    assert the_flag(with_split(walk(), 299, 4.0))["rule"] == "missed_split"


def test_a_split_that_the_volume_does_not_show_is_less_certain():
    assert "does not confirm it" in the_flag(with_split(walk(), 150, 4.0, volume_too=False))["likely_cause"]


def test_a_split_is_found_across_a_gap_beside_it():
    bars = with_split(walk(), 150, 4.0)
    found = flags(bars.drop(bars.index[146:150]))
    assert sorted(found["rule"]) == ["gap", "missed_split"]


def test_a_column_of_closes_tells_a_halving_but_not_a_move_that_news_can_make():
    assert "no volume to tell" in the_flag(price_only(with_split(walk(), 150, 2.0)))["likely_cause"]
    assert not len(flags(price_only(with_split(walk(), 150, 1.5))))


# units


@pytest.mark.parametrize("factor", [100.0, 0.01])
@pytest.mark.parametrize(
    ("rows", "first", "bars"),
    [(slice(150, 151), 150, 1), (slice(100, 140), 100, 40), (slice(280, 300), 280, 20), (slice(0, 30), 0, 30)],
)
def test_bars_in_the_wrong_unit_are_one_finding(factor, rows, first, bars):
    made = scaled(walk(), rows, factor)
    flag = the_flag(made)
    assert (flag["rule"], flag["bars"]) == ("unit_error", bars)
    assert (flag["first"], flag["last"]) == (made.index[first], made.index[first + bars - 1])
    assert ("100 times" if factor > 1 else "a hundredth of") in flag["found"]


def test_runs_in_the_wrong_unit_are_told_apart():
    found = flags(scaled(scaled(walk(), slice(50, 60), 100), slice(200, 203), 0.01))
    assert list(found["rule"]) == ["unit_error", "unit_error"]
    assert list(found["bars"]) == [10, 3]


def test_neighbouring_runs_in_two_wrong_units_are_told_apart():
    found = flags(scaled(scaled(walk(), slice(50, 60), 100), slice(60, 65), 0.01))
    assert list(found["rule"]) == ["unit_error", "unit_error"]
    assert list(found["bars"]) == [10, 5]


@pytest.mark.parametrize(("column", "factor"), [("open", 0.01), ("high", 100.0), ("low", 0.01)])
def test_one_price_of_a_bar_in_the_wrong_unit_is_named(column, factor):
    made = scaled(walk(), slice(150, 152), factor, [column])
    flag = the_flag(made)
    assert (flag["rule"], flag["bars"], flag["first"]) == ("unit_error", 2, made.index[150])
    assert f"in the {column} alone" in flag["likely_cause"]


# spikes


@pytest.mark.parametrize(("bars", "factor"), [(1, 1.3), (1, 0.7), (3, 4.0), (4, 0.25)])
def test_a_jump_that_is_undone_within_four_bars_is_a_spike(bars, factor):
    made = scaled(walk(), slice(150, 150 + bars), factor)
    flag = the_flag(made)
    assert (flag["rule"], flag["bars"], flag["first"]) == ("spike", bars, made.index[150])
    assert flag["last"] == made.index[150 + bars - 1]


def test_a_jump_with_the_volume_of_news_is_no_spike():
    made = scaled(walk(), slice(150, 151), 1.3)
    made.loc[made.index[150], "volume"] *= 10
    assert not len(flags(made))


def test_a_jump_that_is_undone_by_half_is_no_spike():
    assert not len(flags(scaled(scaled(walk(), slice(150, 151), 1.3), slice(151, None), 1.15)))


# stale runs


def repeated(bars, first, count, volume):
    out = bars.copy()
    rows = out.index[first : first + count]
    out.loc[rows, PRICE_COLUMNS] = out.loc[rows[0], PRICE_COLUMNS].to_numpy()
    out.loc[rows, "volume"] = volume
    return out


def test_five_bars_that_repeat_without_volume_are_a_stale_run_and_four_are_none():
    made = repeated(walk(), 100, 5, 0.0)
    flag = the_flag(made)
    assert (flag["rule"], flag["bars"]) == ("stale_run", 5)
    assert (flag["first"], flag["last"]) == (made.index[100], made.index[104])
    assert "no trade" in flag["likely_cause"]
    assert not len(flags(repeated(walk(), 100, 4, 0.0)))


def test_bars_that_repeat_with_their_volume_are_a_source_that_repeats_its_last_bar():
    flag = the_flag(repeated(walk(), 100, 8, 12345.0))
    assert flag["bars"] == 8
    assert "repeats its last bar" in flag["likely_cause"]
    assert "12345" in flag["found"]


def test_prices_that_repeat_while_shares_change_hands_are_no_stale_run():
    assert not len(flags(repeated(walk(), 100, 8, [1000.0 + i for i in range(8)])))


# gaps


def test_neighbouring_missing_sessions_are_one_gap():
    bars = walk()
    found = flags(bars.drop(bars.index[[100, 101, 102, 200]]))
    assert list(found["rule"]) == ["gap", "gap"]
    assert list(found["bars"]) == [3, 1]
    assert list(found["first"]) == [bars.index[100], bars.index[200]]
    assert list(found["last"]) == [bars.index[102], bars.index[200]]
    assert found["found"].iloc[0] == "3 sessions of XNYS without a bar"


def test_holidays_and_what_lies_outside_the_bars_are_no_gaps():
    christmas = pd.DatetimeIndex(["2018-12-24", "2018-12-26"])
    assert not len(flags(walk().iloc[-6:].loc[lambda bars: bars.index.isin(christmas)]))


def test_a_quarantined_session_is_no_gap_and_ends_one():
    bars = walk()
    left = series(bars.drop(bars.index[100:105]))
    found = find_flags(left, bars.index[[102]])
    assert list(found["bars"]) == [2, 2]
    assert not len(find_flags(left, bars.index[100:105]))


def test_sessions_before_the_calendar_was_recorded_cannot_be_missed():
    days = pd.DatetimeIndex(["1985-01-07", "1985-01-21", "1989-12-28", "1990-01-02", "1990-01-04"]).as_unit("us")
    bars = walk(5).set_axis(days.rename("session"))
    flag = the_flag(bars)
    assert flag["first"] == flag["last"] == pd.Timestamp("1990-01-03")


# the report


def test_flags_change_nothing_and_have_their_columns_even_where_there_are_none():
    bars = scaled(walk(), slice(150, 151), 100)
    before = bars.copy()
    assert list(flags(bars).columns) == FINDING_COLUMNS
    pd.testing.assert_frame_equal(bars, before)
    for few in (walk().iloc[:count] for count in (0, 1, 2)):
        assert list(flags(few).columns) == FINDING_COLUMNS
        assert not len(flags(few))


def store_of(tmp_path, *stored, events=None, known_at="2019-01-02 12:00"):
    """Return a store of (series, rows held apart)."""
    store = PriceStore(tmp_path / "prices")
    bars = pd.concat([one.bars.reset_index().assign(symbol=one.symbol)[BAR_COLUMNS] for one, _ in stored])
    held = pd.concat([rows for _, rows in stored])
    events = events_of("AAA") if events is None else events
    store.append([one.instrument for one, _ in stored], normalize_bars(bars), events, held, utc(known_at))
    return store


def held_apart(bars, rows, rule, symbol="AAA", **values):
    """Return bars without some rows, and these rows with other values, as quarantined under a rule."""
    days = bars.index[rows]
    apart = bars.loc[days].assign(**values).reset_index().assign(symbol=symbol, rule=rule)
    return bars.drop(days), apart[[*BAR_COLUMNS, "rule"]]


def test_the_report_has_quarantined_rows_and_flags_by_symbol_and_session(tmp_path):
    left, held = held_apart(walk(), [100, 101, 200], "not_positive", close=-37.63, low=-40.32)
    doubtful = scaled(left, slice(20, 21), 100)
    store = store_of(tmp_path, (series(doubtful), held), (series(walk(seed=1), "BBB"), no_quarantine()))
    found = check_quality(store)
    assert list(found.columns) == FINDING_COLUMNS
    assert list(found["symbol"]) == ["AAA"] * 3
    assert list(found["severity"]) == ["flag", "quarantined", "quarantined"]
    assert list(found["rule"]) == ["unit_error", "not_positive", "not_positive"]
    assert list(found["bars"]) == [1, 2, 1]
    assert list(found["first"]) == [walk().index[i] for i in (20, 100, 200)]
    assert list(found["last"]) == [walk().index[i] for i in (20, 101, 200)]
    assert found["found"].iloc[1] == "lowest price -40.32"
    assert "oil in April 2020" in found["likely_cause"].iloc[1]
    pd.testing.assert_frame_equal(check_quality(store, ["AAA"]), found)
    assert not len(check_quality(store, ["BBB"]))


@pytest.mark.parametrize(
    ("rule", "values", "words"),
    [
        ("missing_price", {"open": np.nan, "high": np.nan}, "no open, high"),
        ("high_low", {"high": 1.0}, "high 1, low"),
        ("negative_volume", {"volume": -5.0}, "volume -5"),
    ],
)
def test_each_rule_of_quarantine_shows_what_broke_it(tmp_path, rule, values, words):
    left, held = held_apart(walk(), [100], rule, **values)
    finding = check_quality(store_of(tmp_path, (series(left), held))).iloc[0]
    assert (finding["severity"], finding["rule"]) == ("quarantined", rule)
    assert words in finding["found"]


def test_a_row_of_a_closed_exchange_names_the_day_and_the_calendar(tmp_path):
    held = normalize_bars(pd.DataFrame({"symbol": "AAA", "session": ["2018-12-25"], "volume": 1.0, **dict.fromkeys(
        PRICE_COLUMNS, 100.0)})).assign(rule="not_a_session")  # fmt: skip
    finding = check_quality(store_of(tmp_path, (series(walk()), held))).iloc[0]
    assert finding["found"] == "close 100 on a Tuesday without trading on XNYS"


def test_a_quarantined_row_that_was_corrected_since_says_so(tmp_path):
    left, held = held_apart(walk(), [100], "high_low", high=1.0)
    store = store_of(tmp_path, (series(left), held))
    assert "stored since" not in check_quality(store)["likely_cause"].iloc[0]
    whole = normalize_bars(walk().reset_index().assign(symbol="AAA"))
    store.append([series(left).instrument], whole, events_of("AAA"), no_quarantine(), utc("2019-01-03 12:00"))
    assert "bars without fault are stored since" in check_quality(store)["likely_cause"].iloc[0]


def test_a_split_that_is_known_is_no_finding_and_one_that_is_not_is(tmp_path):
    traded = with_split(walk(), 150, 4.0)
    event = events_of("AAA", (str(traded.index[150].date()), "split", 4.0))
    known = store_of(tmp_path / "known", (series(traded), no_quarantine()), events=event)
    assert not len(check_quality(known))
    unknown = store_of(tmp_path / "unknown", (series(traded), no_quarantine()))
    assert list(check_quality(unknown)["rule"]) == ["missed_split"]


def test_prices_kept_adjusted_for_dividends_are_checked_as_they_are(tmp_path):
    instrument = Instrument("BBB", "files", "XNYS", price_basis="total")
    total = PriceSeries(instrument, scaled(walk(), slice(150, 151), 100))
    store = store_of(tmp_path, (series(walk()), no_quarantine()), (total, no_quarantine()))
    assert list(check_quality(store)["symbol"]) == ["BBB"]


def test_a_symbol_whose_rows_are_all_quarantined_is_reported(tmp_path):
    left, held = held_apart(walk(3), [0, 1, 2], "high_low", high=1.0)
    found = check_quality(store_of(tmp_path, (series(left), held)))
    assert list(found["rule"]) == ["high_low"]
    assert list(found["bars"]) == [3]


def test_a_symbol_that_is_not_stored_is_refused(tmp_path):
    store = store_of(tmp_path, (series(walk()), no_quarantine()))
    with pytest.raises(DataError, match=r"no prices of ZZZ .*next: tickercast fetch ZZZ"):
        check_quality(store, ["ZZZ"])


# real files


def flags_of_file(name, symbol, calendar=None):
    prices = read_prices(REAL / "csv" / name, None, None)
    bars = normalize_bars(prices.bars.assign(symbol=symbol))
    instrument = Instrument(symbol, "files", calendar or Instrument.from_symbol(symbol).calendar)
    bad = (broken_rules(bars) != "") | ~are_sessions(instrument.calendar, pd.DatetimeIndex(bars["session"]))
    good = bars[~bad].drop(columns="symbol").set_index("session")
    return find_flags(PriceSeries(instrument, good), pd.DatetimeIndex(bars.loc[bad, "session"]))


@real_files
def test_a_vendors_missed_split_is_found_and_its_corrected_twin_is_clean():
    flag = flags_of_file("4063-T-1d-bad-stock-split.csv", "4063.T").iloc[0]
    assert (flag["rule"], flag["first"]) == ("missed_split", pd.Timestamp("2023-03-29"))
    assert "5-for-1 split" in flag["likely_cause"]
    assert not len(flags_of_file("4063-T-1d-bad-stock-split-fixed.csv", "4063.T"))


@real_files
def test_a_vendors_mix_of_units_is_found_and_its_corrected_twin_is_only_stale():
    found = flags_of_file("AET-L-1d-100x-error.csv", "AET.L")
    unit = found[found["rule"] == "unit_error"].iloc[0]
    assert (unit["first"], unit["last"], unit["bars"]) == (pd.Timestamp("2022-05-09"), pd.Timestamp("2022-05-19"), 9)
    assert set(flags_of_file("AET-L-1d-100x-error-fixed.csv", "AET.L")["rule"]) == {"stale_run"}


@real_files
@pytest.mark.parametrize(
    ("name", "symbol", "calendar"),
    [("CL=F.csv", "CL=F", None), ("eia-wti-daily.csv", "WTI", "XNYS"), ("AAPL.csv.gz", "AAPL", None),
     ("investing-COP.csv", "COP", None), ("stooq-pl-wig20_d.csv", "WIG20", "XWAR")],
)  # fmt: skip
def test_real_prices_have_gaps_at_most_oil_in_april_2020_included(name, symbol, calendar):
    assert set(flags_of_file(name, symbol, calendar)["rule"]) <= {"gap"}


@real_files
def test_a_hundred_real_stocks_have_one_flag_a_spin_off_that_was_not_adjusted():
    bars = normalize_bars(pd.read_parquet(REAL / "us100_2000_2018.parquet").rename(columns={"date": "session"}))
    found = pd.concat(
        find_flags(series(rows.drop(columns="symbol").set_index("session"), str(symbol)))
        for symbol, rows in bars.groupby("symbol")
    )
    # Expedia after TripAdvisor left it: its price fell by a third overnight, and nothing says so
    assert list(found["symbol"]) == ["EXPE"]
    assert list(found["first"]) == [pd.Timestamp("2011-12-21")]
