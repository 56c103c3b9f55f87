"""Walk forecasters forward over the same folds: every origin of the test part, by a fit on what lies before it."""

import io
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from forecasting.bars import PriceSeries, all_dates
from forecasting.config import BacktestConfig, Progress, no_progress
from forecasting.errors import DataError, TooFewBars, UsageError
from forecasting.evaluation.folds import Fold, make_folds
from forecasting.evaluation.scores import require_same_levels
from forecasting.evaluation.workers import Workers
from forecasting.forecasts import Forecaster, RollingForecast
from forecasting.workspace import write_atomic

_FINE = 100  # progress steps per task, whatever the number of training steps in it
_one_at_a_time = threading.Lock()  # in a process, which has one random generator and one number of threads


@dataclass(frozen=True)
class Backtest:
    """Every forecast of a walk and what became of it.

    Parameters
    ----------
    folds
    forecasts : by forecaster's name, then symbol; the first name is the one under test. Values are float32
    outcomes : by symbol, log returns (origins, H); NaN where the target session has no bar yet
    series : what was walked over, by symbol
    excluded : why symbols were left out, by symbol
    """

    folds: list[Fold]
    forecasts: Mapping[str, Mapping[str, RollingForecast]]
    outcomes: Mapping[str, np.ndarray]
    series: Mapping[str, PriceSeries]
    excluded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Task:
    """One forecaster and one fold, over all series."""

    forecaster: Forecaster
    fold: Fold
    series: Mapping[str, PriceSeries]

    def origins(self, symbol: str) -> pd.DatetimeIndex:
        """Return the sessions of a symbol that this fold forecasts from."""
        return pd.DatetimeIndex(self.series[symbol].bars.loc[self.fold.test_first : self.fold.test_last].index)


# levels, and float32 (origins, H, L) by symbol
_Answer = tuple[tuple[float, ...], dict[str, np.ndarray]]


def walk_forward(
    forecasters: Sequence[Forecaster],
    series: Mapping[str, PriceSeries],
    config: BacktestConfig,
    progress: Progress = no_progress,
    workers: Workers | None = None,
    parts: Path | None = None,
) -> Backtest:
    """Fit each forecaster anew before every fold and forecast from all origins of the fold.

    The first forecaster is the one under test. Each is fitted on the fold's `training_part` and rolled over the
    series cut at `test_last`: later bars are not there. A symbol that has fewer bars before the test part
    than a forecaster needs, counted from its last void session on, or none within the test part, or a void
    session there, is left out and named.

    Parameters
    ----------
    workers : where folds run; by default in this process. No forecast depends on it
    parts : folder that keeps what is finished, so that the same walk goes on there after a kill; it belongs to these
        forecasters, series and settings alone

    Raises
    ------
    TooFewBars
        The histories are too short for the split, or no symbol is left.
    UsageError
        Two forecasters have the same name.
    DataError
        A forecaster returned other symbols or origins than asked for, a value that is not finite, or
        crossing quantiles.
    """
    names = [forecaster.name for forecaster in forecasters]
    if len(set(names)) < len(names):
        raise UsageError(f"forecasters {', '.join(names)}: scores are kept by name, so each needs its own")
    folds = make_folds(all_dates(series), config)
    needed = max(f.needs for f in forecasters)
    excluded = find_excluded(series, folds[0].test_first, folds[-1].test_last, needed)
    if len(excluded) == len(series):
        raise TooFewBars("; ".join(excluded.values()) + "; next: fewer --test-sessions, or a longer history")
    series = {symbol: s for symbol, s in series.items() if symbol not in excluded}
    tasks = [_Task(forecaster, fold, series) for fold in folds for forecaster in forecasters]
    answers = _answers(tasks, workers or Workers(), parts, progress)
    forecasts = {}
    for k, name in enumerate(names):  # each answer is let go once it is joined
        mine = range(k, len(tasks), len(names))
        forecasts[name] = _joined([tasks[i] for i in mine], [answers.pop(i) for i in mine])
    under_test = forecasts[names[0]]
    horizons = range(1, next(iter(under_test.values())).values.shape[1] + 1)
    outcomes = {}
    for symbol, rolling in under_test.items():
        whole = series[symbol]
        outcomes[symbol] = whole.log_returns(horizons)[whole.sessions.get_indexer(rolling.origins)]
    return Backtest(folds, forecasts, outcomes, series, excluded)


