"""The outer quantiles judged as value at risk: are they crossed as often as they say, and not in clusters?

A violation is an outcome beyond the quantile: below the 1% quantile for who holds the stock, above the 99%
quantile for who is short of it. The three classical tests count violations of independent rows, so that h
sessions ahead they see every h-th origin, from the first: the returns of the origins between overlap. They
are of one symbol at a time, because symbols fall together. `tail_shares` judges all rows of all symbols.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import xlog1py, xlogy

from forecasting.errors import DataError
from forecasting.evaluation.breakdown import levels_of
from forecasting.evaluation.significance import diebold_mariano

TAILS = (0.01, 0.025, 0.05)
"""Probabilities of a violation at which the outer quantiles are judged."""

OUTER_TAILS = (*TAILS, 0.1)
"""Probabilities of the tails whose shares are counted."""

_SIGNIFICANT = 0.05
_FEWEST = 5  # violations expected on rows that do not overlap, below which a share has no p-value


class TailTests(NamedTuple):
    """Likelihood-ratio statistics and p-values of `judge_violations`; each (...).

    Parameters
    ----------
    kupiec, p_kupiec : is the share of violations the level? Chi-square, 1 degree of freedom
    independence, p_independence : is a violation as likely after one as after none? 1 degree of freedom
    conditional, p_conditional : both at once, 2 degrees of freedom
    """

    kupiec: np.ndarray
    p_kupiec: np.ndarray
    independence: np.ndarray
    p_independence: np.ndarray
    conditional: np.ndarray
    p_conditional: np.ndarray


def value_at_risk(rows: pd.DataFrame, horizons: Sequence[int]) -> pd.DataFrame:
    """Return the tests of the outer quantiles by symbol and horizon, on every h-th origin.

    Parameters
    ----------
    rows : of one forecaster, as `score_rows` returns them
    horizons : sessions ahead

    Returns
    -------
    DataFrame
        One row per symbol, horizon, `side` (lower, upper) and `level` of `TAILS`: `rows` tested, `violations` and
        how many were `expected`, `p_kupiec`, `p_independence`, `p_conditional` (see `judge_violations`).

    Raises
    ------
    DataError
        The rows were not scored at these levels.
    """
    lowest = _positions(rows, TAILS)
    highest = len(levels_of(rows)) - lowest  # bins from here on lie above the mirror level
    parts = []
    for horizon in horizons:
        ahead = rows.loc[rows["horizon"] == horizon, ["symbol", "pit_bin"]]
        for symbol, of_symbol in ahead.groupby("symbol", observed=True, sort=False):
            bins = of_symbol["pit_bin"].to_numpy()[::horizon, None]
            violations = np.concatenate([bins <= lowest, bins >= highest], axis=1)
            levels = np.tile(TAILS, 2)
            found = judge_violations(violations, levels)
            part = pd.DataFrame({"side": np.repeat(["lower", "upper"], len(TAILS)), "level": levels})
            part["rows"] = len(violations)
            part["violations"] = violations.sum(axis=0)
            part["expected"] = levels * len(violations)
            part["p_kupiec"] = found.p_kupiec
            part["p_independence"] = found.p_independence
            part["p_conditional"] = found.p_conditional
            part.insert(0, "symbol", str(symbol))
            part.insert(1, "horizon", horizon)
            parts.append(part)
    if not parts:
        raise DataError(f"no row has an outcome at the horizons {', '.join(map(str, horizons))}; nothing to judge")
    return pd.concat(parts, ignore_index=True)


def tail_shares(rows: pd.DataFrame, horizons: Sequence[int]) -> pd.DataFrame:
    """Return how often outcomes fell into the outer bins of the PIT, pooled over symbols and all origins.

    Parameters
    ----------
    rows : of one forecaster, as `score_rows` returns them
    horizons : sessions ahead

    Returns
    -------
    DataFrame
        One row per horizon and `level` of `OUTER_TAILS`: `rows`; the share of outcomes `below` the
        quantile of the level, `above` its mirror, and `outer`, both together, which is 2 * level where the forecast
        is calibrated; `p_below`, `p_above`, `p_outer`; and `shape`, where `p_outer` is below 0.05: "U-shaped" (both
        tails fuller than they should be: intervals too narrow), "hump-shaped" (both emptier: too wide), else "".

    Raises
    ------
    DataError
        The rows were not scored at these levels.

    Notes
    -----
    Outcomes of one date fall together and those h sessions ahead overlap, so each p-value is that of
    `diebold_mariano` on the date's mean of violations less their probability. That is NaN where fewer than
    five violations are expected on every h-th origin: there a true model would be rejected at p < 0.05 more
    than twice as often as it should (1% tails 20 sessions ahead on 500 origins: 24%), elsewhere 4% to 8%. It is
    also NaN where no date differs from another, as without any violation.
    """
    lowest = _positions(rows, OUTER_TAILS)
    highest = len(levels_of(rows)) - lowest
    table: list[dict[str, float | str]] = []
    for horizon in horizons:
        ahead = rows[rows["horizon"] == horizon]
        bins = ahead["pit_bin"].to_numpy()
        dates, date_of = np.unique(ahead["origin"].to_numpy(), return_inverse=True)
        of_date = np.bincount(date_of, minlength=len(dates))
        for level, low, high in zip(OUTER_TAILS, lowest, highest, strict=True):
            row: dict[str, float | str] = {"horizon": horizon, "level": level, "rows": len(bins)}
            tails = {"below": (bins <= low, level), "above": (bins >= high, level)}
            tails["outer"] = (tails["below"][0] | tails["above"][0], 2 * level)
            for name, (violations, expected) in tails.items():
                row[name] = float(violations.mean()) if len(bins) else float("nan")
                by_date = np.bincount(date_of, weights=violations, minlength=len(dates)) / of_date
                enough = len(dates) / horizon * expected >= _FEWEST and np.ptp(by_date) > 0
                row[f"p_{name}"] = diebold_mariano(by_date - expected, horizon)[1] if enough else float("nan")
            table.append({**row, "shape": _shape(row, level)})
    return pd.DataFrame(table)


def _shape(row: dict[str, float | str], level: float) -> str:
    below, above, p_value = (float(row[name]) for name in ("below", "above", "p_outer"))
    if not p_value < _SIGNIFICANT:
        return ""
    if min(below, above) > level:
        return "U-shaped"
    return "hump-shaped" if max(below, above) < level else ""


def _positions(rows: pd.DataFrame, tails: Sequence[float]) -> np.ndarray:
    """Return where the lower quantiles of these probabilities stand among the levels, which are symmetric."""
    levels = levels_of(rows)
    if missing := [level for level in tails if level not in levels]:
        raise DataError(
            f"tails at {', '.join(map(str, missing))} asked of the quantile levels {', '.join(map(str, levels))}: a "
            "tail is judged at a level that was forecast"
        )
    return np.array([levels.index(level) for level in tails])


def _log_likelihood(count: np.ndarray, of: np.ndarray, probability: np.ndarray) -> np.ndarray:
    return np.asarray(xlogy(count, probability) + xlog1py(of - count, -probability))


def _share(count: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return count / of, and 0 of nothing: a likelihood of no observations is 1 for any probability."""
    return np.asarray(count / np.maximum(of, 1))


