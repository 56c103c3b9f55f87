"""Walk-forward folds: fit on the past, forecast from every origin of the next part, step on."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from forecasting.config import BacktestConfig
from forecasting.errors import TooFewBars


@dataclass(frozen=True)
class Fold:
    """One step of the walk: sessions are inclusive, and `fitted_until` lies before `test_first`."""

    fitted_until: pd.Timestamp
    test_first: pd.Timestamp
    test_last: pd.Timestamp


def make_folds(sessions: Iterable[pd.Timestamp], config: BacktestConfig) -> list[Fold]:
    """Return the folds of an expanding walk over the last `config.test_sessions` sessions.

    A forecaster is fitted on everything up to `fitted_until`; a target that ends later does not exist
    for it, which purges the horizon. Origins are all sessions from `test_first` to `test_last`.

    Parameters
    ----------
    sessions
        All dates on which any symbol has a bar.

    Raises
    ------
    TooFewBars
        The test part leaves no session to fit on.

    Examples
    --------
    >>> days = pd.date_range("2020-01-01", periods=10)
    >>> for fold in make_folds(days, BacktestConfig(test_sessions=5, refit_every=3)):
    ...     print(*(day.date() for day in (fold.fitted_until, fold.test_first, fold.test_last)))
    2020-01-05 2020-01-06 2020-01-08
    2020-01-08 2020-01-09 2020-01-10
    """
    days = pd.DatetimeIndex(sorted(set(sessions)))
    begin = len(days) - config.test_sessions
    if begin < 1:
        raise TooFewBars(
            f"a test part of {config.test_sessions} sessions: the histories span {len(days)}, and nothing would be "
            "left to fit on; next: fewer --test-sessions, or a longer history"
        )
    return [
        Fold(days[i - 1], days[i], days[min(i + config.refit_every, len(days)) - 1])
        for i in range(begin, len(days), config.refit_every)
    ]
