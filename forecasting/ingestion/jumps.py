"""Moves of a price that look like errors: a missed split, a wrong unit, a bad tick.

The constants are the thresholds; `forecasting.ingestion.quality.find_flags` states the rules in words.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from forecasting.bars import PRICE_COLUMNS, PriceSeries
from forecasting.sessions import session_numbers

SPLIT_RATIOS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0)
"""New shares per old of usual splits, or old per new. Smaller ones are too near to a day's news to be told."""
AROUND = 20
"""Bars on each side of a move that tell the volatility, the range and the volume around it."""
SPLIT_MOVE = 8.0
"""A split moves the close at least this many standard deviations."""
SPLIT_NEARNESS = (4.0, 0.02, 0.1)
"""A move is near a ratio within this many standard deviations, at least and at most these log returns."""
SPLIT_STAYS = 5
"""Bars on each side of a split whose median closes differ by its ratio too, to a third of its log."""
QUIET_RANGE = 3.0
"""The session of a split has at most this many times the range around it; news has more."""
QUIET_VOLUME = 4.0
"""The session of a split or of a bad tick has at most this many times the volume around it."""
SPLIT_UNSEEN = 2.0
"""Where bars have neither range nor volume to tell news by, only splits of at least this ratio are sought."""
SPIKE_MOVE = (15.0, np.log(1.1))
"""Both moves of a spike have at least this many standard deviations, and at least this log return."""
SPIKE_BARS, SPIKE_UNDONE = 4, 0.2
"""A spike is undone within so many bars, but for this fraction of its smaller move."""
UNIT, UNIT_NEARNESS = 100.0, 0.3
"""The factor between a price in the wrong unit and its neighbours, and how near, as a log return."""

_LEAST_VOLATILITY = 0.005  # per session, where prices hardly move
_LEAST_MOVES = 3  # that tell a volatility
_Q80 = 1.2816  # the 80th percentile of the size of a standard normal


class Found(NamedTuple):
    """One finding of a symbol; `first` and `last` are sessions, inclusive."""

    rule: str
    first: pd.Timestamp
    last: pd.Timestamp
    bars: int
    found: str
    likely_cause: str