def _coverage_ratio(violations: np.ndarray, level: np.ndarray) -> np.ndarray:
    rows = np.asarray(len(violations))
    count = violations.sum(axis=0)
    ratio = _log_likelihood(count, rows, _share(count, rows)) - _log_likelihood(count, rows, level)
    return np.maximum(2 * ratio, 0.0)


def judge_violations(violations: np.ndarray, level: float | np.ndarray) -> TailTests:
    """Test whether violations have the probability they should, independently of each other.

    Parameters
    ----------
    violations : bool (n, ...), in the order of time along the first axis, of rows that do not overlap
    level : probability of a violation, broadcast against (...)

    Returns
    -------
    TailTests
        NaN in all of it without a row; NaN in independence and conditional where no violation is followed by
        a row, or only violations are: then nothing shows whether one makes the next more likely.

    Notes
    -----
    Kupiec (1995), proportion of failures: LR = 2 log(L(x / n) / L(level)), x violations of n. Christoffersen
    (1998): a Markov chain with one probability after a violation and another after none, against one for both
    (independence), and against the level (conditional coverage); conditional on the first row, so that the
    conditional statistic is independence plus Kupiec's without that row. The chi-square laws hold for many
    violations: of true models, at p < 0.05 and 252 rows at 1%, Kupiec's test rejects 9% and the others 1%;
    of 2520 rows at 5%, all three 5%.
    """
    level = np.asarray(level, dtype="float64")
    before, after = violations[:-1], violations[1:]
    after_none, after_one = (~before).sum(axis=0), before.sum(axis=0)
    none_one, one_one = (~before & after).sum(axis=0), (before & after).sum(axis=0)
    pooled = _share(none_one + one_one, after_none + after_one)
    chain = _log_likelihood(none_one, after_none, _share(none_one, after_none)) + _log_likelihood(
        one_one, after_one, _share(one_one, after_one)
    )
    ratio = np.maximum(2 * (chain - _log_likelihood(none_one + one_one, after_none + after_one, pooled)), 0.0)
    independence = np.where((after_none > 0) & (after_one > 0), ratio, np.nan)
    kupiec = _coverage_ratio(violations, level) if len(violations) else np.full(violations.shape[1:], np.nan)
    conditional = independence + _coverage_ratio(after, level)
    return TailTests(
        kupiec,
        stats.chi2.sf(kupiec, 1),
        independence,
        stats.chi2.sf(independence, 1),
        conditional,
        stats.chi2.sf(conditional, 2),
    )
