"""Walk forecasters forward over the same folds, and score them on the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.config import BacktestConfig, Progress, no_progress, report_horizons
from forecasting.errors import DataError, TooFewBars, UsageError
from forecasting.evaluation.folds import Fold, make_folds
from forecasting.evaluation.scores import coverage_hits, crps
from forecasting.evaluation.significance import diebold_mariano
from forecasting.forecasts import Forecaster, RollingForecast, central_intervals

COVERAGES = (0.5, 0.8, 0.9, 0.95)
_FINE = 100  # progress steps per fold, whatever the number of training steps in it


@dataclass(frozen=True)
class Backtest:
    """Every forecast of a walk and what became of it.

    Parameters
    ----------
    folds
    forecasts : by forecaster's name, then symbol; the first name is the one under test
    outcomes : by symbol, log returns (origins, H); NaN where the target session has no bar yet
    excluded : why symbols were left out, by symbol
    """

    folds: list[Fold]
    forecasts: Mapping[str, Mapping[str, RollingForecast]]
    outcomes: Mapping[str, np.ndarray]
    excluded: Mapping[str, str] = field(default_factory=dict)


def walk_forward(
    forecasters: Sequence[Forecaster],
    series: Mapping[str, PriceSeries],
    config: BacktestConfig,
    progress: Progress = no_progress,
) -> Backtest:
    """Fit each forecaster anew before every fold and forecast from all origins of the fold.

    The first forecaster is the one under test. Each is fitted on the series cut at the fold's
    `fitted_until` and rolled over the series cut at `test_last`: later bars are not there. A symbol that
    has fewer bars before the test part than a forecaster needs, counted from its last void session on, or
    none within the test part, or a void session there, is left out and named.

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
    folds = make_folds((day for s in series.values() for day in s.sessions), config)
    excluded = _excluded(series, folds, max(f.needs for f in forecasters))
    if len(excluded) == len(series):
        raise TooFewBars("; ".join(excluded.values()) + "; next: fewer --test-sessions, or a longer history")
    series = {symbol: s for symbol, s in series.items() if symbol not in excluded}
    parts: dict[str, dict[str, list[RollingForecast]]] = {}
    for k, fold in enumerate(folds):
        past = fold.training_part(series)
        present = {symbol: s.until(fold.test_last) for symbol, s in series.items()}
        for forecaster in forecasters:

            def fold_progress(_: str, done: int, total: int, k: int = k) -> None:
                progress("backtest", k * _FINE + _FINE * done // total, len(folds) * _FINE)

            rolled = forecaster.fit(past, fold_progress).roll(present, fold.test_first)
            if rolled.keys() != present.keys():
                raise DataError(
                    f"{forecaster.name} returned {', '.join(rolled) or 'no symbol'} where {', '.join(present)} were "
                    "asked for: all forecasters are scored on the same rows"
                )
            for symbol, rolling in rolled.items():
                _check(forecaster.name, rolling, present[symbol], fold)
                parts.setdefault(forecaster.name, {}).setdefault(symbol, []).append(rolling)
    forecasts = {name: {s: _joined(p) for s, p in by_symbol.items()} for name, by_symbol in parts.items()}
    under_test = forecasts[forecasters[0].name]
    horizons = range(1, next(iter(under_test.values())).values.shape[1] + 1)
    outcomes = {
        symbol: series[symbol].log_returns(horizons)[len(series[symbol]) - len(rolling.origins) :]
        for symbol, rolling in under_test.items()
    }
    return Backtest(folds, forecasts, outcomes, excluded)


def _excluded(series: Mapping[str, PriceSeries], folds: Sequence[Fold], needed: int) -> dict[str, str]:
    first, last = folds[0].test_first, folds[-1].test_last
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


def _joined(parts: list[RollingForecast]) -> RollingForecast:
    return RollingForecast(
        parts[0].instrument,
        parts[0].origins.append([p.origins for p in parts[1:]]),
        np.concatenate([p.last_close for p in parts]),
        parts[0].levels,
        np.concatenate([p.values for p in parts]),
    )


def score_backtest(backtest: Backtest, horizons: Sequence[int] | None = None) -> pd.DataFrame:
    """Return the comparison by horizon, pooled over symbols.

    Parameters
    ----------
    horizons : sessions ahead; by default `report_horizons` of the longest one forecast

    Returns
    -------
    DataFrame
        One row per horizon with an outcome: `rows` scored; `crps_NAME` of each forecaster; and, for the
        one under test against each baseline, `skill_NAME` (1 - ratio of CRPS) and `p_NAME`
        (Diebold-Mariano on the mean difference of each origin date); `coverage_50` .. of the one under
        test, as far as its levels hold these intervals.

    Raises
    ------
    TooFewBars
        No target session has a bar yet.
    """
    names = list(backtest.forecasts)
    reached = max(o.shape[1] for o in backtest.outcomes.values())
    horizons = horizons or report_horizons(reached)
    table = []
    for h in horizons:
        scored = {name: _scores(backtest, name, h) for name in names}
        network = scored[names[0]]
        if not len(network):
            continue
        row: dict[str, float] = {"horizon": h, "rows": len(network)}
        for name in names:
            row[f"crps_{name}"] = float(scored[name].mean())
        for name in names[1:]:
            difference = (scored[name] - network).groupby("origin").mean().to_numpy()
            row[f"skill_{name}"] = 1 - row[f"crps_{names[0]}"] / row[f"crps_{name}"]
            row[f"p_{name}"] = diebold_mariano(difference, h)[1]
        tested = list(backtest.forecasts[names[0]].items())
        for coverage in (c for c in COVERAGES if c in central_intervals(tested[0][1].levels)):
            hits = [
                coverage_hits(f.values[:, h - 1], backtest.outcomes[s][:, h - 1], f.levels, coverage) for s, f in tested
            ]
            row[f"coverage_{coverage * 100:.0f}"] = float(np.nanmean(np.concatenate(hits)))
        table.append(row)
    if not table:
        raise TooFewBars(
            f"nothing to score: no target session at the horizons {', '.join(map(str, horizons))} has a bar yet; "
            "next: more --test-sessions"
        )
    return pd.DataFrame(table).astype({"horizon": int, "rows": int})


def _scores(backtest: Backtest, name: str, h: int) -> pd.Series:
    """Return the CRPS of all matured rows at a horizon, indexed by (symbol, origin)."""
    return pd.concat(
        {
            symbol: pd.Series(
                crps(f.values[:, h - 1], backtest.outcomes[symbol][:, h - 1], f.levels), index=f.origins
            ).dropna()
            for symbol, f in backtest.forecasts[name].items()
        },
        names=["symbol", "origin"],
    )
