from dataclasses import astuple
from functools import cache
from itertools import pairwise

import pandas as pd
import pytest
from helpers import sessions_until, with_void
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from forecasting.bars import PriceSeries
from forecasting.config import BacktestConfig
from forecasting.errors import TooFewBars, UsageError
from forecasting.evaluation.folds import Fold, make_folds
from forecasting.instruments import Instrument
from forecasting.sessions import are_sessions, session_close, session_numbers

closes_at = cache(session_close)

SYMBOLS = {"AAPL": "XNYS", "7203.T": "XTKS", "VOD.L": "XLON", "BTC-USD": "24/7", "FPH.NZ": "XNZE"}


def dates(folds) -> list[tuple[str, ...]]:
    """Return each fold as fitted_from, fitted_until, test_first, test_last."""
    return [tuple(str(day.date()) for day in astuple(fold)) for fold in folds]


def series_on(symbol: str, sessions: pd.DatetimeIndex) -> PriceSeries:
    return PriceSeries(Instrument.from_symbol(symbol), pd.DataFrame({"close": 1.0}, index=sessions))


def market(last: str, count: int, *symbols: str) -> dict[str, PriceSeries]:
    return {symbol: series_on(symbol, sessions_until(last, count, SYMBOLS[symbol])) for symbol in symbols}


def all_sessions(series) -> list[pd.Timestamp]:
    return [day for s in series.values() for day in s.sessions]


def last_days(part) -> dict[str, str]:
    return {symbol: str(s.sessions[-1].date()) for symbol, s in part.items()}


def test_the_walk_expands_over_the_last_sessions_of_2018():
    folds = make_folds(sessions_until("2018-12-31", 100), BacktestConfig(test_sessions=10, refit_every=4))
    assert dates(folds) == [
        ("2018-08-08", "2018-12-14", "2018-12-17", "2018-12-20"),
        ("2018-08-08", "2018-12-20", "2018-12-21", "2018-12-27"),  # Christmas is no session
        ("2018-08-08", "2018-12-27", "2018-12-28", "2018-12-31"),  # what is left over is a short fold
    ]


def test_a_rolling_walk_forgets_what_lies_further_back():
    config = BacktestConfig(test_sessions=10, refit_every=4, train_sessions=5)
    assert dates(make_folds(sessions_until("2018-12-31", 100), config)) == [
        ("2018-12-10", "2018-12-14", "2018-12-17", "2018-12-20"),
        ("2018-12-14", "2018-12-20", "2018-12-21", "2018-12-27"),
        ("2018-12-20", "2018-12-27", "2018-12-28", "2018-12-31"),
    ]


def test_an_embargo_moves_the_training_part_back_and_leaves_the_tests_where_they_are():
    config = BacktestConfig(test_sessions=10, refit_every=4, train_sessions=5, embargo=3)
    assert dates(make_folds(sessions_until("2018-12-31", 100), config)) == [
        ("2018-12-04", "2018-12-11", "2018-12-17", "2018-12-20"),  # 5 December 2018 was a day of mourning
        ("2018-12-11", "2018-12-17", "2018-12-21", "2018-12-27"),
        ("2018-12-17", "2018-12-21", "2018-12-28", "2018-12-31"),
    ]


def test_a_walk_that_never_refits_is_one_fold():
    config = BacktestConfig(test_sessions=10, refit_every=None)
    assert dates(make_folds(sessions_until("2018-12-31", 100), config)) == [
        ("2018-08-08", "2018-12-14", "2018-12-17", "2018-12-31")
    ]


def test_folds_of_several_calendars_count_the_dates_on_which_any_of_them_trades():
    series = market("2019-01-08", 20, "AAPL", "7203.T", "VOD.L")
    config = BacktestConfig(test_sessions=8, refit_every=3, embargo=1)
    assert dates(make_folds(all_sessions(series), config)) == [
        # 25 December is a session in Tokyo alone, 31 December to 3 January in the other two, 1 January in none
        ("2018-12-05", "2018-12-25", "2018-12-27", "2018-12-31"),
        ("2018-12-05", "2018-12-28", "2019-01-02", "2019-01-04"),
        ("2018-12-05", "2019-01-03", "2019-01-07", "2019-01-08"),
    ]


