"""From series to the tensors a network trains on: inputs, scaled targets, window positions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from forecasting.bars import PriceSeries
from forecasting.errors import TooFewBars
from forecasting.model.features import WARM_UP, make_features
from forecasting.model.scale import HarScale, fit_scale

_EXTREME = 6.0  # standard deviations


@dataclass(frozen=True)
class TrainingSet:
    """All series of a universe, end to end; one with void sessions in its parts.

    Parameters
    ----------
    inputs : float32 (N, F), standardised; N rows of all series in turn
    targets : float32 (N, K), log return to each of K horizons over its volatility scale; NaN where the
        target session lies beyond the series
    lengths : rows of each series; a window never crosses from one to the next
    mean, std : float32 (F,), of the inputs before they were standardised
    scale : the volatility scale, fitted on the same histories
    rows_of : symbol and sessions of the rows of each series
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    lengths: tuple[int, ...]
    mean: torch.Tensor
    std: torch.Tensor
    scale: HarScale
    rows_of: tuple[tuple[str, pd.DatetimeIndex], ...] = ()


def make_training_set(universe: Sequence[PriceSeries], horizons: Sequence[int], window: int) -> TrainingSet:
    """Return the training set of a universe; series too short for one window are left out.

    What a void session parts counts as series of their own: no window, input or target crosses it.
    Every target lies within its series, so cutting the series at a session purges the training part of
    all targets that end later.

    Raises
    ------
    TooFewBars
        No series is long enough.
    """
    needed = WARM_UP + window + max(horizons)
    stretches = [part for series in universe for part in series.parts()]
    long_enough = [s for s in stretches if len(s) >= needed]
    if not long_enough:
        longest = max((len(s) for s in stretches), default=0)
        raise TooFewBars(
            f"the longest training history has {longest} bars: a window of {window} with a warm-up of {WARM_UP} and "
            f"a horizon of {max(horizons)} needs {needed}; next: fetch a longer history, or ask for fewer "
            "test sessions (--test-sessions) or a shorter --window"
        )
    features = make_features(long_enough)
    scale = fit_scale(features, max(horizons))
    columns = np.asarray(horizons) - 1
    targets = [
        (series.log_returns(horizons) / scale(f)[:, columns])[WARM_UP:]
        for series, f in zip(long_enough, features, strict=True)
    ]
    inputs = torch.from_numpy(np.concatenate([f.values[WARM_UP:] for f in features]))
    mean, std = _moments(inputs)
    return TrainingSet(
        standardize(inputs, mean, std),
        torch.from_numpy(np.concatenate(targets).astype("float32")),
        tuple(len(x) for x in targets),
        mean,
        std,
        scale,
        tuple((series.symbol, series.sessions[WARM_UP:]) for series in long_enough),
    )


def standardize(inputs: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Return inputs in standard deviations of the training part, none beyond `_EXTREME`.

    A day unlike any before then says no more than the most extreme of days, and cannot blow a forecast up.
    """
    return (inputs - mean).div_(std).clamp_(-_EXTREME, _EXTREME).nan_to_num_(0.0)


def _moments(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of each input where it is known."""
    known = [column[column.isfinite()] for column in inputs.T]
    mean = torch.stack([x.mean() if len(x) else torch.zeros(()) for x in known])
    std = torch.stack([x.std() if len(x) > 1 else torch.ones(()) for x in known])
    return mean, std.clamp(min=1e-6)


def window_starts(lengths: Sequence[int], window: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """Return where windows begin, `stride` apart in each series from a random offset, in random order."""
    starts, begin = [], 0
    for length in lengths:
        last = length - window  # the last start that still fits
        offset = int(rng.integers(min(stride, last + 1)))
        starts.append(begin + np.arange(offset, last + 1, stride))
        begin += length
    return rng.permutation(np.concatenate(starts))