class BarArrays:
    """One symbol's bars as arrays, a row per bar.

    Attributes
    ----------
    prices : float64 (bars, 4), NaN where not positive
    move : log return from the bar before, NaN at the first; `pace`, the same per square root of session
    reach : log of high over low
    volume : NaN where there was none
    """

    def __init__(self, series: PriceSeries) -> None:
        self.sessions = series.sessions
        self.numbers = session_numbers(series.instrument.calendar, self.sessions)
        prices = series.bars[PRICE_COLUMNS].to_numpy(dtype="float64")
        volume = series.bars["volume"].to_numpy(dtype="float64")
        self.prices = np.where(prices > 0, prices, np.nan)
        self.volume = np.where(volume > 0, volume, np.nan)
        self.log_close = np.log(self.prices[:, 3])
        self.move = np.diff(self.log_close, prepend=np.nan)
        # at least 1: a day may be no session of its calendar any more, since that was corrected
        self.pace = self.move / np.sqrt(np.diff(self.numbers, prepend=self.numbers[0] - 1).clip(min=1))
        self.reach = np.log(self.prices[:, 1] / self.prices[:, 2])

    def around(self, values: np.ndarray, at: np.ndarray, sides: int = AROUND) -> tuple[np.ndarray, np.ndarray]:
        """Return the values before and after some rows, (rows, sides) each; NaN beyond the first and last bar."""
        padded = np.pad(values, sides, constant_values=np.nan)
        offsets = np.arange(1, sides + 1)
        return padded[at[:, None] + sides - offsets], padded[at[:, None] + sides + offsets]

    def volatility(self, at: np.ndarray) -> np.ndarray:
        """Return the standard deviation of a session's move before and after some rows, (2, rows).

        From the 80th percentile of the sizes, which neither a few jumps nor a few sessions without a
        trade sway. A side with too few bars has that of the other, or NaN.
        """
        sides = [np.abs(side) for side in self.around(self.pace, at)]
        spread = np.array([_percentile(side, 80, _LEAST_MOVES) / _Q80 for side in sides])
        return np.maximum(np.where(np.isnan(spread), spread[::-1], spread), _LEAST_VOLATILITY)

    def usual(self, values: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the median before and after some rows, (2, rows); NaN where there is none."""
        return np.array([_percentile(side, 50, 1) for side in self.around(values, at)])


def find_jumps(bars: BarArrays) -> Iterator[Found]:
    """Yield unit errors, spikes and missed splits."""
    yield from _unit_errors(bars)
    yield from _jumps(bars)


def find_runs(rows: np.ndarray, breaks: np.ndarray | None = None) -> Iterator[tuple[int, int]]:
    """Yield first and last position, inclusive, of each run of true rows; a run also ends before a break."""
    edges = np.flatnonzero(np.diff(rows.astype(int), prepend=0, append=0) != 0)
    if breaks is not None:
        inside = breaks[rows[breaks] & rows[breaks - 1] & (breaks > 0)]
        edges = np.sort(np.concatenate([edges, inside, inside]))
    for first, end in edges.reshape(-1, 2).tolist():
        yield first, end - 1


def _unit_errors(bars: BarArrays) -> Iterator[Found]:
    steps = _unit_steps(bars.move)
    levels = steps.cumsum()
    values, counts = np.unique(levels, return_counts=True)
    most = counts == counts.max()
    base = levels[-1] if levels[-1] in values[most] else values[most][0]
    for first, last in find_runs(levels != base, np.flatnonzero(steps)):
        beside = first - 1 if first else last + 1
        times = "100 times" if bars.log_close[first] > bars.log_close[beside] else "a hundredth of"
        yield Found(
            "unit_error",
            bars.sessions[first],
            bars.sessions[last],
            last - first + 1,
            f"close about {times} its neighbour's: {bars.prices[first, 3]:.6g} beside {bars.prices[beside, 3]:.6g}",
            "a 100x unit error, such as pence among pounds; which of the two is right the source knows",
        )
    against = np.log(bars.prices[:, :3]) - bars.log_close[:, None]
    for column, name in enumerate(PRICE_COLUMNS[:3]):
        for first, last in find_runs((_unit_steps(against[:, column]) != 0) & (levels == base)):
            yield Found(
                "unit_error",
                bars.sessions[first],
                bars.sessions[last],
                last - first + 1,
                f"{name} {bars.prices[first, column]:.6g} beside a close of {bars.prices[first, 3]:.6g}",
                f"a 100x unit error in the {name} alone",
            )


def _unit_steps(ratio: np.ndarray) -> np.ndarray:
    """Return by how many factors of 100 each log ratio differs from one, 0 where it is near none."""
    steps = np.rint(np.nan_to_num(ratio) / np.log(UNIT))
    return np.where(np.abs(ratio - steps * np.log(UNIT)) <= UNIT_NEARNESS, steps, 0).astype(int)


def _jumps(bars: BarArrays) -> Iterator[Found]:
    """Yield spikes, and the splits among the other moves that are out of proportion."""
    at = np.flatnonzero((np.abs(bars.move) >= SPIKE_MOVE[1]) & (_unit_steps(bars.move) == 0))
    volatility = bars.volatility(at)
    deviations = np.abs(bars.pace[at]) / volatility.max(axis=0)
    far = np.flatnonzero(deviations >= SPIKE_MOVE[0])
    undone: set[int] = set()
    for up, down in zip(at[far], at[far[1:]], strict=False):
        if up not in undone and _is_spike(bars, up, down):
            undone |= {up, down}
            yield Found(
                "spike",
                bars.sessions[up],
                bars.sessions[down - 1],
                int(down - up),
                f"close {bars.prices[up, 3]:.6g} between {bars.prices[up - 1, 3]:.6g} and "
                f"{bars.prices[down, 3]:.6g}, undone within {down - up} session{'' if down - up == 1 else 's'}",
                "a bad tick, or an adjustment made on some bars only: "
                + ("there is no volume to tell" if np.isnan(bars.volume[up]) else "volume shows no news"),
            )
    kept = ~np.isin(at, list(undone))
    yield from _splits(bars, at[kept], volatility[:, kept])


def _is_spike(bars: BarArrays, up: int, down: int) -> bool:
    smaller = min(abs(bars.move[up]), abs(bars.move[down]))
    net = abs(bars.log_close[down] - bars.log_close[up - 1])
    usual = np.nanmax(np.append(bars.usual(bars.volume, np.array([up])), 0))
    loud = np.nan_to_num(bars.volume[up:down]).max(initial=0) > QUIET_VOLUME * usual
    return bool(down - up <= SPIKE_BARS and net <= SPIKE_UNDONE * smaller and not loud)


def _splits(bars: BarArrays, at: np.ndarray, volatility: np.ndarray) -> Iterator[Found]:
    """Yield the moves at some rows that look like splits; `volatility` is (2, rows), before and after them."""
    move, logs = bars.move[at], np.log(SPLIT_RATIOS)
    nearest = np.abs(np.abs(move)[:, None] - logs).argmin(axis=1)
    jump = np.sign(move) * logs[nearest]
    deviations = np.abs(bars.pace[at]) / volatility.max(axis=0)
    many, least, most = SPLIT_NEARNESS
    near = np.clip(many * volatility.min(axis=0) * np.abs(move / bars.pace[at]), least, most)
    overnight = np.log(bars.prices[at, 0]) - bars.log_close[at - 1]
    before, after = bars.around(bars.log_close, at, SPLIT_STAYS)
    after = np.column_stack([bars.log_close[at], after[:, :-1]])
    level = _percentile(after, 50, 1) - _percentile(before, 50, 1)
    looks = (
        (deviations >= SPLIT_MOVE)
        & (np.abs(move - jump) <= near)
        & (np.abs(overnight - jump) <= near)
        & (np.abs(level - jump) <= np.abs(jump) / 3)
        & _without_news(bars, at, jump)
    )
    for i in np.flatnonzero(looks):
        row, volume = at[i], bars.usual(bars.volume, at[i : i + 1])[:, 0]
        yield Found(
            "missed_split",
            bars.sessions[row],
            bars.sessions[row],
            1,
            f"close {bars.prices[row - 1, 3]:.6g} to {bars.prices[row, 3]:.6g}, a factor of {np.exp(move[i]):.4g}, "
            f"{deviations[i]:.0f} standard deviations",
            f"looks like a {_split_words(SPLIT_RATIOS[nearest[i]], jump[i])} not applied to the bars before; "
            + _volume_words(volume[1] / volume[0], jump[i]),
        )


def _without_news(bars: BarArrays, at: np.ndarray, jump: np.ndarray) -> np.ndarray:
    """Return which rows have no more range and volume than their surroundings, were their jumps splits."""
    reach, volume = bars.usual(bars.reach, at), bars.usual(bars.volume, at)
    expected = np.fmax(volume[1], volume[0] * np.exp(np.maximum(-jump, 0)))
    wide = bars.reach[at] > QUIET_RANGE * np.fmin(*reach)
    heavy = bars.volume[at] > QUIET_VOLUME * expected
    told = (reach > 0).any(axis=0) | ~np.isnan(volume).all(axis=0)
    return ~wide & ~heavy & (told | (np.abs(jump) >= np.log(SPLIT_UNSEEN)))


def _split_words(ratio: float, jump: float) -> str:
    new, old = (ratio, 1.0) if ratio == int(ratio) else (2 * ratio, 2.0)
    return f"{new:g}-for-{old:g} split" if jump < 0 else f"{old:g}-for-{new:g} reverse split"


def _volume_words(change: float, jump: float) -> str:
    if np.isnan(change):
        return "there is no volume to tell"
    if abs(np.log(change) + jump) < abs(jump) / 2:
        return f"volume moved the other way, by {change:.3g}, as it does then"
    return f"volume moved by {change:.3g} and does not confirm it: perhaps a spin-off"


def _percentile(values: np.ndarray, percent: int, least: int) -> np.ndarray:
    """Return a percentile of each row's numbers, NaN where there are fewer than `least`; ties are halved."""
    ordered, counts = np.sort(values, axis=1), (~np.isnan(values)).sum(axis=1)
    place = np.maximum(counts - 1, 0) * percent / 100
    low, high = (np.take_along_axis(ordered, f(place).astype(int)[:, None], 1)[:, 0] for f in (np.floor, np.ceil))
    return np.where(counts >= least, (low + high) / 2, np.nan)
