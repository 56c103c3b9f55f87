"""Walk-forward folds: fit on the past, forecast from every origin of the next part, step on.

What keeps the future out is not an index rule but absence: `Fold.training_part` hands a forecaster bars up to
`fitted_until` and no other, so a target that ends later does not exist for it, whatever it fits, selects or
calibrates. That is the purge. A target h sessions ahead needs the bar it ends on, so the last origin it can be
trained on lies h sessions before the end of the training part, which itself lies before every test origin:
each horizon is purged by exactly itself, and none needs to be known here. An embargo ends the training part
earlier still.

Folds are cut by date, over all sessions on which any symbol has a bar; on a date that is no session of
an exchange its symbols have no origin. Exchanges close at different instants, and nearly always in the order of
their dates: New York on a Monday (21:00 UTC) before Wellington on the Tuesday (04:00 UTC). The exception is a
market open round the clock beside one far in the east on a half day: a coin's 23 December ends at midnight
UTC, fifteen minutes after Wellington has closed its 24 December. So `training_part` also leaves out bars
that close after the first origin of the fold does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.config import BacktestConfig
from forecasting.errors import TooFewBars, UsageError
from forecasting.sessions import session_close

_NEVER = pd.Timestamp.max.tz_localize("UTC")


@dataclass(frozen=True)
class Fold:
    """One step of the walk. All four dates are inclusive and tz-naive.

    Parameters
    ----------
    fitted_from, fitted_until : the training part, calibration included
    test_first, test_last : the origins that are forecast

    Raises
    ------
    UsageError
        A part ends before it begins, or the training part reaches into the test part.
    """

    fitted_from: pd.Timestamp
    fitted_until: pd.Timestamp
    test_first: pd.Timestamp
    test_last: pd.Timestamp

    def __post_init__(self) -> None:
        if not self.fitted_from <= self.fitted_until < self.test_first <= self.test_last:
            raise UsageError(
                f"a fold fitted on {self.fitted_from.date()} to {self.fitted_until.date()} and tested on "
                f"{self.test_first.date()} to {self.test_last.date()}: the training part must end before the test part "
                "begins, and neither may end before it begins itself"
            )

    def training_part(self, series: Mapping[str, PriceSeries]) -> dict[str, PriceSeries]:
        """Return what a forecaster may be fitted on: no bar of it closes after any test origin has closed.

        Parameters
        ----------
        series : whole histories by symbol; those with a bar in the test part have their origins there

        Returns
        -------
        dict
            The same symbols, bars and void sessions from `fitted_from` to `fitted_until`; a symbol without
            a bar there stays, with none.
        """
        first_close = min(filter(None, (self._first_close(s) for s in series.values())), default=_NEVER)
        return {symbol: self._cut(s, first_close) for symbol, s in series.items()}

    def _first_close(self, series: PriceSeries) -> pd.Timestamp | None:
        """Return when the first origin of a series closes; None without an origin in this fold."""
        tested = series.bars.loc[self.test_first : self.test_last].index
        return session_close(series.instrument.calendar, tested[0]) if len(tested) else None

    def _cut(self, series: PriceSeries, instant: pd.Timestamp) -> PriceSeries:
        """Return the training part of a series, without what closes after an instant."""
        last = self.fitted_until
        while session_close(series.instrument.calendar, last) > instant:
            last -= pd.Timedelta(days=1)
        void = series.void[(series.void >= self.fitted_from) & (series.void <= last)]
        return replace(series, bars=series.bars.loc[self.fitted_from : last], void=void)


def make_folds(sessions: Iterable[pd.Timestamp], config: BacktestConfig, horizon: int | None = None) -> list[Fold]:
    """Return the folds of a walk over the last `config.test_sessions` sessions, in order.

    Test parts follow each other without a gap or an overlap, `config.refit_every` sessions each, the last
    one maybe shorter; with None there is one. A training part starts at the first session (expanding), or
    is the last `config.train_sessions` before the embargo (rolling). What a forecast reads when it is made
    is not limited by that: origins see their whole past.

    Parameters
    ----------
    sessions
        All dates on which any symbol has a bar, in any order. Every count of the configuration is one of
        these dates: beside a market that is open every day, 7 of them are a week.
    horizon
        The longest horizon forecast, if it is known: both parts must be longer.

    Raises
    ------
    TooFewBars
        The test part and the embargo leave no session to fit on, or fewer than `config.train_sessions`.
    UsageError
        The test part or a rolling training part is not longer than the horizon.

    Examples
    --------
    >>> days = pd.date_range("2020-01-01", periods=12)  # every day is a session: day 1 to 12
    >>> def show(**settings):
    ...     print("fitted      tested")
    ...     for f in make_folds(days, BacktestConfig(**settings)):
    ...         print(f"{f.fitted_from:%d} to {f.fitted_until:%d}    {f.test_first:%d} to {f.test_last:%d}")

    Expanding, refitted every 3 sessions; the last fold is short:

    >>> show(test_sessions=7, refit_every=3)
    fitted      tested
    01 to 05    06 to 08
    01 to 08    09 to 11
    01 to 11    12 to 12

    Of the first fold a forecaster is given days 1 to 5: at a horizon of 2 sessions its last training target
    is the return from day 3 to day 5. Rolling over 4 sessions:

    >>> show(test_sessions=7, refit_every=3, train_sessions=4)
    fitted      tested
    02 to 05    06 to 08
    05 to 08    09 to 11
    08 to 11    12 to 12

    With an embargo of 2 sessions:

    >>> show(test_sessions=7, refit_every=3, embargo=2)
    fitted      tested
    01 to 03    06 to 08
    01 to 06    09 to 11
    01 to 09    12 to 12

    Fitted once, never again:

    >>> show(test_sessions=7, refit_every=None, train_sessions=3, embargo=1)
    fitted      tested
    02 to 04    06 to 12
    """
    days = pd.DatetimeIndex(sorted(set(sessions)))
    if horizon is not None:
        require_longer_than(horizon, config)
    begin = len(days) - config.test_sessions
    left, needed = max(0, begin - config.embargo), config.train_sessions or 1
    if left < needed:
        raise TooFewBars(
            f"a test part of {config.test_sessions} sessions: the histories span {len(days)}, and with an embargo of "
            f"{config.embargo} there would be {left} left to fit on, where {needed} are needed; next: fewer "
            "--test-sessions, or a longer history"
        )
    length = config.refit_every or config.test_sessions
    folds = []
    for first in range(begin, len(days), length):
        end = first - config.embargo
        start = 0 if config.train_sessions is None else end - config.train_sessions
        folds.append(Fold(days[start], days[end - 1], days[first], days[min(first + length, len(days)) - 1]))
    return folds


def require_longer_than(horizon: int, config: BacktestConfig) -> None:
    """Refuse a split in which no target of a horizon lies within a part, by a `UsageError`."""
    if config.test_sessions <= horizon:
        raise UsageError(
            f"a test part of {config.test_sessions} sessions: it must be longer than the horizon of {horizon}, or no "
            "outcome of it is known; next: more --test-sessions"
        )
    if config.train_sessions is not None and config.train_sessions <= horizon:
        raise UsageError(
            f"a training part of {config.train_sessions} sessions: it must be longer than the horizon of {horizon}, "
            "or no target of it exists; next: a longer one"
        )
