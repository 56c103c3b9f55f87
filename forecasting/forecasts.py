"""Forecasts: quantiles of the cumulative log return by horizon, and the protocol of those who make them.

Values are natural log returns from the origin's close, not percent. Between the quantile levels the
quantile function is linear; beyond the outermost two it is held constant, so expected values ignore
what lies further out than 1% and 99%, and a probability of a rise lies within [0.01, 0.99].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.config import Progress, no_progress
from forecasting.errors import DataError, UsageError
from forecasting.instruments import Instrument
from forecasting.sessions import target_sessions

REPORT_LIKELY = "report_likely"
NO_MARKET = "no_market"
STALE = "stale"
OLD_MODEL = "old_model"
FLAGS = {
    REPORT_LIKELY: "wider, because a quarterly report is likely up to there",
    NO_MARKET: "made without the market: fewer than five symbols of the model's universe have this exchange's session",
    STALE: "made from old prices: a later session is complete",
    OLD_MODEL: "made by an older model than is due: the training failed",
}
"""What a forecast says of itself beside its numbers, in words; the names stand in the ledger and the exports."""

WIDER = 0.1
"""From this `report_widening` on, a report counts as likely."""


COVERAGES = (0.5, 0.8, 0.9, 0.95)
"""Of the central intervals that people are shown, narrowest first."""


def flags_of(rows: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return, by ledger row, the flags raised at its issue; none of rows that have no such column."""
    if "flags" not in rows:
        return [()] * len(rows)
    return [() if flags is None else tuple(flags) for flags in rows["flags"]]


def widening_of(rows: pd.DataFrame) -> np.ndarray:
    """Return, by ledger row, the `report_widening` it was issued with; NaN where nothing was known."""
    if "report_widening" not in rows:
        return np.full(len(rows), np.nan)
    return rows["report_widening"].to_numpy(dtype="float64", na_value=np.nan)


def explain_flags(
    flags: Sequence[Sequence[str]], target_sessions: pd.DatetimeIndex, report_widening: np.ndarray | None
) -> dict[str, str]:
    """Return a sentence for each flag that a forecast raises: on which sessions, and what it says.

    Parameters
    ----------
    flags, target_sessions, report_widening : by horizon, length H

    >>> explain_flags([(), ("report_likely",)], pd.DatetimeIndex(["2019-01-02", "2019-01-03"]), np.array([0.01, 0.2]))
    {'report_likely': 'From 2019-01-03 on: wider, because a quarterly report is likely up to there, by up to 20%.'}
    """
    sentences = {}
    for name, words in FLAGS.items():
        raised = np.array([name in some for some in flags], dtype=bool)
        if not raised.any():
            continue
        days = [str(day.date()) for day in target_sessions[raised]]
        when = f"From {days[0]} on" if raised[-1] else " to ".join(dict.fromkeys([days[0], days[-1]]))
        sentence = f"{words[0].upper()}{words[1:]}" if raised.all() else f"{when}: {words}"
        if name == REPORT_LIKELY and report_widening is not None:
            sentence += f", by up to {report_widening[raised].max():.0%}"
        sentences[name] = f"{sentence}."
    return sentences


