"""Whether a new model replaces the one that serves: a decision in words and numbers.

A refresh, the same recipe on newer data, is compared on the last sessions that neither model was trained on, and
replaces the champion unless it is clearly worse there: it knows more, and nothing was chosen by looking. A new
recipe was chosen, so the burden of proof is on it: both recipes are walked forward over the same folds, and it must
win a paired test, once per held-out block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting.bars import PriceSeries, all_dates
from forecasting.config import BacktestConfig, Progress, Recipe, config_to_json, no_progress, report_horizons
from forecasting.errors import DataError, ModelError, TooFewBars
from forecasting.evaluation.breakdown import score_rows
from forecasting.evaluation.folds import make_folds
from forecasting.evaluation.significance import diebold_mariano
from forecasting.evaluation.verdicts import SIGNIFICANT
from forecasting.evaluation.walkforward import find_excluded, walk_forward
from forecasting.evaluation.workers import Workers
from forecasting.forecasts import RollingForecast
from forecasting.model.forecaster import RNNForecaster
from forecasting.sessions import target_session

SESSIONS = 60
"""Origins on which a refresh is compared with the champion."""

FEWEST = 20
"""Origins below which nothing is compared: there are fewer where a recipe keeps too few sessions out of training."""

TOLERANCE = 0.01
"""By how much of the champion's CRPS a refresh may be worse."""

SPLIT = BacktestConfig(test_sessions=252, refit_every=126)
"""The held-out block of a new recipe, a year, and its folds."""

Block = tuple[pd.Timestamp, pd.Timestamp]
"""The first and the last session of a test part, inclusive."""


@dataclass(frozen=True)
class Decision:
    """What came of a contest.

    Parameters
    ----------
    promote : whether the candidate replaces the champion
    reason : in words
    numbers
        JSON values, none where nothing was compared: `contest` (`refresh` or `recipe`); `first` and `last` origin,
        `sessions` and `symbols` compared; `horizons`, and at each `crps_candidate` and `crps_champion` (log return,
        mean over symbols and origins); `skill`, the mean over horizons of 1 - ratio of the two; its `p`
        (Diebold-Mariano, two-sided); of a recipe also the `block`, the first and last session that was tested on.
    """

    promote: bool
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


def is_refresh(candidate: Recipe, champion: Recipe) -> bool:
    """Return whether two recipes are the same but for what promises no better forecasts: the seed and the device."""
    training = replace(candidate.training, seed=champion.training.seed, device=champion.training.device)
    return replace(candidate, training=training) == champion


def contest_refresh(
    champion: RNNForecaster, candidate: RNNForecaster, series: Mapping[str, PriceSeries], sessions: int = SESSIONS
) -> Decision:
    """Compare two fitted models of one recipe on the last origins whose outcomes are all known.

    Parameters
    ----------
    series : of the universe, by symbol; those too young for both models are left out
    sessions : origins to compare on, all after the training of both; fewer where the recipe keeps fewer out of
        training, and below `FEWEST` the champion stays
    """
    try:
        numbers = {"contest": "refresh", **_compare_on_last(champion, candidate, series, sessions)}
    except DataError as error:
        return Decision(False, f"refresh, not compared: {_cause(error)}; the champion stays")
    promote = numbers["skill"] >= -TOLERANCE
    rule = (
        f"a refresh replaces the champion unless it is more than {TOLERANCE:.0%} higher"
        if promote
        else f"more than {TOLERANCE:.0%} higher, so the champion stays"
    )
    return Decision(promote, f"refresh: {_in_words(numbers)}; {rule}", numbers)


def _compare_on_last(
    champion: RNNForecaster, candidate: RNNForecaster, series: Mapping[str, PriceSeries], sessions: int
) -> dict[str, Any]:
    horizon = candidate.recipe.horizon
    dates = all_dates(series)[:-horizon]
    dates = dates[dates > max(champion.model.trained_until, candidate.model.trained_until)][-sessions:]
    if len(dates) < FEWEST:
        raise TooFewBars(
            f"{len(dates)} sessions with known outcomes lie after the training of both models, {FEWEST} are needed "
            f"(the recipe keeps {candidate.recipe.calibration.sessions} out of training, the horizon is {horizon})"
        )
    excluded = find_excluded(series, dates[0], dates[-1], max(champion.needs, candidate.needs))
    present = {symbol: s for symbol, s in series.items() if symbol not in excluded}
    if not present:
        raise TooFewBars("; ".join(excluded.values()))
    own, other = (forecaster.roll(present, dates[0]) for forecaster in (candidate, champion))
    outcomes = {
        symbol: s.log_returns(range(1, horizon + 1))[s.sessions.get_indexer(own[symbol].origins)]
        for symbol, s in present.items()
    }
    return _compare(own, other, outcomes, horizon)


