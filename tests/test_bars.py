import numpy as np
import pandas as pd
import pytest
from helpers import events_of, flat_bars, random_walk, sessions_until
from hypothesis import given
from hypothesis import strategies as st

from forecasting.bars import (
    BAR_COLUMNS,
    Instrument,
    PriceSeries,
    adjust_bars,
    broken_rules,
    make_series,
    no_events,
    normalize_bars,
    split_factors,
    validate_bars,
    validate_symbol,
)
from forecasting.errors import BarsError, InvalidSymbol, UsageError


@pytest.mark.parametrize("symbol", ["A", "AAPL", "BRK-B", "VOD.L", "^GSPC", "EURUSD=X", "S&P", "0700.HK", "A" * 20])
def test_symbols_as_sources_write_them_are_accepted(symbol):
    assert validate_symbol(symbol) == symbol


@pytest.mark.parametrize(
    "symbol",
    ["", "../../etc", "A';drop", "=CMD", "A" * 300, "\N{ROCKET}", "aapl", "A B", "AAPL\n", ".A", "^", "A/B", "Ä"],
)
def test_anything_else_is_no_symbol_and_the_error_says_the_rule(symbol):
    with pytest.raises(InvalidSymbol, match="1 to 20 of A-Z") as caught:
        validate_symbol(symbol)
    assert len(str(caught.value)) < 250


@given(st.text(alphabet="AZ09.&=-^/\\'\"`;()+@ \t\n%Ä", max_size=8))
def test_an_accepted_symbol_cannot_break_out_of_a_path_a_query_or_a_cell(symbol):
    try:
        validate_symbol(symbol)
    except InvalidSymbol:
        return
    assert symbol.isascii()
    assert not set(symbol) & set("/\\'\"`;() \t\n\r\0%")
    assert symbol[0] not in "=+-@."


def test_normalized_bars_have_the_canonical_columns_dtypes_and_order():
    frame = pd.DataFrame(
        {
            "volume": [1, 2, 3],
            "symbol": ["B", "A", "A"],
            "session": pd.DatetimeIndex(
                ["2019-01-02 09:30", "2019-01-03 09:30", "2019-01-02 09:30"], tz="America/New_York"
            ),
            "open": [1, 2, 3],
            "high": ["1", "2", "3"],
            "low": [1, 2, 3],
            "close": [1.5, 2.5, 3.5],
            "extra": 0,
        }
    )
    bars = normalize_bars(frame)
    assert list(bars.columns) == BAR_COLUMNS
    assert bars["symbol"].tolist() == ["A", "A", "B"]
    assert bars["session"].tolist() == [pd.Timestamp(d) for d in ("2019-01-02", "2019-01-03", "2019-01-02")]
    assert str(bars["session"].dtype) == "datetime64[us]"
    assert (bars.dtypes[["open", "high", "low", "close", "volume"]] == "float64").all()
    assert bars["close"].tolist() == [3.5, 2.5, 1.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": "n/a"}, "neither number nor date"),
        ({"session": "someday"}, "neither number nor date"),
        ({"session": pd.NaT}, "no date"),
    ],
)
def test_bars_that_hold_something_else_are_refused(change, message):
    frame = flat_bars("A", ["2019-01-02"], [1.0]).astype(object).assign(**change)
    with pytest.raises(BarsError, match=message):
        normalize_bars(frame)


def test_bars_that_lack_a_column_are_refused_by_its_name():
    with pytest.raises(BarsError, match=r"lack the columns \['close', 'volume'\]"):
        normalize_bars(pd.DataFrame(columns=["symbol", "session", "open", "high", "low"]))


GOOD = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({}, ""),
        ({"volume": np.nan}, ""),
        ({"high": 11.0, "close": 11.000001}, ""),  # within the tolerance of a source's seven digits
        ({"open": np.nan}, "missing_price"),
        ({"high": np.inf}, "missing_price"),
        ({"low": 0.0}, "not_positive"),
        ({"low": -37.63}, "not_positive"),
        ({"volume": -1.0}, "negative_volume"),
        ({"high": 10.5}, "high_low"),
        ({"low": 10.5}, "high_low"),
    ],
)
def test_a_bar_breaks_the_rule_that_is_named(change, rule):
    row = pd.DataFrame([{"symbol": "A", "session": "2019-01-02", **GOOD, **change}])
    bars = normalize_bars(row)
    assert broken_rules(bars).tolist() == [rule]
    if rule:
        with pytest.raises(BarsError, match=f"1 of 1 bars break a rule, the first is A on 2019-01-02: {rule}"):
            validate_bars(bars)
    else:
        assert validate_bars(bars) is bars


def test_the_later_of_two_bars_of_a_session_is_the_duplicate():
    bars = flat_bars("A", ["2019-01-02", "2019-01-03", "2019-01-02"], [1.0, 2.0, 3.0])
    assert bars["close"].tolist() == [1.0, 3.0, 2.0]
    assert broken_rules(bars).tolist() == ["", "duplicate_session", ""]
    other = bars.assign(symbol=["A", "B", "B"])
    assert broken_rules(other).tolist() == ["", "", ""]