def prob_above_zero(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return the probability of a positive value, from quantiles along the last axis.

    >>> prob_above_zero(np.array([[-0.02, 0.0, 0.02]]), (0.1, 0.5, 0.9))
    array([0.5])
    """
    grid = np.asarray(levels)
    below = (values <= 0).sum(axis=-1)
    low, high = np.clip(below - 1, 0, len(grid) - 1), np.clip(below, 0, len(grid) - 1)
    at_low = np.take_along_axis(values, low[..., None], -1)[..., 0]
    at_high = np.take_along_axis(values, high[..., None], -1)[..., 0]
    width = at_high - at_low
    share = np.where(width > 0, -at_low / np.where(width > 0, width, 1), 0.0)
    return np.asarray(1 - (grid[low] + np.clip(share, 0, 1) * (grid[high] - grid[low])))


def central_intervals(levels: Sequence[float]) -> dict[float, int]:
    """Return the coverages of the central intervals that symmetric levels hold.

    Each with the position of its lower bound; the upper bound is the mirror position.

    >>> central_intervals((0.05, 0.1, 0.5, 0.9, 0.95))
    {0.9: 0, 0.8: 1}
    """
    return {round(1 - 2 * level, 6): position for position, level in enumerate(levels) if level < 0.5}


def mean_of_exp(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return E[exp(x)] of the quantile function along the last axis: the expected price ratio."""
    weights = np.diff(np.asarray(levels))
    low, high = values[..., :-1], values[..., 1:]
    step = high - low
    small = step < 1e-9
    # the mean of exp over a linear piece is its divided difference
    pieces = np.where(small, np.exp(low), np.exp(low) * np.expm1(step) / np.where(small, 1, step))
    tails = levels[0] * np.exp(values[..., 0]) + (1 - levels[-1]) * np.exp(values[..., -1])
    return np.asarray((pieces * weights).sum(-1) + tails)


@dataclass(frozen=True)
class Forecast:
    """The forecast of one symbol from one origin.

    Parameters
    ----------
    instrument
    origin : the last session whose bar was seen
    last_close : its close, in the instrument's currency
    target_sessions : length H; the session h ahead stands at h - 1
    estimated : bool, length H; the exchange's holidays are not yet known there
    levels : length L, ascending
    values : float64 (H, L), log returns from the origin's close, ascending along L
    report_widening : float64 (H,), by what part the intervals are wider (0.1 is 10%; negative: narrower) for what is
        known of when the next quarterly report comes; None where nothing is
    has_market : whether inputs that look across symbols knew the market on the origin; where not, the symbol's own
        past stands in for it
    """

    instrument: Instrument
    origin: pd.Timestamp
    last_close: float
    target_sessions: pd.DatetimeIndex
    estimated: np.ndarray
    levels: tuple[float, ...]
    values: np.ndarray
    report_widening: np.ndarray | None = None
    has_market: bool = True

    @property
    def symbol(self) -> str:
        """The instrument's symbol."""
        return self.instrument.symbol

    @property
    def horizon(self) -> int:
        """How many sessions ahead the forecast reaches."""
        return len(self.target_sessions)

    def prices(self) -> np.ndarray:
        """Return price quantiles (H, L): last close times exp(log return), never negative or crossing."""
        return self.last_close * np.exp(self.values)

    def prob_up(self) -> np.ndarray:
        """Return, by horizon, the probability that the price is above the last close."""
        return prob_above_zero(self.values, self.levels)

    def expected_price(self) -> np.ndarray:
        """Return the mean price by horizon, by the tail rule of this module."""
        return self.last_close * mean_of_exp(self.values, self.levels)

    def flags(self) -> list[tuple[str, ...]]:
        """Return, by horizon, which of `FLAGS` the forecast raises by itself.

        `report_likely` where its intervals are at least 10% wider for the timing of the next report.
        """
        always = () if self.has_market else (NO_MARKET,)
        wider = np.zeros(self.horizon) if self.report_widening is None else self.report_widening
        return [(REPORT_LIKELY, *always) if x >= WIDER else always for x in wider]

    def interval(self, coverage: float) -> pd.DataFrame:
        """Return the central price interval of a coverage, such as 0.8, by target session.

        Raises
        ------
        UsageError
            The forecast has no pair of levels with that coverage.
        """
        held = central_intervals(self.levels)
        if coverage not in held:
            raise UsageError(f"interval {coverage}: this forecast has the intervals {list(held)}")
        at = held[coverage]
        prices = self.prices()
        return pd.DataFrame(
            {"lower": prices[:, at], "upper": prices[:, -1 - at]},
            index=pd.Index(self.target_sessions, name="target_session"),
        )

    def intervals(self) -> dict[float, pd.DataFrame]:
        """Return the intervals of `COVERAGES`, narrowest first; one that the levels do not hold is left out."""
        return {
            coverage: self.interval(coverage) for coverage in COVERAGES if coverage in central_intervals(self.levels)
        }

    def frame(self) -> pd.DataFrame:
        """Return one row per target session: horizon, estimated, P(up), expected price, price quantiles.

        Quantile columns are named by their level, a float.
        """
        head = pd.DataFrame(
            {
                "target_session": self.target_sessions,
                "horizon": np.arange(1, self.horizon + 1),
                "estimated": self.estimated,
                "prob_up": self.prob_up(),
                "expected": self.expected_price(),
            }
        )
        quantiles = pd.DataFrame(self.prices(), columns=list(self.levels))
        return pd.concat([head, quantiles], axis=1).set_index("target_session")


@dataclass(frozen=True)
class RollingForecast:
    """The forecasts of one symbol from many origins: what a walk-forward test scores.

    Parameters
    ----------
    instrument
    origins : length N, ascending
    last_close : float64 (N,)
    levels : length L
    values : float64 (N, H, L), log returns from each origin's close
    """

    instrument: Instrument
    origins: pd.DatetimeIndex
    last_close: np.ndarray
    levels: tuple[float, ...]
    values: np.ndarray

    def at(self, origin: pd.Timestamp) -> Forecast:
        """Return the forecast from one origin.

        Raises
        ------
        DataError
            No forecast was made from that session.
        """
        if origin not in self.origins:
            raise DataError(
                f"{self.instrument.symbol} has no forecast from {origin.date()}: the origins run from "
                f"{self.origins[0].date()} to {self.origins[-1].date()}"
            )
        i = int(self.origins.get_loc(origin))
        sessions, estimated = target_sessions(self.instrument.calendar, origin, self.values.shape[1])
        return Forecast(
            self.instrument,
            origin,
            float(self.last_close[i]),
            sessions,
            estimated,
            self.levels,
            self.values[i],
        )

    def latest(self) -> Forecast:
        """Return the forecast from the last origin."""
        return self.at(self.origins[-1])


class Forecaster(Protocol):
    """Anything that can be walked forward: the network, a baseline, a user's own.

    `fit` sees nothing but the series it is given; `roll` must not let a forecast depend on a bar later
    than its origin, though it is handed the whole series to forecast every origin in one pass.
    """

    name: str

    @property
    def needs(self) -> int:
        """How many bars of a symbol must lie before its first origin."""
        ...

    def fit(self, series: Mapping[str, PriceSeries], progress: Progress = no_progress) -> Self:
        """Learn from the series, all of it in the past of every later origin."""
        ...

    def roll(self, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> dict[str, RollingForecast]:
        """Return, by symbol, the forecasts from every origin at or after `first`."""
        ...
