from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from helpers import events_of, flat_bars, random_walk, sessions_until, with_void
from hypothesis import given
from hypothesis import strategies as st

from forecasting.bars import (
    BAR_COLUMNS,
    PriceSeries,
    adjust_bars,
    broken_rules,
    make_series,
    normalize_bars,
    validate_bars,
)
from forecasting.errors import BarsError, InvalidSymbol, UsageError
from forecasting.events import no_events, split_factors, validate_events
from forecasting.instruments import Instrument, validate_symbol


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
        ({"close": "n/a"}, "column close of bars cannot be read as numbers: could not convert"),
        ({"close": 10**400}, "column close .* as numbers: int too large"),
        ({"close": Decimal("sNaN")}, "column close .* as numbers"),
        ({"session": Decimal("sNaN")}, "column session .* as dates"),
        ({"symbol": Decimal("sNaN")}, "column symbol .* as names"),
        ({"close": 1j}, "column close .* as numbers"),
        ({"close": [[1.0]]}, "column close .* as numbers"),
        ({"close": pd.Timestamp("2019-01-02")}, "column close .* as numbers"),
        ({"session": "someday"}, "column session .* as dates"),
        ({"session": "now"}, "column session .* as dates"),
        ({"session": "01/02/2019"}, "column session .* as dates"),
        ({"session": "2019-01"}, "column session .* as dates"),
        ({"session": "2019-02-30"}, "column session .* as dates"),
        ({"session": 20190102}, "column session .* as dates: 20190102 is no date"),
        ({"session": 1.5e18}, "column session .* as dates"),
        ({"session": True}, "column session .* as dates"),
        ({"session": np.datetime64("20190-01-02", "s")}, "column session .* as dates"),
        ({"session": pd.NaT}, "1 of 1 bars have no date"),
        ({"session": None}, "1 of 1 bars have no date"),
        ({"symbol": None}, "column symbol .* as names: 1 of 1 are missing"),
    ],
)
def test_bars_that_hold_something_else_are_refused(change, message):
    frame = flat_bars("A", ["2019-01-02"], [1.0]).astype(object).assign(**change)
    with pytest.raises(BarsError, match=message):
        normalize_bars(frame)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Auckland", "Pacific/Kiritimati"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_moment_counts_on_the_date_its_own_clock_shows(zone, unit):
    days = ["2019-03-08", "2019-03-11", "2019-11-04"]  # clocks change between them
    for clock in ("00:00", "09:30", "23:59"):
        stamps = pd.DatetimeIndex([f"{day} {clock}" for day in days], tz=zone).as_unit(unit)
        frame = flat_bars("A", days, [1.0, 2.0, 3.0])
        texts = [stamp.isoformat() for stamp in stamps]
        for column in (stamps, stamps.astype(object), texts, pd.Categorical(stamps), pd.Series(stamps).to_numpy()):
            if not isinstance(column, np.ndarray) or zone == "UTC":  # numpy knows no zones: it holds UTC
                pd.testing.assert_frame_equal(normalize_bars(frame.assign(session=column)), frame)


def test_numbers_and_dates_of_any_kind_become_canonical_ones():
    expected = flat_bars("7", ["2019-01-02", "2019-01-03"], [1.0, 2.0])
    for volume in (
        pd.array([1000, None], dtype="Int64"), ["1000", " nan "], [Decimal(1000), None], [1000, pd.NA], [1000, np.nan],
        pd.Categorical([1000, None]), pd.array([1000, None], dtype="int64[pyarrow]"), [np.float16(1000), None],
    ):  # fmt: skip
        for session in (
            ["2019-01-02", "20190103"], [date(2019, 1, 2), datetime(2019, 1, 3, 16)],
            [pd.Timestamp("2019-01-02"), "2019-01-03T09:30:00-05:00"],
            pd.array(["2019-01-02", "2019-01-03"], dtype="string"),
            np.array(["2019-01-02", "2019-01-03"], "datetime64[D]"),
        ):  # fmt: skip
            frame = expected.assign(session=session, volume=volume, symbol=7).set_axis(["x", "x"])
            pd.testing.assert_frame_equal(normalize_bars(frame), expected.assign(volume=[1000.0, np.nan]))


def test_bars_without_rows_are_canonical_too():
    for dtype in (object, "float64", "str", "datetime64[ns]"):
        frame = pd.DataFrame({c: pd.Series(dtype=dtype if c == "session" else object) for c in BAR_COLUMNS})
        assert normalize_bars(frame).dtypes.equals(flat_bars("A", ["2019-01-02"], [1.0]).dtypes)


