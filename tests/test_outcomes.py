import numpy as np
import pandas as pd
import pytest
from helpers import random_walk, sessions_until, utc, with_void
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.outcomes import find_outcomes

DAYS = sessions_until("2018-12-31", 5)
MONDAY = utc("2019-01-07 22:00")


def at(evening: int) -> pd.Timestamp:
    return MONDAY + pd.Timedelta(days=evening)


def told(column: str, *rows: tuple[int, float, int]) -> pd.DataFrame:
    """Return a frame of (day by position, number, evening it was known)."""
    days, values, evenings = zip(*rows, strict=True) if rows else ((), (), ())
    known = pd.DatetimeIndex([at(e) for e in evenings], tz="UTC").as_unit("us")
    return pd.DataFrame(
        {"symbol": "AAA", "session": DAYS[list(days)], column: np.array(values, "float64"), "known_at": known}
    )


def outcomes(closes: pd.DataFrame, splits: pd.DataFrame | None = None, origin: int = 0, target: int = 2) -> dict:
    """Return outcome and since when it is known, by view."""
    row = pd.DataFrame({"symbol": "AAA", "origin": DAYS[[origin]], "target_session": DAYS[[target]]}, index=[7])
    found = find_outcomes(row, closes, told("value") if splits is None else splits)
    assert set(found["row"]) <= {7}
    return {r["view"]: (r["outcome"], r["known_at"]) for r in found.to_dict("records")}


CLOSES = ((0, 100.0, 0), (1, 101.0, 1), (2, 110.0, 2))
UP = np.log(110.0) - np.log(100.0)


def test_an_outcome_is_the_log_return_from_the_origin_to_the_target_session():
    assert outcomes(told("close", *CLOSES)) == {"first": (UP, at(2)), "now": (UP, at(2))}


def test_outcomes_are_those_of_a_backtest_with_halts_and_void_sessions():
    series = random_walk(bars=60, seed=1)
    series = with_void(series, str(series.sessions[20].date()))
    gone = series.sessions[[5, 30, 31]]
    series = series.__class__(series.instrument, series.bars[~series.sessions.isin(gone)], series.void)
    days = sessions_until("2018-12-31", 60)
    rows = pd.DataFrame(
        [(o, t) for i, o in enumerate(days) for t in days[i + 1 : i + 4] if o in series.bars.index],
        columns=["origin", "target_session"],
    ).assign(symbol="AAA")
    closes = series.bars["close"].reset_index().assign(symbol="AAA", known_at=MONDAY)
    found = find_outcomes(rows, closes, told("value"))
    returns = dict(zip(series.sessions, series.log_returns([1, 2, 3]), strict=True))
    for view in ("first", "now"):
        one = found[found["view"] == view].set_index("row")["outcome"].reindex(rows.index)
        ahead = [days.get_loc(t) - days.get_loc(o) - 1 for o, t in rows[["origin", "target_session"]].to_numpy()]
        expected = [returns[o][h] for o, h in zip(rows["origin"], ahead, strict=True)]
        assert one.to_numpy() == pytest.approx(expected, rel=1e-12, nan_ok=True)
        assert 0 < one.isna().sum() < 20


def test_without_a_bar_of_either_session_there_is_no_outcome():
    assert outcomes(told("close", *CLOSES[:2])) == {}
    assert outcomes(told("close", *CLOSES[1:])) == {}
    assert outcomes(told("close")) == {}


def test_a_split_between_changes_neither_score():
    closes = told("close", (0, 400.0, 0), (1, 101.0, 1), (2, 110.0, 2))
    found = outcomes(closes, told("value", (1, 4.0, 1)))
    assert found["first"] == found["now"]
    assert found["now"] == (pytest.approx(UP, rel=1e-12), at(2))


def test_a_split_on_the_origin_or_after_the_target_changes_not_a_bit():
    splits = told("value", (0, 4.0, 0), (3, 0.3, 3))
    assert outcomes(told("close", *CLOSES), splits) == outcomes(told("close", *CLOSES))


def test_a_split_told_late_changes_neither_score_once_it_is_told():
    closes = told("close", (0, 400.0, 0), (1, 101.0, 1), (2, 110.0, 2))
    assert outcomes(closes)["first"] == (np.log(110.0) - np.log(400.0), at(2))  # what it looked like until then
    found = outcomes(closes, told("value", (1, 4.0, 4)))
    assert found["first"] == found["now"] == (pytest.approx(UP, rel=1e-12), at(4))


def test_a_split_withdrawn_leaves_the_first_score_as_it_was_and_frees_the_one_now():
    # a source that believed in a split of 2 told closes before it doubled, and later took both back
    closes = told("close", (0, 200.0, 0), (1, 101.0, 1), (2, 110.0, 2), (0, 100.0, 3))
    splits = told("value", (1, 2.0, 1), (1, np.nan, 3))
    found = outcomes(closes, splits)
    assert found == {"first": (pytest.approx(UP, rel=1e-12), at(2)), "now": (UP, at(3))}