def test_a_coin_makes_every_day_a_session():
    series = market("2019-01-06", 10, "AAPL", "BTC-USD")
    folds = make_folds(all_sessions(series), BacktestConfig(test_sessions=7, refit_every=4))
    assert dates(folds) == [
        ("2018-12-20", "2018-12-30", "2018-12-31", "2019-01-03"),
        ("2018-12-20", "2019-01-03", "2019-01-04", "2019-01-06"),
    ]
    assert last_days(folds[0].training_part(series)) == {"AAPL": "2018-12-28", "BTC-USD": "2018-12-30"}


def test_sessions_of_several_symbols_are_walked_once_each_in_order():
    days = list(sessions_until("2018-12-31", 6))
    config = BacktestConfig(test_sessions=2, refit_every=5)
    assert make_folds([*days[3:], *days[:4], *days], config) == make_folds(days, config)
    assert dates(make_folds(days, config)) == [("2018-12-21", "2018-12-27", "2018-12-28", "2018-12-31")]


def test_a_coin_loses_the_day_that_ends_after_wellington_has_closed_on_christmas_eve():
    series = market("2018-12-24", 40, "FPH.NZ", "BTC-USD", "AAPL")
    [fold] = make_folds(all_sessions(series), BacktestConfig(test_sessions=1))
    assert dates([fold])[0][1:] == ("2018-12-23", "2018-12-24", "2018-12-24")
    # Wellington's 24 December closed at 23:45 UTC on the 23rd, and the coin's 23rd fifteen minutes later
    assert last_days(fold.training_part(series)) == {
        "FPH.NZ": "2018-12-21",
        "BTC-USD": "2018-12-22",
        "AAPL": "2018-12-21",
    }
    without_wellington = {symbol: series[symbol] for symbol in ("BTC-USD", "AAPL")}
    assert last_days(fold.training_part(without_wellington))["BTC-USD"] == "2018-12-23"


def test_a_training_part_holds_the_bars_and_void_sessions_of_its_range_alone():
    days = sessions_until("2018-12-31", 20)
    fold = Fold(days[5], days[9], days[11], days[19])
    whole = with_void(series_on("AAPL", days), *(str(days[i].date()) for i in (2, 7, 10)))
    young = series_on("MSFT", days[10:])
    part = fold.training_part({"AAPL": whole, "MSFT": young})
    assert list(part["AAPL"].sessions) == [days[5], days[6], days[8], days[9]]
    assert list(part["AAPL"].void) == [days[7]]
    assert len(part["MSFT"]) == 0


def test_without_an_origin_in_the_fold_the_dates_alone_decide():
    days = sessions_until("2018-12-31", 20)
    fold = Fold(days[0], days[9], days[10], days[19])
    assert last_days(fold.training_part({"AAPL": series_on("AAPL", days[:10])})) == {"AAPL": str(days[9].date())}


@given(
    n=st.integers(2, 60),
    tested=st.integers(1, 59),
    refit_every=st.none() | st.integers(1, 30),
    train_sessions=st.none() | st.integers(1, 20),
    embargo=st.integers(0, 10),
)
def test_every_test_session_is_forecast_once_by_a_fit_on_what_lies_before_it(
    n, tested, refit_every, train_sessions, embargo
):
    assume(n - tested - embargo >= (train_sessions or 1))
    days = pd.date_range("2020-01-01", periods=n)
    folds = make_folds(days, BacktestConfig(tested, refit_every, train_sessions, embargo))
    walked = [day for fold in folds for day in days[(days >= fold.test_first) & (days <= fold.test_last)]]
    assert walked == list(days[-tested:])
    for fold in folds:
        assert fold.fitted_until == fold.test_first - pd.Timedelta(days=1 + embargo)
        assert (fold.test_last - fold.test_first).days < (refit_every or tested)
        fitted = (fold.fitted_until - fold.fitted_from).days + 1
        assert fitted == train_sessions if train_sessions else fold.fitted_from == days[0]
    assert all(after.fitted_from >= before.fitted_from for before, after in pairwise(folds))