def contest_recipe(
    champion: Recipe,
    candidate: Recipe,
    series: Mapping[str, PriceSeries],
    tried: Sequence[Block] = (),
    split: BacktestConfig = SPLIT,
    progress: Progress = no_progress,
    workers: Workers | None = None,
    parts: Path | None = None,
) -> Decision:
    """Walk two recipes forward over the same folds; the candidate must win at p < 0.05.

    Parameters
    ----------
    series : of the universe, by symbol
    tried : blocks that new recipes of this universe were tested on: whoever tries often enough wins by luck, so none
        is tested on any of their sessions again
    split : the held-out block, the last sessions there are, and its folds
    workers, parts : of `walk_forward`
    """
    change = _in_difference(candidate, champion)
    if candidate.levels != champion.levels:
        return Decision(
            False, f"new recipe ({change}), not tested: a CRPS depends on the quantile levels; the champion stays"
        )
    try:
        folds = make_folds(all_dates(series), split)
        block = folds[0].test_first, folds[-1].test_last
        if used := [last for first, last in tried if first <= block[1] and block[0] <= last]:
            fresh = min(target_session(s.instrument.calendar, max(used), split.test_sessions) for s in series.values())
            return Decision(
                False,
                f"new recipe ({change}), not tested: another one was on sessions up to {max(used).date()}, and each "
                f"held-out block of {split.test_sessions} sessions serves one; a fresh one exists from {fresh.date()} "
                "on; the champion stays",
            )
        forecasters = [RNNForecaster(candidate), RNNForecaster(champion)]
        forecasters[0].name, forecasters[1].name = "candidate", "champion"
        walk = walk_forward(forecasters, series, split, _named("contest", progress), workers, parts)
        horizon = min(candidate.horizon, champion.horizon)
        compared = _compare(walk.forecasts["candidate"], walk.forecasts["champion"], walk.outcomes, horizon)
    except (DataError, ModelError) as error:
        return Decision(False, f"new recipe ({change}), not tested: {_cause(error)}; the champion stays")
    numbers = {"contest": "recipe", **compared, "block": [str(day.date()) for day in block]}
    promote = numbers["skill"] > 0 and numbers["p"] is not None and numbers["p"] < SIGNIFICANT
    rule = f"p < {SIGNIFICANT}, so it is proven" if promote else f"not proven at p < {SIGNIFICANT}: the champion stays"
    return Decision(promote, f"new recipe ({change}): {_in_words(numbers)}; {rule}", numbers)


def _compare(
    candidate: Mapping[str, RollingForecast],
    champion: Mapping[str, RollingForecast],
    outcomes: Mapping[str, Any],
    horizon: int,
) -> dict[str, Any]:
    """Return the numbers of a `Decision` from forecasts of the same origins, at the report horizons.

    Each horizon counts in units of the champion's CRPS there, or the longest ones would decide alone. Origins from
    which not all horizons have matured are left out.

    Raises
    ------
    TooFewBars
        None is left.
    """
    own, other = (_daily_crps(forecasts, outcomes, horizon) for forecasts in (candidate, champion))
    if not len(own):
        raise TooFewBars(f"no outcome {horizon} sessions ahead is known")
    mean = other.mean()
    daily = ((other - own) / mean).mean(axis=1).to_numpy()
    _, p = diebold_mariano(daily, horizon)
    return {
        "first": str(own.index[0].date()),
        "last": str(own.index[-1].date()),
        "sessions": len(own),
        "symbols": len(candidate),
        "horizons": [int(h) for h in own.columns],
        "crps_candidate": own.mean().tolist(),
        "crps_champion": mean.tolist(),
        "skill": float(daily.mean()),
        "p": p if isfinite(p) else None,
    }


def _daily_crps(forecasts: Mapping[str, RollingForecast], outcomes: Mapping[str, Any], horizon: int) -> pd.DataFrame:
    """Return the mean CRPS over symbols, a row per origin and a column per report horizon."""
    cut = {symbol: replace(f, values=f.values[:, :horizon]) for symbol, f in forecasts.items()}  # one may reach further
    rows = score_rows(
        cut, {symbol: o[:, :horizon] for symbol, o in outcomes.items()}, horizons=report_horizons(horizon)
    )
    return rows.pivot_table(index="origin", columns="horizon", values="crps").dropna()


def _in_words(numbers: Mapping[str, Any]) -> str:
    skill, p = numbers["skill"], numbers["p"]
    return (
        f"CRPS {abs(skill):.1%} {'lower' if skill > 0 else 'higher'} than the champion's, the mean over horizons "
        f"{', '.join(map(str, numbers['horizons']))} on {numbers['sessions']} sessions from {numbers['first']} to "
        f"{numbers['last']}" + (f", p = {p:.2g}" if p is not None else "")
    )


def _in_difference(candidate: Recipe, champion: Recipe) -> str:
    """Return the settings that two recipes differ in, such as "cell gru for rnn"."""
    ours, theirs = (_settings(config_to_json(recipe)) for recipe in (candidate, champion))
    return ", ".join(f"{name} {ours[name]} for {theirs[name]}" for name in ours if ours[name] != theirs[name])


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= _settings(value) if isinstance(value, Mapping) else {name: value}
    return flat


def _cause(error: Exception) -> str:
    """Return what an error says, without the next command: here there is none to type."""
    return str(error).partition("; next:")[0]


def _named(what: str, progress: Progress) -> Progress:
    return lambda _, done, total: progress(what, done, total)
