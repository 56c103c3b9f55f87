"""Whatever comes in, bars are canonical or an error names the rule; nothing else escapes."""

from datetime import UTC, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from helpers import flat_bars, sessions_until
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from forecasting.bars import (
    BAR_COLUMNS,
    PRICE_COLUMNS,
    adjust_bars,
    broken_rules,
    make_series,
    normalize_bars,
    validate_bars,
)
from forecasting.errors import BarsError, InvalidSymbol
from forecasting.events import EVENT_KINDS, split_factors, validate_events

RULES = {"missing_price", "not_positive", "negative_volume", "infinite_volume", "high_low", "duplicate_session", ""}
DTYPES = {"symbol": "str", "session": "datetime64[us]"} | dict.fromkeys([*PRICE_COLUMNS, "volume"], "float64")

MISSING = [None, np.nan, pd.NaT, pd.NA, "", "nan"]
ODD = st.one_of(
    st.sampled_from(MISSING),
    st.booleans(),
    st.integers(),
    st.integers(10**300, 10**400),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=6),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=13))])),
    st.timedeltas(),
    st.builds(lambda n: np.datetime64(n, "s"), st.integers(-(2**62), 2**62)),
    st.builds(lambda n: np.timedelta64(n, "D"), st.integers(-1000, 1000)),
    st.decimals().filter(lambda number: not number.is_snan()),  # which pandas itself cannot compare
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)
DAYS = [day.date() for day in sessions_until("2018-12-31", 6)]
PRICES = st.one_of(st.floats(0.5, 2.0), st.sampled_from([1, "1.5", Decimal("1.25"), np.float32(1.75), True]))
LIKELY = {
    "symbol": st.sampled_from(["AAA", "BBB", "VOD.L", "^GSPC", "B?"]),
    "session": st.sampled_from([*DAYS, *map(str, DAYS), *map(pd.Timestamp, DAYS), f"{DAYS[0]}T09:30:00-05:00"]),
    **dict.fromkeys(PRICE_COLUMNS, PRICES),
    "volume": st.one_of(st.floats(0, 1e9), st.sampled_from([0, 5, "7", None, np.nan])),
}
CASTS = st.sampled_from(
    ["object", "category", "str", "string", "float64", "float16", "Int64", "complex128", "datetime64[ns]", "bool"]
)


@st.composite
def frames(draw, likely=False):
    """Return a frame of bars in which columns may hold anything, in any dtype, or be missing or there twice."""
    rows = draw(st.integers(0, 5))
    columns = list(BAR_COLUMNS)
    odd = not likely and draw(st.booleans())
    if odd and draw(st.booleans()):
        columns = draw(st.lists(st.sampled_from([*BAR_COLUMNS, "extra", 0, ("a", "b")]), min_size=5, max_size=9))
    spoiled = draw(st.sets(st.sampled_from(BAR_COLUMNS), max_size=2)) if odd else set()
    held = []
    for column in columns:
        cells = st.one_of(LIKELY.get(column, ODD), ODD) if column in spoiled or column not in LIKELY else LIKELY[column]
        one = pd.Series(draw(st.lists(cells, min_size=rows, max_size=rows)), dtype=object)
        if odd and draw(st.integers(0, 4)) == 0:
            try:
                one = one.astype(draw(CASTS))
            except Exception:
                assume(False)
        held.append(one)
    frame = pd.concat(held, axis=1) if held else pd.DataFrame()
    frame.columns = pd.Index(columns, dtype=object, tupleize_cols=False)
    index = draw(st.sampled_from(["plain", "same", "session"]))
    if index == "same":
        frame.index = pd.Index(["x"] * rows)
    elif index == "session":
        frame.index = pd.MultiIndex.from_arrays([[1] * rows, range(rows)], names=["session", "symbol"])
    return frame


def require_canonical(bars: pd.DataFrame) -> None:
    assert list(bars.columns) == BAR_COLUMNS
    assert bars.dtypes.astype(str).to_dict() == DTYPES
    assert bars.index.equals(pd.RangeIndex(len(bars)))
    assert not bars[["symbol", "session"]].isna().any(axis=None)
    assert (bars["session"] == bars["session"].dt.normalize()).all()
    assert list(zip(bars["symbol"], bars["session"], strict=True)) == sorted(
        zip(bars["symbol"], bars["session"], strict=True)
    )
    pd.testing.assert_frame_equal(normalize_bars(bars), bars)


def outcome(call, *args):
    """Return what a call gives, or the words in which it refuses; nothing else may escape it."""
    try:
        return call(*args), ""
    except (BarsError, InvalidSymbol) as error:
        return None, str(error)