@st.composite
def markets(draw) -> dict[str, PriceSeries]:
    """Return histories on several calendars around a date, each with gaps and an end of its own."""
    symbols = draw(st.just(sorted(SYMBOLS)) | st.lists(st.sampled_from(sorted(SYMBOLS)), min_size=1, unique=True))
    # Christmas, with its half days, half of the time; else any day, before the recorded holidays as well
    christmas = st.datetimes(pd.Timestamp("2018-12-24"), pd.Timestamp("2018-12-31"))
    last = draw(christmas | st.datetimes(pd.Timestamp("1989-01-01"), pd.Timestamp("2024-01-01")))
    days = pd.date_range(end=pd.Timestamp(last).normalize(), periods=60)
    series = {}
    for symbol in symbols:
        open_days = days[are_sessions(SYMBOLS[symbol], days)]
        gaps = draw(st.sets(st.integers(0, len(open_days) - 1), max_size=5))
        begin = draw(st.integers(0, 20))
        series[symbol] = series_on(symbol, open_days.delete(sorted(gaps))[begin:])
    return series


@settings(max_examples=150)
@given(
    series=markets(),
    tested=st.integers(1, 20),
    refit_every=st.none() | st.integers(1, 9),
    train_sessions=st.none() | st.integers(1, 12),
    embargo=st.integers(0, 3),
    horizon=st.integers(1, 5),
)
def test_no_training_or_calibration_target_reaches_past_a_test_origin(
    series, tested, refit_every, train_sessions, embargo, horizon
):
    sessions = all_sessions(series)
    assume(len(set(sessions)) - tested - embargo >= (train_sessions or 1))
    for fold in make_folds(sessions, BacktestConfig(tested, refit_every, train_sessions, embargo)):
        origins = {s: whole.bars.loc[fold.test_first : fold.test_last].index for s, whole in series.items()}
        closes = [closes_at(SYMBOLS[symbol], day) for symbol, days in origins.items() for day in days]
        for symbol, part in fold.training_part(series).items():
            # whatever is fitted, selected or calibrated: every bar of it had closed when any origin did
            assert all(closes_at(SYMBOLS[symbol], day) <= min(closes) for day in part.sessions)
            ahead = part.bars_ahead([horizon])[:, 0]
            targets = part.sessions[ahead[ahead >= 0]]
            assert (targets <= fold.fitted_until).all()
            # on its own calendar, the last training origin lies more than a horizon before the first test origin
            if len(targets) and len(origins[symbol]):
                numbers = pd.Series(session_numbers(SYMBOLS[symbol], series[symbol].sessions), series[symbol].sessions)
                trained = part.sessions[ahead >= 0]
                assert numbers[origins[symbol][0]] - numbers[trained[-1]] > horizon


def test_a_test_part_that_leaves_nothing_to_fit_on_is_refused():
    days = sessions_until("2018-12-31", 10)
    assert len(make_folds(days, BacktestConfig(test_sessions=9))) == 1
    with pytest.raises(TooFewBars, match="test part of 10 sessions: the histories span 10"):
        make_folds(days, BacktestConfig(test_sessions=10))
    with pytest.raises(TooFewBars, match="with an embargo of 3 there would be 0 left to fit on, where 1 are needed"):
        make_folds(days, BacktestConfig(test_sessions=7, embargo=3))
    with pytest.raises(TooFewBars, match="4 left to fit on, where 5 are needed"):
        make_folds(days, BacktestConfig(test_sessions=6, train_sessions=5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"test_sessions": 5}, "a test part of 5 sessions: it must be longer than the horizon of 5"),
        (
            {"test_sessions": 6, "train_sessions": 5},
            "a training part of 5 sessions: it must be longer than the horizon",
        ),
    ],
)
def test_a_part_that_is_not_longer_than_the_horizon_is_refused(settings, message):
    days = sessions_until("2018-12-31", 50)
    assert make_folds(days, BacktestConfig(**settings), horizon=4)
    with pytest.raises(UsageError, match=message):
        make_folds(days, BacktestConfig(**settings), horizon=5)


@pytest.mark.parametrize("days", [(1, 3, 3, 4), (1, 5, 3, 4), (3, 2, 4, 5), (1, 2, 5, 4)])
def test_parts_that_overlap_or_run_backwards_are_refused(days):
    with pytest.raises(UsageError, match="the training part must end before the test part begins"):
        Fold(*(pd.Timestamp(2020, 1, day) for day in days))
