"""What a backtest comes to: the forecaster under test against each other one, on the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.config import report_horizons
from forecasting.errors import TooFewBars
from forecasting.evaluation.alarms import Alarm, find_alarms
from forecasting.evaluation.breakdown import levels_of, mean_scores, require_same_rows, score_rows, side_by_side
from forecasting.evaluation.direction import calibration_of_rises, judge_directions, pooled_directions
from forecasting.evaluation.extremes import find_extremes
from forecasting.evaluation.scores import COVERAGES, pit_histogram
from forecasting.evaluation.significance import (
    adjust_p_values,
    diebold_mariano,
    mean_and_reach,
    model_confidence_set,
    sessions_needed,
    skill_interval,
)
from forecasting.evaluation.value_at_risk import OUTER_TAILS, tail_shares, value_at_risk
from forecasting.evaluation.verdicts import reference_of
from forecasting.evaluation.walkforward import Backtest

BREACH_LEVEL = 0.05
"""The quantile whose breaches are counted over time, and its mirror."""

_WEEK = 5  # sessions ahead, at which weeks are ranked
_WEEKS = 2  # of each kind

# each is a table of all scores
_GROUPS = {"horizon": ("horizon",), **{by: (by, "horizon") for by in ("symbol", "year", "tercile")}}


@dataclass(frozen=True)
class Comparison:
    """Every score of a backtest at its report horizons.

    Parameters
    ----------
    scores
        A row per horizon with an outcome, pooled over symbols: `horizon`; `rows` scored; `crps_NAME` of each
        forecaster; for the one under test against each other, `skill_NAME` (1 - ratio of CRPS), its 90%
        interval `low_NAME` to `high_NAME` by block bootstrap, and `p_NAME` (Diebold-Mariano on the mean
        difference of each origin date); `mcs_NAME`, each forecaster's p-value of being among the best;
        `coverage_50` .. of the one under test, as far as its levels hold these intervals.
    tables
        By name. `horizon`, `symbol`, `year` and `tercile`: all scores of all forecasters, as `break_down`
        returns them, each by horizon; in all but the first also `p_NAME` of the one under test against each other, in
        `symbol` with `q_NAME`, the same after `adjust_p_values` over the symbols, in `year` and `tercile` with the
        90% interval of the skill, `low_NAME` to `high_NAME`, both of them NaN where there are fewer origin dates than
        `sessions_needed`. Of the one under test alone: `pit`, `tails`,
        `value_at_risk`, `directions` (by symbol), `direction` (pooled), `rises` (P(up) against what happened);
        `coverage`, the share of outcomes `covered` by each `interval` and the 90% interval of that share, `low` to
        `high`, by `long_run_mean`; `breaches`, at the shortest horizon and by origin date, how many of `rows` lay
        `below` the quantile of `level` and `above` its mirror; `weeks`, the symbols and origins at which it scored
        best and worst against `reference_of` (`reference`), about a week ahead, no two of a kind on overlapping dates.
    alarms : what looks too good, or is off, in the one under test
    """

    scores: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    alarms: Sequence[Alarm]


def score_backtest(backtest: Backtest, horizons: Sequence[int] | None = None) -> Comparison:
    """Score every forecaster of a backtest on the same rows.

    Parameters
    ----------
    horizons : sessions ahead; by default `report_horizons` of the longest one forecast

    Raises
    ------
    TooFewBars
        No target session has a bar yet.
    DataError
        The forecasters are on different quantile levels.
    """
    horizons = horizons or report_horizons(max(o.shape[1] for o in backtest.outcomes.values()))
    names = list(backtest.forecasts)
    own = _score(backtest, names[0], horizons)
    if not len(own):
        raise TooFewBars(
            f"nothing to score: no target session at the horizons {', '.join(map(str, horizons))} has a bar yet; "
            "next: more --test-sessions"
        )
    reached = sorted(own["horizon"].unique().tolist())
    losses = pd.DataFrame(index=own.index)  # all that is kept of a baseline's rows, which take much memory
    means: dict[str, dict[str, pd.DataFrame]] = {group: {} for group in _GROUPS}
    for name in names:
        rows = own if name == names[0] else _score(backtest, name, horizons)
        require_same_rows({names[0]: own, name: rows})
        losses[name] = rows["crps"]
        for group, by in _GROUPS.items():
            means[group][name] = mean_scores(rows, *by)
    tables = {group: side_by_side(means[group], *by) for group, by in _GROUPS.items()}
    found = {"symbol": _significance_by_symbol(own, losses)}
    found |= {group: _significance_by(group, own, losses) for group in ("year", "tercile")}
    for group, table in found.items():
        tables[group] = tables[group].merge(table, on=[group, "horizon", "forecaster"], how="left")
    tables |= _of_one(own, reached)
    if len(names) > 1:
        tables["weeks"] = _weeks(own, losses, min(reached, key=lambda h: abs(h - _WEEK)))
    scores = pd.DataFrame([_pooled(own, losses, tables["horizon"], h) for h in reached])
    return Comparison(scores.astype({"horizon": int, "rows": int}), tables, find_alarms(own, reached))


def _score(backtest: Backtest, name: str, horizons: Sequence[int]) -> pd.DataFrame:
    return score_rows(backtest.forecasts[name], backtest.outcomes, backtest.series, horizons)


def _pooled(own: pd.DataFrame, losses: pd.DataFrame, by_horizon: pd.DataFrame, horizon: int) -> dict[str, float]:
    """Return the row of `Comparison.scores` of one horizon."""
    found = by_horizon[by_horizon["horizon"] == horizon].set_index("forecaster")
    first, *others = losses
    row = {"horizon": horizon, "rows": found.loc[first, "rows"]}
    row |= {f"crps_{name}": found.loc[name, "crps"] for name in losses}
    chosen = own["horizon"] == horizon
    daily = losses[chosen].groupby(own["origin"][chosen]).mean()  # one per date, the mean over its symbols
    for name in others:
        row[f"skill_{name}"] = found.loc[first, f"skill_{name}"]
        low, high = skill_interval(daily[first].to_numpy(), daily[name].to_numpy(), horizon)
        row |= {f"low_{name}": low, f"high_{name}": high}
        row[f"p_{name}"] = diebold_mariano((daily[name] - daily[first]).to_numpy(), horizon)[1]
    row |= {f"mcs_{name}": p for name, p in model_confidence_set(daily, horizon).items()}
    return row | {c: found.loc[first, c] for c in found.columns if c.startswith("coverage_")}


def _significance_by_symbol(own: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """Return p-values of the one under test against each other, a row per symbol and horizon."""
    first, *others = losses
    groups = own.groupby(["symbol", "horizon"], observed=True, sort=False).indices
    table = pd.DataFrame(list(groups), columns=["symbol", "horizon"]).assign(forecaster=first)
    for name in others:
        difference = (losses[name] - losses[first]).to_numpy()
        table[f"p_{name}"] = [diebold_mariano(difference[rows], h)[1] for (_, h), rows in groups.items()]
        table[f"q_{name}"] = table.groupby("horizon")[f"p_{name}"].transform(
            lambda p: list(adjust_p_values(dict(zip(table["symbol"][p.index], p, strict=True))).values())
        )
    return table


def _significance_by(group: str, own: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """Return the interval and p-value of the skill of the one under test, a row per group and horizon.

    Each origin date counts once within a group. Those of a tercile are not neighbours; scores of dates further apart
    than the horizon do not overlap, so that what is allowed for is at least what there is.
    """
    first, *others = losses
    daily = losses.groupby([own[group], own["horizon"], own["origin"]], observed=True).mean()
    rows = []
    for key, days in daily.groupby(level=[0, 1], observed=True):
        horizon = int(key[1])
        if len(days) < sessions_needed(horizon):
            continue
        row = {group: key[0], "horizon": horizon, "forecaster": first}
        for name in others:
            scores, baseline = days[first].to_numpy(), days[name].to_numpy()
            row[f"low_{name}"], row[f"high_{name}"] = skill_interval(scores, baseline, horizon)
            row[f"p_{name}"] = diebold_mariano(baseline - scores, horizon)[1]
        rows.append(row)
    names = [f"{kind}_{name}" for name in others for kind in ("low", "high", "p")]
    return pd.DataFrame(rows, columns=[group, "horizon", "forecaster", *names])


def _of_one(rows: pd.DataFrame, horizons: Sequence[int]) -> dict[str, pd.DataFrame]:
    """Return the tables of one forecaster's calibration and directions, as far as its levels allow."""
    levels = levels_of(rows)
    by_horizon = {h: rows[rows["horizon"] == h] for h in horizons}
    pit = {h: pit_histogram(of_one["pit_bin"].to_numpy("float64"), levels) for h, of_one in by_horizon.items()}
    tables = {
        "pit": pd.concat(pit, names=["horizon"]).reset_index("horizon"),
        "coverage": _coverage(rows, horizons),
        "rises": calibration_of_rises(rows, horizons),
        "direction": pooled_directions(rows, horizons),
        "directions": judge_directions(rows, horizons),
    }
    if set(OUTER_TAILS) <= set(levels):
        tables |= {"tails": tail_shares(rows, horizons), "value_at_risk": value_at_risk(rows, horizons)}
    if BREACH_LEVEL in levels:
        tables["breaches"] = _breaches(by_horizon[min(horizons)], levels)
    return tables