def _answers(tasks: Sequence[_Task], workers: Workers, parts: Path | None, progress: Progress) -> dict[int, _Answer]:
    """Return the answer to each task, by position: kept from before, or worked out now."""
    kept = {k: answer for k, task in enumerate(tasks) if (answer := _read_part(_part(parts, k, task), task))}
    missing = [k for k in range(len(tasks)) if k not in kept]
    whole = len(tasks) * _FINE

    def within(finished: int) -> Progress:
        def report(_: str, done: int, total: int) -> None:
            progress("backtest", finished * _FINE + _FINE * done // total, whole)

        return report

    calls = [
        # from another process no task can tell how far it is
        (tasks[k], within(len(kept) + i) if workers.in_process else no_progress)
        for i, k in enumerate(missing)
    ]
    progress("backtest", len(kept) * _FINE, whole)
    for i, answer in workers.run(_forecast, calls):
        kept[missing[i]] = answer
        if path := _part(parts, missing[i], tasks[missing[i]]):
            _write_part(path, answer)
        progress("backtest", len(kept) * _FINE, whole)
    return kept


def _forecast(task: _Task, progress: Progress) -> _Answer:
    """Fit on the training part of a fold and forecast from all its origins; in whichever process this is."""
    name, fold = task.forecaster.name, task.fold
    present = {symbol: s.until(fold.test_last) for symbol, s in task.series.items()}
    # one thread, so that sums come out the same to the last bit however many workers there are
    with _one_at_a_time, threadpool_limits(1):
        fitted = task.forecaster.fit(fold.training_part(task.series), progress)
        rolled = fitted.roll(present, fold.test_first)
    if rolled.keys() != present.keys():
        raise DataError(
            f"{name} returned {', '.join(rolled) or 'no symbol'} where {', '.join(present)} were "
            "asked for: all forecasters are scored on the same rows"
        )
    for symbol, rolling in rolled.items():
        _check(name, rolling, present[symbol], fold)
    levels = require_same_levels({symbol: r.levels for symbol, r in rolled.items()})
    return levels, {symbol: rolled[symbol].values.astype("float32") for symbol in present}


def find_excluded(
    series: Mapping[str, PriceSeries], first: pd.Timestamp, last: pd.Timestamp, needed: int
) -> dict[str, str]:
    """Return why symbols cannot take part in a test from a session to another one, inclusive, by symbol.

    Parameters
    ----------
    needed : bars of a symbol before the test, since its last void session
    """
    reasons = {}
    for symbol, whole in series.items():
        s = whole.until(last)
        before = int((s.parts()[-1].sessions < first).sum())
        if (s.void >= first).any():
            reasons[symbol] = (
                f"{symbol} had a price that was not positive on {s.void[-1].date()}, within the test from "
                f"{first.date()} to {last.date()}, so no log return exists there"
            )
        elif before < needed:
            reasons[symbol] = (
                f"{symbol} has {before} bars{s.since_void} before the test starts on {first.date()}, {needed} are "
                "needed"
            )
        elif s.sessions[-1] < first:
            reasons[symbol] = f"{symbol} has no bar from {first.date()} on, where the test starts"
    return reasons


def _check(name: str, rolling: RollingForecast, series: PriceSeries, fold: Fold) -> None:
    wanted = series.sessions[series.sessions >= fold.test_first]
    problem = None
    if not rolling.origins.equals(wanted):
        problem = f"{len(rolling.origins)} origins where {len(wanted)} were asked for"
    elif not np.isfinite(rolling.values).all():
        problem = f"{int((~np.isfinite(rolling.values)).any(axis=(1, 2)).sum())} origins with NaN or infinity"
    elif (np.diff(rolling.values, axis=-1) < 0).any():
        problem = (
            f"{int((np.diff(rolling.values, axis=-1) < 0).any(axis=(1, 2)).sum())} origins with crossing quantiles"
        )
    if problem:
        raise DataError(
            f"{name} returned for {rolling.instrument.symbol}, {fold.test_first.date()} to {fold.test_last.date()}: "
            f"{problem}; a forecaster gives ordered finite quantiles for every origin"
        )


def _joined(tasks: Sequence[_Task], answers: Sequence[_Answer]) -> dict[str, RollingForecast]:
    """Return one forecaster's forecasts of all folds, by symbol."""
    levels = answers[0][0]
    forecasts = {}
    for symbol, series in tasks[0].series.items():
        origins = series.bars.loc[tasks[0].fold.test_first : tasks[-1].fold.test_last].index
        close = series.bars["close"].loc[origins].to_numpy(dtype="float64", copy=True)
        values = np.concatenate([by_symbol[symbol] for _, by_symbol in answers])
        forecasts[symbol] = RollingForecast(series.instrument, pd.DatetimeIndex(origins), close, levels, values)
    return forecasts


def _part(parts: Path | None, number: int, task: _Task) -> Path | None:
    return parts / f"{number:03d}-{task.forecaster.name}.npz" if parts else None


def _write_part(path: Path, answer: _Answer) -> None:
    levels, by_symbol = answer
    content = io.BytesIO()
    arrays: dict[str, Any] = {f"of {symbol}": values for symbol, values in by_symbol.items()}
    np.savez(content, levels=np.array(levels), **arrays)
    write_atomic(path, content.getvalue())


def _read_part(path: Path | None, task: _Task) -> _Answer | None:
    """Return what was kept of a task; None where there is nothing, or it is not whole."""
    if path is None or not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
            answer = tuple(held["levels"].tolist()), {symbol: held[f"of {symbol}"] for symbol in task.series}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    whole = all(len(values) == len(task.origins(symbol)) for symbol, values in answer[1].items())
    return answer if whole else None
