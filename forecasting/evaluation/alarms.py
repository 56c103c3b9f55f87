"""Results too good to be true, and forecasts that are not what they say: suspicions, each with its likely cause.

An alarm proves nothing. A leak looks exactly like a success, so a score that no honest forecast of daily
returns is known to reach is taken for a leak until the audit has found none; and intervals far from what they
promise make every other score of the forecast doubtful.

Each date counts once, with the mean over its symbols, as everywhere in `significance`: the value an alarm
states is the one that was tested. Where all symbols have the same dates it equals the mean over rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from forecasting.evaluation.breakdown import levels_of
from forecasting.evaluation.significance import long_run_mean
from forecasting.evaluation.value_at_risk import OUTER_TAILS, TAILS, tail_shares

LEAK_HORIZON = 5
"""Sessions ahead up to which a score can be too good to be true; beyond, a steady drift alone is worth as much."""

RMSE_RATIO = 0.97
"""RMSE over that of a random walk, below which a leak is suspected."""

DIRECTION_EXCESS = 0.04
"""Accuracy of the direction above the better constant guess, beyond which a leak is suspected."""

COVERAGE_OFF = 0.05
"""How far coverage may be from what it should be before it is far off: the 80% interval of GJR-GARCH-t, which is known
for being too wide, covers 83 to 86%, and that of a network left alone for eight years 77%, 20 sessions ahead."""

TAIL_EXCESS = 1.5
"""How many times as full as it should be a tail may be before the PIT counts as U-shaped."""

STANDARD_ERRORS = 3
"""By how many standard errors all of these must hold."""

_JUDGED = (0.8, 0.9)  # coverages of the intervals that can be far off by 5 points and mean something
_FEWEST = 5  # degrees of freedom of a standard error, below which nothing is judged

_SAW_THE_FUTURE = "a feature, a target, a fit or a calibration that saw bars after the origin"
_TOO_NARROW = (
    "a market stormier than that of the calibration, a calibration on too few outcomes, or a scale fitted too closely "
    "to the training part"
)
_TOO_WIDE = "storms of the training part that the scale or the calibration has not forgotten, or too long a tail"
_LEAK = ("Suspected leak, not a success", "tickercast audit")
_MISCALIBRATION = ("Suspected miscalibration", "tickercast backtest --refit-every 63")
_SUSPICIONS = {"leak_rmse": _LEAK, "leak_direction": _LEAK, "coverage": _MISCALIBRATION, "pit": _MISCALIBRATION}

Kind = Literal["leak_rmse", "leak_direction", "coverage", "pit"]
LEAKS = ("leak_rmse", "leak_direction")
"""Kinds of alarm that suspect a leak."""


@dataclass(frozen=True)
class Alarm:
    """One suspicion, at one horizon.

    Parameters
    ----------
    kind : "leak_rmse", "leak_direction" (suspected leaks), "coverage" or "pit" (suspected miscalibration)
    horizon : sessions ahead
    value : RMSE over the random walk's, share of right directions, coverage, or share of outcomes in both tails
    expected : the same of doing nothing (1, the better constant guess) or of a calibrated forecast
    limit : what the value is beyond, on the far side of `expected`
    standard_errors : by how many the value is beyond the limit (leaks; infinite where no date differs from another),
        or away from `expected` (miscalibration)
    rows, dates : what it rests on
    measured, cause : what was measured and its likely cause, in words
    """

    kind: Kind
    horizon: int
    value: float
    expected: float
    limit: float
    standard_errors: float
    rows: int
    dates: int
    measured: str
    cause: str

    @property
    def sentence(self) -> str:
        """The alarm in words: what was measured, its limit, that it is a suspicion, its likely cause, what to do."""
        suspicion, command = _SUSPICIONS[self.kind]
        return (
            f"{suspicion}: {self.horizon} {'session' if self.horizon == 1 else 'sessions'} ahead {self.measured} "
            f"({self.rows:,} rows on {self.dates:,} dates). Likely cause: {self.cause}; next: {command}"
        )


def find_alarms(rows: pd.DataFrame, horizons: Sequence[int]) -> list[Alarm]:
    """Return what is suspicious about one forecaster's scores, pooled over symbols; mostly nothing.

    Parameters
    ----------
    rows : of one forecaster, as `score_rows` returns them
    horizons : sessions ahead

    Returns
    -------
    list of Alarm
        By horizon as handed; at each at most one of a kind. Suspected leaks at horizons up to `LEAK_HORIZON`:

        - leak_rmse: the RMSE of the mean is below 0.97 of a random walk's that forecasts 0;
        - leak_direction: the accuracy of the direction is more than 4 points above that of always "up" and of always
          "down", outcomes of zero left out;

        each by more than three standard errors. Suspected miscalibration at all horizons:

        - coverage: that of the 80% or 90% interval is more than 5 points off; where both are, the one that is off by
          more standard errors;
        - pit: it is U-shaped (see `tail_shares`), with more than one and a half times as many outcomes as there
          should be beyond the 5%, 2.5% or 1% quantile and its mirror; of several tails likewise;

        each by more than three standard errors from what it should be, or as many as are equally improbable where
        they have few degrees of freedom: 3.2 on 756 dates one session ahead, 5.5 at the fewest.

        Nothing where there are fewer than five degrees of freedom: on fewer than 45 dates, or than ten horizons of
        them. No coverage or pit alarm on levels that do not hold these intervals or tails.

    Notes
    -----
    Standard errors are those of `long_run_mean`, of the mean over symbols of each origin date. A ratio below 0.97 is
    tested as a mean of 0.97^2 y^2 - e^2 above zero, e the error and y the outcome, which needs no linearisation.
    Which constant guess is better is taken from the same outcomes, so that it is a little too good, and the alarm a
    little too rare. The standard error of a share is at least that of independent symbols on every h-th date,
    sqrt(p (1 - p) h / rows): shares that came out near 0 or 1 hardly vary, however few dates made them so.

    Of true forecasts whose medians say nothing, at six horizons up to 20, on 60 to 756 dates of 2 or 20 symbols, with
    volatility in clusters or not, none of 2,800 was suspected of a leak, and 12 (0.4%) of miscalibration; 2% of those
    on 252 dates of 20 symbols without clusters, the worst of 14 kinds.

    A forecast that knows the drift and nothing else has a ratio of 1 / sqrt(1 + h s^2), with s the daily drift over
    the daily volatility: 0.97 five sessions ahead takes s = 0.11, a Sharpe ratio of 1.8 a year over the whole test,
    and three standard errors beyond it much more. Its direction is that of a constant guess.
    """
    alarms: list[Alarm] = []
    for horizon in horizons:
        ahead = rows[rows["horizon"] == horizon]
        if horizon <= LEAK_HORIZON:
            alarms += _rmse_alarm(ahead, horizon)
            alarms += _direction_alarm(ahead, horizon)
        alarms += _worst(_coverage_alarms(ahead, horizon))
        alarms += _worst(_pit_alarms(ahead, horizon))
    return alarms


def _rmse_alarm(ahead: pd.DataFrame, horizon: int) -> Iterator[Alarm]:
    own = _by_date(ahead, (ahead["outcome"] - ahead["mean"]) ** 2)
    walk = _by_date(ahead, ahead["outcome"] ** 2)
    beyond = _above_zero(RMSE_RATIO**2 * walk - own, horizon)
    if not beyond > STANDARD_ERRORS:
        return
    ratio = float(np.sqrt(own.mean() / walk.mean()))
    measured = f"the RMSE is {ratio:.3f} of a random walk's, {_in_words(beyond)} below the limit of {RMSE_RATIO}"
    cause = _SAW_THE_FUTURE if horizon == 1 else f"{_SAW_THE_FUTURE}; or a drift that was unusually strong and steady"
    yield Alarm("leak_rmse", horizon, ratio, 1.0, RMSE_RATIO, beyond, len(ahead), len(own), measured, cause)


def _direction_alarm(ahead: pd.DataFrame, horizon: int) -> Iterator[Alarm]:
    directed = ahead[ahead["direction"].notna()]
    right = _by_date(directed, directed["direction"])
    up = _by_date(directed, directed["outcome"] > 0)
    if not len(up):
        return
    word, constant = ("up", up) if up.mean() >= 0.5 else ("down", 1 - up)
    beyond = _above_zero(right - constant - DIRECTION_EXCESS, horizon)
    if not beyond > STANDARD_ERRORS:
        return
    accuracy, expected = float(right.mean()), float(constant.mean())
    limit = expected + DIRECTION_EXCESS
    measured = (
        f'{accuracy:.1%} of the directions are right where always "{word}" would be in {expected:.1%}, '
        f"{_in_words(beyond)} above the limit of {limit:.1%}"
    )
    yield Alarm(
        "leak_direction", horizon, accuracy, expected, limit, beyond, len(directed), len(up), measured, _SAW_THE_FUTURE
    )


def _coverage_alarms(ahead: pd.DataFrame, horizon: int) -> Iterator[Alarm]:
    for expected in _JUDGED:
        column = f"hit_{expected * 100:.0f}"
        if column not in ahead:
            continue
        hits = _by_date(ahead, ahead[column])
        away = _far(hits, expected, horizon, len(ahead))
        if away is None or not abs(hits.mean() - expected) > COVERAGE_OFF:
            continue
        coverage = float(hits.mean())
        narrow = coverage < expected
        limit = round(expected + (-COVERAGE_OFF if narrow else COVERAGE_OFF), 6)
        measured = (
            f"the {expected:.0%} interval held {coverage:.1%} of the outcomes, beyond the limit of {limit:.0%} and "
            f"{_in_words(away)} from {expected:.0%}"
        )
        cause = _cause_of_narrow(ahead, column) if narrow else _TOO_WIDE
        yield Alarm("coverage", horizon, coverage, expected, limit, away, len(ahead), len(hits), measured, cause)


def _cause_of_narrow(ahead: pd.DataFrame, column: str) -> str:
    """Tell a scale that does not follow the volatility from intervals that are too narrow at all times."""
    if "tercile" not in ahead:
        return _TOO_NARROW
    by_tercile = ahead.groupby("tercile")[column].mean()
    calm, stormy = float(by_tercile.iloc[0]), float(by_tercile.iloc[-1])
    if calm - stormy <= COVERAGE_OFF:
        return _TOO_NARROW
    return f"a scale that does not follow the volatility ({calm:.0%} held in calm weeks, {stormy:.0%} in stormy ones)"


def _pit_alarms(ahead: pd.DataFrame, horizon: int) -> Iterator[Alarm]:
    levels = levels_of(ahead)
    if not set(OUTER_TAILS) <= set(levels) or not len(ahead):
        return
    shares = tail_shares(ahead, [horizon]).set_index("level")
    narrow = shares.loc[0.1, "outer"] > 0.2 + COVERAGE_OFF
    cause = "intervals too narrow altogether" if narrow else "tails thinner than those of returns"
    for level in TAILS:
        if shares.loc[level, "shape"] != "U-shaped":
            continue
        low = levels.index(level)
        outer = _by_date(ahead, (ahead["pit_bin"] <= low) | (ahead["pit_bin"] >= len(levels) - low))
        expected = 2 * level
        limit = TAIL_EXCESS * expected
        away = _far(outer, expected, horizon, len(ahead))
        if away is None or not outer.mean() > limit:
            continue
        share = float(outer.mean())
        measured = (
            f"{share:.1%} of the outcomes lie beyond the {level:.1%} quantile and its mirror where {expected:.0%} "
            f"should, too many on both sides (a U-shaped PIT), beyond the limit of {limit:.1%} and {_in_words(away)} "
            f"from {expected:.0%}"
        )
        yield Alarm("pit", horizon, share, expected, limit, away, len(ahead), len(outer), measured, cause)


def _worst(alarms: Iterable[Alarm]) -> list[Alarm]:
    """Return the alarm that is out by most standard errors, if there is one."""
    return sorted(alarms, key=lambda alarm: -alarm.standard_errors)[:1]


def _by_date(ahead: pd.DataFrame, values: pd.Series) -> np.ndarray:
    """Return the mean over the symbols of each origin date, ascending."""
    return np.asarray(values.astype("float64").groupby(ahead["origin"]).mean())


def _above_zero(daily: np.ndarray, horizon: int) -> float:
    """Return how many standard errors a mean is above zero; NaN where the error is too uncertain to count in."""
    mean, standard_error, freedom = long_run_mean(daily, horizon)
    if freedom < _FEWEST:
        return nan
    if standard_error > 0:
        return mean / standard_error
    return inf if mean > 0 else -inf


def _far(shares: np.ndarray, expected: float, horizon: int, rows: int) -> float | None:
    """Return by how many standard errors a mean share is off; None where that is too few, or cannot be counted in."""
    mean, standard_error, freedom = long_run_mean(shares - expected, horizon)
    if freedom < _FEWEST:
        return None
    # shares near 0 or 1 hardly vary, which says little of how much the expected share would
    away = abs(mean) / max(standard_error, sqrt(expected * (1 - expected) * horizon / rows))
    return away if away > stats.t.isf(stats.norm.sf(STANDARD_ERRORS), freedom) else None


def _in_words(standard_errors: float) -> str:
    return f"{standard_errors:.1f} standard errors" if standard_errors < 100 else "more than 100 standard errors"