def _coverage(rows: pd.DataFrame, horizons: Sequence[int]) -> pd.DataFrame:
    table = []
    for interval in COVERAGES:
        if (hit := f"hit_{interval * 100:.0f}") not in rows:
            continue
        for horizon in horizons:
            ahead = rows[rows["horizon"] == horizon]
            covered = float(ahead[hit].mean())
            _, reach = mean_and_reach(ahead.groupby("origin")[hit].mean().to_numpy(), horizon)
            table.append(
                {
                    "interval": interval,
                    "horizon": horizon,
                    "rows": len(ahead),
                    "covered": covered,
                    "low": max(covered - reach, 0.0),
                    "high": min(covered + reach, 1.0),
                }
            )
    return pd.DataFrame(table, columns=["interval", "horizon", "rows", "covered", "low", "high"])


def _breaches(ahead: pd.DataFrame, levels: Sequence[float]) -> pd.DataFrame:
    low = levels.index(BREACH_LEVEL)
    violations = pd.DataFrame(
        {
            "origin": ahead["origin"],
            "rows": 1,
            "below": (ahead["pit_bin"] <= low).astype("int64"),
            "above": (ahead["pit_bin"] >= len(levels) - low).astype("int64"),
        }
    )
    by_date = violations.groupby("origin", as_index=False).sum()
    by_date.insert(0, "horizon", int(ahead["horizon"].iloc[0]))
    by_date.insert(1, "level", BREACH_LEVEL)
    return by_date


def _weeks(own: pd.DataFrame, losses: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return the `_WEEKS` best and as many worst weeks."""
    first = losses.columns[0]
    at = np.flatnonzero((own["horizon"] == horizon).to_numpy())
    crps = {name: losses[name].to_numpy()[at] for name in losses}
    reference = reference_of({name: float(loss.mean()) for name, loss in crps.items() if name != first})
    origins = own["origin"].to_numpy()[at]
    best, worst = find_extremes(crps[first] - crps[reference], origins, horizon, _WEEKS)
    chosen = [*best, *worst]
    return pd.DataFrame(
        {
            "week": ["best"] * len(best) + ["worst"] * len(worst),
            "symbol": own["symbol"].iloc[at[chosen]].astype(str).to_numpy(),
            "origin": origins[chosen],
            "horizon": horizon,
            "reference": reference,
            "crps": crps[first][chosen],
            "crps_reference": crps[reference][chosen],
        }
    )