def test_a_column_that_is_there_twice_is_refused_by_its_name():
    frame = flat_bars("A", ["2019-01-02"], [1.0])
    twice = pd.concat([frame, frame[["close"]]], axis=1)
    with pytest.raises(BarsError, match=r"have the columns \['close'\] more than once"):
        normalize_bars(twice)
    with pytest.raises(BarsError, match="lack the columns"):
        normalize_bars(pd.concat({"a": frame}, axis=1))


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
        ({"volume": -np.inf}, "negative_volume"),
        ({"volume": np.inf}, "infinite_volume"),
        ({"volume": np.inf, "high": 10.5}, "infinite_volume"),
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


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        ([("2019-01-03", "split", 0.0)], "split_ratio"),
        ([("2019-01-03", "split", -2.0)], "split_ratio"),
        ([("2019-01-03", "split", np.nan)], "split_ratio"),
        ([("2019-01-03", "split", np.inf)], "split_ratio"),
        ([("2019-01-03", "split", 1e-9)], "split_ratio"),
        ([("2019-01-03", "dividend", 0.0)], "dividend_amount"),
        ([("2019-01-03", "dividend", np.nan)], "dividend_amount"),
        ([("2019-01-03", "dividend", np.inf)], "dividend_amount"),
        ([("2019-01-03", "merger", 1.0)], "unknown_kind"),
        ([("2019-01-03", "split", 2.0), ("2019-01-03", "split", 2.0)], "duplicate_event"),
        ([("NaT", "split", 2.0)], "no_session"),
    ],
)
def test_an_event_breaks_the_rule_that_is_named_and_adjusts_nothing(events, rule):
    frame = events_of("A", *events)
    with pytest.raises(BarsError, match=f"1 of {len(events)} events break a rule, .* of A on .*: {rule}"):
        validate_events(frame)
    with pytest.raises(BarsError, match=rule):
        adjust_bars(indexed(flat_bars("A", ["2019-01-02", "2019-01-03"], [1.0, 1.0])), frame)
    good = events_of("A", ("2019-01-03", "split", 2.0), ("2019-01-03", "dividend", 0.1))
    assert validate_events(good) is good


@pytest.mark.parametrize("change", [{"value": "2"}, {"value": 10**400}, {"session": "2019-01-02"}])
def test_events_that_are_no_dates_or_numbers_are_refused(change):
    with pytest.raises(BarsError, match="events have sessions of .* and values of .*: they are dates"):
        validate_events(events_of("A", ("2019-01-02", "split", 2.0)).assign(**change))


def test_events_that_lack_a_column_are_refused_by_its_name():
    with pytest.raises(BarsError, match=r"events lack the columns \['value'\]"):
        validate_events(no_events().drop(columns="value"))


@pytest.mark.parametrize("amount", [50.0, 60.0])
def test_a_dividend_that_is_not_below_the_close_before_it_leaves_no_total_price(amount):
    bars = indexed(flat_bars("A", ["2020-08-28", "2020-08-31"], [50.0, 1.0]))
    events = events_of("A", ("2020-08-31", "dividend", amount))
    assert adjust_bars(bars, events)["close"].tolist() == [50.0, 1.0]
    with pytest.raises(BarsError, match=f"the dividend of {amount:g} on 2020-08-31 is not below the close before it"):
        adjust_bars(bars, events, "total")


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


def test_a_void_session_parts_a_series_and_no_return_reaches_or_leaves_it():
    days = sessions_until("2018-12-31", 5)  # 24, 26, 27, 28, 31 December
    whole = PriceSeries(Instrument.from_symbol("A"), indexed(flat_bars("A", days, [1.0, 2.0, 4.0, 8.0, 16.0])))
    series = with_void(whole, "2018-12-26")
    assert [list(part.bars["close"]) for part in series.parts()] == [[1.0], [4.0, 8.0, 16.0]]
    assert all(len(part.void) == 0 for part in series.parts())
    assert series.since_void == " since 2018-12-26 (its price was not positive there, so no log return exists)"
    returns = series.log_returns([1, 2]) / np.log(2)
    # from the 24th none reaches the 26th; the one to the 27th crosses it and is a plain ratio of prices
    assert returns == pytest.approx(np.array([[np.nan, 2], [1, 2], [1, np.nan], [np.nan] * 2]), nan_ok=True)
    assert series.until(pd.Timestamp("2018-12-26")).void.equals(series.void)
    assert len(series.until(pd.Timestamp("2018-12-24")).void) == 0
    ends = with_void(whole, "2018-12-24", "2018-12-26", "2018-12-31")
    assert [len(part) for part in ends.parts()] == [0, 0, 2, 0]
    assert [len(part) for part in whole.parts()] == [5]
    assert whole.since_void == ""


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


def test_an_outcome_is_known_on_the_utc_date_of_the_close_it_ends_on():
    days = pd.DatetimeIndex(["2018-12-20", "2018-12-21", "2018-12-24"]).as_unit("us")
    frame = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close", "volume"], 1.0), index=days)
    on = {s: PriceSeries(Instrument.from_symbol(s), frame).outcome_dates([1, 2]) for s in ("AAPL", "FPH.NZ", "BTC-USD")}
    day = {d: np.datetime64(f"2018-12-{d}") for d in (21, 23, 24, 22, 25)}
    none = np.datetime64("NaT")
    np.testing.assert_array_equal(on["AAPL"], [[day[21], day[24]], [day[24], none], [none, none]])
    # Wellington's half day of the 24th ends at 23:45 UTC on the 23rd
    np.testing.assert_array_equal(on["FPH.NZ"], [[day[21], day[23]], [day[23], none], [none, none]])
    # a coin has every day, so that the 24th is three ahead of the 21st; its days end at midnight
    np.testing.assert_array_equal(on["BTC-USD"], [[day[22], none], [none, none], [none, none]])