def indexed(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.drop(columns="symbol").set_index("session")


def test_a_four_for_one_split_divides_what_traded_before_its_session():
    bars = indexed(flat_bars("A", ["2020-08-27", "2020-08-28", "2020-08-31"], [500.0, 499.0, 129.0]))
    adjusted = adjust_bars(bars, events_of("A", ("2020-08-31", "split", 4.0)))
    assert adjusted["close"].tolist() == [125.0, 124.75, 129.0]
    assert adjusted["volume"].tolist() == [4000.0, 4000.0, 1000.0]


def test_the_total_basis_takes_each_dividends_share_of_the_close_before_it():
    bars = indexed(flat_bars("A", ["2020-08-27", "2020-08-28", "2020-08-31"], [100.0, 50.0, 49.0]))
    events = events_of("A", ("2020-08-31", "dividend", 1.0))
    assert adjust_bars(bars, events, "split")["close"].tolist() == [100.0, 50.0, 49.0]
    assert adjust_bars(bars, events, "total")["close"].tolist() == pytest.approx([98.0, 49.0, 49.0], rel=1e-15)
    assert adjust_bars(bars, events, "total")["volume"].tolist() == [1000.0] * 3


@pytest.mark.parametrize("split_day", ["2020-08-28", "2020-08-31", "2020-09-01"])
def test_a_dividend_is_reinvested_alike_before_on_and_after_a_split(split_day):
    # the holder of one share keeps all value: 100, then 100, then 98 and a dividend of 2, then 98
    days = ["2020-08-27", "2020-08-28", "2020-08-31", "2020-09-01"]
    per_share = np.where(np.asarray(days) < split_day, 1.0, 4.0)
    bars = indexed(flat_bars("A", days, np.array([100.0, 100.0, 98.0, 98.0]) / per_share))
    events = events_of("A", (split_day, "split", 4.0), ("2020-08-31", "dividend", 2.0 / per_share[2]))
    assert adjust_bars(bars, events, "total")["close"].tolist() == pytest.approx([24.5] * 4, rel=1e-15)


def test_an_unknown_price_basis_is_refused():
    with pytest.raises(UsageError, match="price bases are split, total"):
        adjust_bars(indexed(flat_bars("A", ["2019-01-02"], [1.0])), no_events(), "adjusted")


@given(st.dictionaries(st.integers(0, 29), st.sampled_from([2.0, 4.0, 20.0, 1.5, 0.1]), max_size=4), st.integers(0, 9))
def test_adjusting_for_splits_undoes_them_exactly_to_rounding(splits, seed):
    smooth = random_walk(bars=30, seed=seed).bars
    days = smooth.index
    factor = np.array([np.prod([r for k, r in splits.items() if i < k]) for i in range(30)])
    traded = smooth.mul(np.column_stack([factor] * 4 + [1 / factor]))
    events = events_of("AAA", *((str(days[k].date()), "split", r) for k, r in splits.items()))
    assert split_factors(days, events.set_index("session")["value"]) == pytest.approx(factor, rel=1e-14)
    pd.testing.assert_frame_equal(adjust_bars(traded, events), smooth, rtol=1e-13, atol=0)


def test_log_returns_run_to_the_session_ahead_on_the_calendar_and_skip_no_missing_bar():
    # Thursday, Friday, (Monday missing), Tuesday; 2019-01-21 is a holiday
    bars = indexed(
        flat_bars("A", ["2019-01-10", "2019-01-11", "2019-01-15", "2019-01-16"], [100.0, 110.0, 121.0, 100.0])
    )
    series = PriceSeries(Instrument.from_symbol("A"), bars)
    up = np.log(1.1)
    expected = np.array(
        [
            [up, np.nan, 2 * up],
            [np.nan, up, 0 - up],
            [-2 * up, np.nan, np.nan],
            [np.nan, np.nan, np.nan],
        ]
    )
    assert series.log_returns([1, 2, 3]) == pytest.approx(expected, nan_ok=True, abs=1e-15)
    assert series.bars_ahead([1, 2]).tolist() == [[1, -1], [-1, 2], [3, -1], [-1, -1]]


def test_a_series_is_cut_after_a_session_that_need_not_have_a_bar():
    series = random_walk(bars=5, last="2018-12-31")  # 24, 26, 27, 28, 31 December
    assert len(series.until(pd.Timestamp("2018-12-28"))) == 4
    assert len(series.until(pd.Timestamp("2018-12-30"))) == 4
    assert len(series.until(pd.Timestamp("2018-12-01"))) == 0
    assert series.until(pd.Timestamp("2018-12-01")).log_returns([1]).shape == (0, 1)


def test_make_series_splits_a_frame_by_symbol_and_refuses_a_broken_bar():
    days = sessions_until("2018-12-31", 3)
    frame = pd.concat([flat_bars("VOD.L", days, [1.0, 2.0, 3.0]), flat_bars("AAPL", days, [4.0, 5.0, 6.0])])
    series = make_series(frame)
    assert list(series) == ["AAPL", "VOD.L"]
    assert series["VOD.L"].instrument.calendar == "XLON"
    assert series["VOD.L"].bars["close"].tolist() == [1.0, 2.0, 3.0]
    assert series["AAPL"].sessions.equals(days)
    with pytest.raises(BarsError, match="duplicate_session"):
        make_series(pd.concat([frame, frame]))


def test_make_series_refuses_days_on_which_the_exchange_is_closed_unless_the_calendar_is_given():
    days = ["2019-01-04", "2019-01-05", "2019-01-07"]  # Friday, Saturday, Monday
    bars = flat_bars("AAA", days, [1.0, 2.0, 3.0])
    with pytest.raises(BarsError, match=r"1 bars on days that are no session of XNYS, the first on 2019-01-05"):
        make_series(bars)
    series = make_series(bars, {"AAA": Instrument("AAA", "python", "24/7")})["AAA"]
    assert len(series) == 3