@settings(max_examples=220)
@given(frames())
def test_any_frame_becomes_canonical_bars_or_an_error_that_names_the_column(frame):
    before = frame.copy(deep=True)
    bars, refused = outcome(normalize_bars, frame)
    pd.testing.assert_frame_equal(frame, before)
    if refused:
        assert any(name in refused for name in [*BAR_COLUMNS, "no date"])
        assert len(refused.splitlines()) == 1
        assert len(refused) < 300
    else:
        require_canonical(bars)
        assert len(bars) == len(frame)


@settings(max_examples=100)
@given(frames(likely=True), st.data())
def test_bars_that_break_a_rule_are_named_and_the_rest_are_a_series(frame, data):
    bars = normalize_bars(frame)
    for _ in range(data.draw(st.integers(0, 2)) if len(bars) else 0):
        row = data.draw(st.integers(0, len(bars) - 1))
        bars.loc[row, data.draw(st.sampled_from([*PRICE_COLUMNS, "volume"]))] = data.draw(st.floats())
    rules = broken_rules(bars)
    assert set(rules) <= RULES
    kept = bars[rules == ""]
    assert not kept.duplicated(["symbol", "session"]).any()
    assert ((kept[PRICE_COLUMNS] > 0) & np.isfinite(kept[PRICE_COLUMNS])).all(axis=None)
    assert (kept["volume"].isna() | (np.isfinite(kept["volume"]) & (kept["volume"] >= 0))).all()
    assert validate_bars(kept) is kept
    require_canonical(normalize_bars(kept))
    if (rules != "").any():
        with pytest.raises(BarsError, match=rules[rules != ""].iloc[0]):
            validate_bars(bars)
    series, refused = outcome(make_series, kept)
    if refused:
        assert "symbol 'B?'" in refused or "no session of XLON" in refused
    else:
        assert sum(map(len, series.values())) == len(kept)
        for one in series.values():
            assert np.isfinite(one.log_returns([1])[one.bars_ahead([1]) >= 0]).all()


@st.composite
def events(draw):
    kinds, values = st.sampled_from([*EVENT_KINDS] * 4 + ["merger"]), st.one_of(st.floats(), st.floats(0.1, 20.0))
    rows = draw(st.lists(st.tuples(st.sampled_from(DAYS), kinds, values), max_size=4))
    frame = pd.DataFrame(rows, columns=["session", "kind", "value"]).assign(symbol="AAA")
    return frame.astype({"session": "datetime64[us]", "kind": "str", "value": "float64", "symbol": "str"})


CLOSES = st.lists(st.floats(0.01, 1e5), min_size=len(DAYS), max_size=len(DAYS))


@settings(max_examples=120)
@given(CLOSES, events(), st.sampled_from(["split", "total"]))
def test_any_events_adjust_prices_to_positive_ones_or_are_refused_by_name(closes, found, basis):
    bars = flat_bars("AAA", DAYS, closes).drop(columns="symbol").set_index("session")
    adjusted, refused = outcome(adjust_bars, bars, found, basis)
    if refused:
        named = ["unknown_kind", "split_ratio", "dividend_amount", "duplicate_event", "the dividend of"]
        assert any(rule in refused for rule in named)
        return
    assert validate_events(found) is found
    assert adjusted.dtypes.equals(bars.dtypes)
    assert adjusted.index.equals(bars.index)
    assert ((adjusted > 0) & np.isfinite(adjusted)).all(axis=None)
    assert adjusted.iloc[-1].equals(bars.iloc[-1])  # what the last session traded at is what the screen shows


@given(CLOSES, st.dictionaries(st.sampled_from(DAYS), st.floats(1e-3, 1e3), max_size=4))
def test_undoing_the_adjustment_for_splits_gives_back_what_was_traded(closes, ratios):
    bars = flat_bars("AAA", DAYS, closes).drop(columns="symbol").set_index("session")
    splits = pd.DataFrame({"symbol": "AAA", "session": list(ratios), "kind": "split", "value": list(ratios.values())})
    splits = splits.astype({"session": "datetime64[us]", "value": "float64"})
    adjusted = adjust_bars(bars, splits)
    factors = split_factors(pd.DatetimeIndex(bars.index), splits.set_index("session")["value"])
    traded = adjusted[PRICE_COLUMNS].mul(factors, axis=0).assign(volume=adjusted["volume"] / factors)
    pd.testing.assert_frame_equal(traded, bars, rtol=1e-14, atol=0)


@given(st.lists(ODD, max_size=3), st.sampled_from(["symbol", "session", "kind", "value"]))
def test_events_that_hold_anything_are_valid_or_refused_by_name(cells, column):
    good = {"symbol": "AAA", "session": pd.Timestamp(DAYS[0]), "kind": "split", "value": 2.0}
    frame = pd.DataFrame(good, index=range(len(cells)))
    frame[column] = pd.Series(cells, dtype=object)
    checked, refused = outcome(validate_events, frame)
    assert checked is frame or "events break a rule" in refused or "events have sessions of" in refused
