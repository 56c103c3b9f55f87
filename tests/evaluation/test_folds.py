import pandas as pd
import pytest
from helpers import sessions_until
from hypothesis import given
from hypothesis import strategies as st

from forecasting.config import BacktestConfig
from forecasting.errors import TooFewBars
from forecasting.evaluation.folds import make_folds


def dates(fold) -> tuple[str, str, str]:
    return tuple(str(day.date()) for day in (fold.fitted_until, fold.test_first, fold.test_last))


def test_the_walk_expands_over_the_last_sessions_of_2018():
    folds = make_folds(sessions_until("2018-12-31", 100), BacktestConfig(test_sessions=10, refit_every=4))
    assert [dates(fold) for fold in folds] == [
        ("2018-12-14", "2018-12-17", "2018-12-20"),
        ("2018-12-20", "2018-12-21", "2018-12-27"),  # Christmas is no session
        ("2018-12-27", "2018-12-28", "2018-12-31"),
    ]


def test_sessions_of_several_symbols_are_walked_once_each_in_order():
    days = list(sessions_until("2018-12-31", 6))
    config = BacktestConfig(test_sessions=2, refit_every=5)
    assert make_folds([*days[3:], *days[:4], *days], config) == make_folds(days, config)
    assert [dates(fold) for fold in make_folds(days, config)] == [("2018-12-27", "2018-12-28", "2018-12-31")]


@given(st.integers(2, 60), st.integers(1, 59), st.integers(1, 30))
def test_every_test_session_is_forecast_once_by_a_fit_on_what_lies_before_it(n, tested, refit_every):
    tested = min(tested, n - 1)
    days = pd.date_range("2020-01-01", periods=n)
    folds = make_folds(days, BacktestConfig(test_sessions=tested, refit_every=refit_every))
    walked = [day for fold in folds for day in days[(days >= fold.test_first) & (days <= fold.test_last)]]
    assert walked == list(days[-tested:])
    for fold in folds:
        assert fold.fitted_until == fold.test_first - pd.Timedelta(days=1)
        assert (fold.test_last - fold.test_first).days < refit_every


def test_a_test_part_that_leaves_nothing_to_fit_on_is_refused():
    days = sessions_until("2018-12-31", 10)
    assert len(make_folds(days, BacktestConfig(test_sessions=9))) == 1
    with pytest.raises(TooFewBars, match="test part of 10 sessions: the histories span 10"):
        make_folds(days, BacktestConfig(test_sessions=10))