def test_a_history_that_its_vendor_rescales_for_a_split_changes_neither_score():
    # no event: all closes are told anew, on another scale, with the bar of the split
    closes = told("close", (0, 400.0, 0), (1, 404.0, 1), (0, 100.0, 2), (1, 101.0, 2), (2, 110.0, 2))
    found = outcomes(closes)
    assert found["first"] == found["now"] == (UP, at(2))
    later = told("close", *CLOSES, (0, 50.0, 4), (1, 50.5, 4), (2, 55.0, 4))
    assert outcomes(later)["first"] == (UP, at(2))
    assert outcomes(later)["now"] == (pytest.approx(UP, rel=1e-12), at(4))


@pytest.mark.parametrize(("day", "close"), [(0, 105.0), (2, 120.0)])
def test_a_restated_close_changes_the_score_now_and_never_the_first(day, close):
    found = outcomes(told("close", *CLOSES, (day, close, 3)))
    assert found["first"] == (UP, at(2))
    assert found["now"] == (np.log(120.0 if day else 110.0) - np.log(100.0 if day else 105.0), at(3))


def test_a_close_restated_before_the_target_was_known_counts_in_both():
    found = outcomes(told("close", *CLOSES, (0, 105.0, 1)))
    assert found["first"] == found["now"] == (np.log(110.0) - np.log(105.0), at(2))


def test_a_close_told_again_unchanged_is_no_news():
    assert outcomes(told("close", *CLOSES, (2, 110.0, 3), (0, 100.0, 3))) == outcomes(told("close", *CLOSES))


def test_a_withdrawn_bar_has_no_outcome_now_and_keeps_its_first_one():
    gone = told("close", *CLOSES, (2, np.nan, 3))
    assert outcomes(gone) == {"first": (UP, at(2))}
    back = told("close", *CLOSES, (2, np.nan, 3), (2, 120.0, 4))
    assert outcomes(back) == {"first": (UP, at(2)), "now": (np.log(120.0) - np.log(100.0), at(4))}


def test_symbols_do_not_share_prices_or_splits():
    same = [told("close", *CLOSES, (1, x, 1)).assign(symbol=symbol) for symbol, x in (("AAA", 1.0), ("BBB", 2.0))]
    closes = pd.concat([*same, told("close", (0, 100.0, 0), (2, 55.0, 3)).assign(symbol="CCC")])
    splits = told("value", (1, 2.0, 1)).assign(symbol="CCC")
    rows = pd.DataFrame({"symbol": ["CCC", "AAA", "DDD", "BBB"], "origin": DAYS[0], "target_session": DAYS[2]})
    now = find_outcomes(rows, closes, splits).query("view == 'now'").set_index("row")
    assert now["outcome"].to_dict() == pytest.approx({0: UP, 1: UP, 3: UP}, rel=1e-12)
    assert now["known_at"].to_dict() == {0: at(3), 1: at(2), 3: at(2)}


GONE = float("nan")
EVENING = st.tuples(
    st.dictionaries(st.integers(0, 2), st.sampled_from([50.0, 80.0, 100.0, GONE]), max_size=3),
    st.dictionaries(st.integers(0, 3), st.sampled_from([2.0, 4.0, GONE]), max_size=1),
)


def view_of(closes: pd.DataFrame, splits: pd.DataFrame, instant: pd.Timestamp) -> pd.Series:
    """Say again how closes are read as of an instant: the latest row of each session, adjusted by the latest splits."""
    bars, events = (
        rows[rows["known_at"] <= instant].sort_values("known_at", kind="stable").groupby("session").last(skipna=False)
        for rows in (closes, splits)
    )
    close = bars["close"].dropna().copy()
    for session, ratio in events["value"].dropna().items():
        close[close.index < session] /= ratio
    return close


@given(st.lists(EVENING, min_size=1, max_size=6))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_outcomes_are_those_of_all_prices_read_as_of_one_instant(evenings):
    closes, splits = (
        told(column, *((i, x, k) for k, evening in enumerate(evenings) for i, x in evening[part].items()))
        for part, column in enumerate(("close", "value"))
    )
    pairs = [(a, b) for i, a in enumerate(DAYS[:3]) for b in DAYS[i + 1 : 3]]
    rows = pd.DataFrame(pairs, columns=["origin", "target_session"]).assign(symbol="AAA")
    found = find_outcomes(rows, closes, splits).set_index(["view", "row"])["outcome"]
    in_force = splits.sort_values("known_at", kind="stable").groupby("session")["value"].last(skipna=False).dropna()
    for i, (origin, target) in enumerate(pairs):
        between = splits[splits["session"].isin(in_force.index[(in_force.index > origin) & (in_force.index <= target)])]
        starts = [rows.dropna().groupby("session")["known_at"].min() for rows in (closes, between)]
        needed = [starts[0].get(origin, pd.NaT), starts[0].get(target, pd.NaT), *starts[1]]
        expected = {}
        if not any(pd.isna(instant) for instant in needed):
            for name, instant in (("first", max(needed)), ("now", at(len(evenings)))):
                view = view_of(closes, splits, instant)
                if {origin, target} <= set(view.index):
                    expected[name] = np.log(view[target] / view[origin])
        assert {n: found[n, i] for n in ("first", "now") if (n, i) in found} == pytest.approx(expected, abs=1e-12)
