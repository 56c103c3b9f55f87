from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import random_walk, with_void
from scipy import stats

from forecasting.config import LEVELS
from forecasting.errors import DataError, UsageError
from forecasting.evaluation.baselines import make_baselines
from forecasting.evaluation.breakdown import (
    break_down,
    levels_of,
    naive_error,
    require_same_rows,
    score_rows,
    volatility_terciles,
)
from forecasting.evaluation.scores import COVERAGES, coverage_hits, crps, mean_of, pinball, weighted_interval_score
from forecasting.forecasts import RollingForecast, prob_above_zero

H = 3
SERIES = {s: random_walk(s, bars=500, seed=i) for i, s in enumerate(("BBB", "AAA"))}
FIRST = SERIES["AAA"].sessions[380]


def walked() -> tuple[dict[str, dict[str, RollingForecast]], dict[str, np.ndarray]]:
    """Return the forecasts of both baselines by name and symbol, and what became of them."""
    forecasts = {walk.name: walk.roll(SERIES, FIRST) for walk in make_baselines(H)[:2]}
    return forecasts, {s: series.log_returns(range(1, H + 1))[380:] for s, series in SERIES.items()}


@pytest.fixture(scope="module")
def rows_of() -> dict[str, pd.DataFrame]:
    forecasts, outcomes = walked()
    return {name: score_rows(by_symbol, outcomes, SERIES) for name, by_symbol in forecasts.items()}


def small(values, outcomes, levels=(0.25, 0.5, 0.75)) -> tuple[dict[str, RollingForecast], dict[str, np.ndarray]]:
    """Return forecasts (origins, H, L) of one symbol, from the first sessions of 2018, and their outcomes."""
    values = np.asarray(values, dtype="float64")
    origins = SERIES["AAA"].sessions[-250:][: len(values)]
    forecast = RollingForecast(SERIES["AAA"].instrument, origins, np.ones(len(values)), levels, values)
    return {"AAA": forecast}, {"AAA": np.asarray(outcomes, dtype="float64")}


def test_every_known_outcome_has_one_row_in_order(rows_of):
    rows = rows_of["random_walk"]
    # of 120 origins the last one, two and three have no outcome 1, 2 and 3 sessions ahead
    assert len(rows) == 2 * (119 + 118 + 117)
    assert rows["symbol"].cat.categories.tolist() == ["BBB", "AAA"]
    assert rows[["symbol", "origin", "horizon"]].equals(rows[["symbol", "origin", "horizon"]].drop_duplicates())
    assert rows.iloc[:4]["horizon"].tolist() == [1, 2, 3, 1]
    assert rows.groupby("symbol", observed=True)["origin"].is_monotonic_increasing.all()
    assert (rows["year"] == rows["origin"].dt.year).all()


def test_a_row_holds_the_scores_of_its_own_forecast(rows_of):
    forecasts, outcomes = walked()
    rows = rows_of["random_walk_ewma"]
    row = rows[(rows["symbol"] == "AAA") & (rows["horizon"] == 2)].iloc[7]
    values, outcome = forecasts["random_walk_ewma"]["AAA"].values[7, 1], outcomes["AAA"][7, 1]
    assert (row["origin"], row["outcome"]) == (forecasts["random_walk_ewma"]["AAA"].origins[7], outcome)
    assert row["crps"] == pytest.approx(crps(values, np.array(outcome), LEVELS), rel=1e-12)
    score = weighted_interval_score(values, np.array(outcome), LEVELS)
    parts = row[["dispersion", "underprediction", "overprediction"]].to_numpy(dtype="float64")
    assert parts == pytest.approx([float(x) for x in score[1:]], rel=1e-6)
    losses = row[[f"pinball_{level}" for level in LEVELS]].to_numpy(dtype="float64")
    assert losses == pytest.approx(pinball(values, np.array(outcome), LEVELS), rel=1e-6)
    hits = [bool(coverage_hits(values, np.array(outcome), LEVELS, c)) for c in COVERAGES]
    assert row[["hit_50", "hit_80", "hit_90", "hit_95"]].tolist() == hits
    assert row["pit_bin"] == (values <= outcome).sum()
    assert (row["median"], row["mean"]) == (values[5], pytest.approx(mean_of(values, LEVELS)))
    up = float(prob_above_zero(values, LEVELS))
    assert (row["prob_up"], row["brier"]) == pytest.approx((up, (up - (outcome > 0)) ** 2), rel=1e-6)
    assert row["direction"] == (values[5] * outcome > 0)


def test_a_broken_down_example_by_hand():
    # origins in rows, horizons in columns; quantiles are -1, m, 1
    values = [[[-1, 0.5, 1], [-1, 0.0, 1]], [[-1, 0.5, 1], [-1, -0.5, 1]]]
    rows = score_rows(*small(values, [[0.2, 3.0], [-0.4, np.nan]]))
    table = break_down({"network": rows}, "horizon")
    assert table["rows"].tolist() == table["direction_rows"].tolist() == [2, 1]
    assert table["coverage_50"].tolist() == [1, 0]
    assert table["mae"].tolist() == pytest.approx([0.6, 3.0])
    assert table["mae_to_walk"].tolist() == pytest.approx([2.0, 1.0])
    # the mean is 3/8 (-1) + m / 4 + 3/8 (1): 1/8 and 0
    assert table["rmse"].tolist() == pytest.approx([np.sqrt((0.075**2 + 0.525**2) / 2), 3.0])
    assert table["rmse_to_walk"].tolist() == pytest.approx([np.sqrt((0.075**2 + 0.525**2) / (0.2**2 + 0.4**2)), 1.0])
    assert table["direction"].tolist() == [0.5, 0.5]  # right and wrong; no call
    # interval score 2 inside, 2 + 4 * 2 when 3 is above 1; WIS = (|y - m| / 2 + IS / 4) / 1.5
    assert table["crps"].tolist() == pytest.approx([(0.3 + 0.5) / 1.5, (1.5 + 2.5) / 1.5])
    assert table["dispersion"].tolist() == pytest.approx([0.5 / 1.5, 0.5 / 1.5])
    assert table["underprediction"].tolist() == pytest.approx([0, (1.5 + 2) / 1.5])
    assert table["overprediction"].tolist() == pytest.approx([0.3 / 1.5, 0])


@pytest.mark.parametrize(
    "by", [("horizon",), ("symbol",), ("year",), ("tercile",), ("symbol", "horizon"), ("tercile", "horizon")]
)
def test_groups_agree_with_those_of_pandas(rows_of, by):
    table = break_down(rows_of, *by)
    for name, rows in rows_of.items():
        squared = rows.assign(squared=(rows["outcome"] - rows["mean"]) ** 2)
        groups = squared.groupby(list(by), observed=True)
        own = table[table["forecaster"] == name]
        assert own["rmse"].to_numpy() == pytest.approx(groups["squared"].mean().pow(0.5).to_numpy())
        assert own["rows"].tolist() == groups.size().tolist()
        for column, of in {"crps": "crps", "coverage_80": "hit_80", "brier": "brier", "mase": "scaled_error"}.items():
            assert own[column].to_numpy() == pytest.approx(groups[of].mean().to_numpy(), rel=1e-6)
        assert own["crps"].to_numpy() == pytest.approx(
            own[["dispersion", "underprediction", "overprediction"]].sum(axis=1).to_numpy(), rel=1e-6
        )
    assert table["rows"].sum() == 2 * len(rows)


def test_skill_is_against_every_forecaster_but_the_first(rows_of):
    table = break_down(rows_of, "horizon")
    assert table["forecaster"].tolist() == ["random_walk", "random_walk_ewma"] * 3
    assert [c for c in table.columns if c.startswith("skill_")] == ["skill_random_walk_ewma"]
    own, baseline = (table[table["forecaster"] == name].reset_index(drop=True) for name in rows_of)
    assert own["skill_random_walk_ewma"].tolist() == (1 - own["crps"] / baseline["crps"]).tolist()
    assert baseline["skill_random_walk_ewma"].tolist() == [0, 0, 0]


def test_a_group_whose_price_never_moved_has_no_direction_and_no_ratio():
    table = break_down({"network": score_rows(*small([[[-1, 0.5, 1]]], [[0.0]]))}, "horizon").iloc[0]
    assert (table["rows"], table["direction_rows"]) == (1, 0)
    assert np.isnan(table["direction"])
    assert table["mae_to_walk"] == np.inf


def test_true_normal_forecasts_have_the_expected_scores():
    rng = np.random.default_rng(0)
    outcomes = 0.01 * rng.normal(size=(250, 40))
    values = np.broadcast_to(0.01 * stats.norm.ppf(np.array(LEVELS)), (250, 40, 11))
    row = break_down({"true": score_rows(*small(values, outcomes, LEVELS))}, "symbol").iloc[0]
    assert row["rows"] == 10_000
    assert [row[f"coverage_{c * 100:.0f}"] for c in COVERAGES] == pytest.approx(COVERAGES, abs=0.01)
    assert row["rmse"] == pytest.approx(0.01, rel=0.02)
    assert row["mae"] == pytest.approx(0.01 * np.sqrt(2 / np.pi), rel=0.02)
    assert (row["brier"], row["direction"]) == pytest.approx((0.25, 0.5), abs=1e-6)
    expected = [0.01 * stats.norm.pdf(stats.norm.ppf(level)) for level in LEVELS]
    assert [row[f"pinball_{level}"] for level in LEVELS] == pytest.approx(expected, rel=0.06)


def test_a_forecaster_that_misses_a_row_is_an_error(rows_of):
    first, second = rows_of.values()
    with pytest.raises(DataError, match="a is scored on 708 rows and b on 707, and they are not the same"):
        break_down({"a": first, "b": second.iloc[1:].reset_index(drop=True)}, "horizon")
    with pytest.raises(DataError, match="not the same symbols, origins and horizons"):
        require_same_rows({"a": first, "b": second.assign(horizon=second["horizon"].to_numpy()[::-1])})


def test_forecasters_on_different_levels_are_not_compared():
    values = np.sort(np.random.default_rng(0).normal(size=(4, 2, 5)))
    levels = (0.1, 0.25, 0.5, 0.75, 0.9)
    wide = score_rows(*small(values, np.zeros((4, 2)), levels))
    narrow = score_rows(*small(values[..., 1:4], np.zeros((4, 2))))
    assert levels_of(wide) == levels
    with pytest.raises(DataError, match=r"0.1, 0.25, 0.5, 0.75, 0.9, b on 0.25, 0.5, 0.75"):
        break_down({"a": wide, "b": narrow}, "horizon")


def test_forecasts_that_do_not_fit_their_outcomes_are_an_error():
    forecasts, outcomes = small(np.zeros((3, 2, 3)), np.zeros((3, 2)))
    with pytest.raises(DataError, match="forecasts of AAA for outcomes of AAA, BBB"):
        score_rows(forecasts, {**outcomes, "BBB": outcomes["AAA"]})
    with pytest.raises(DataError, match=r"shape \(3, 2\) from 3 origins for outcomes of shape \(3, 1\)"):
        score_rows(forecasts, {"AAA": np.zeros((3, 1))})
    missing = replace(forecasts["AAA"], values=np.full((3, 2, 3), np.nan))
    with pytest.raises(DataError, match="AAA has a forecast that is not finite"):
        score_rows({"AAA": missing}, outcomes)


@pytest.mark.parametrize("by", [(), ("forecaster",), ("tercile",)])
def test_rows_are_grouped_by_what_they_hold_only(by):
    rows = score_rows(*small(np.zeros((3, 2, 3)), np.zeros((3, 2))))
    with pytest.raises(UsageError, match="these rows can be grouped by horizon, symbol, year"):
        break_down({"network": rows}, *by)


def test_terciles_are_thirds_of_the_volatility_known_at_the_origin():
    series = SERIES["AAA"]
    origins = series.sessions[200:]
    squares = np.log(series.bars["close"]).diff() ** 2
    expected = []
    for origin in origins:
        past = squares.loc[:origin].dropna().to_numpy()[::-1]
        weights = 0.94 ** np.arange(len(past))
        expected.append(weights @ past / weights.sum())
    thirds = pd.qcut(np.array(expected), 3, labels=[1, 2, 3]).astype("int8")
    assert np.array_equal(volatility_terciles(series, origins), thirds)
    assert np.bincount(volatility_terciles(series, origins)).tolist() == [0, 100, 100, 100]


def test_no_later_bar_moves_an_origin_to_another_tercile():
    origins = SERIES["AAA"].sessions[200:300]
    whole = volatility_terciles(SERIES["AAA"], origins)
    assert np.array_equal(volatility_terciles(SERIES["AAA"].until(origins[-1]), origins), whole)


def test_equal_volatilities_share_a_tercile():
    flat = replace(SERIES["AAA"], bars=SERIES["AAA"].bars.assign(close=100.0))
    assert set(volatility_terciles(flat, flat.sessions[100:])) == {1}


def test_an_origin_without_a_past_return_has_no_tercile():
    series = SERIES["AAA"]
    with pytest.raises(DataError, match=f"AAA has no daily return up to its origin {series.sessions[0].date()}"):
        volatility_terciles(series, series.sessions[:10])


def test_the_mase_divides_by_the_mean_absolute_daily_return_before_the_first_origin():
    series = SERIES["AAA"]
    expected = np.abs(np.diff(np.log(series.bars["close"].to_numpy()[:380]))).mean()
    assert naive_error(series, FIRST) == pytest.approx(expected)
    assert naive_error(series.until(FIRST), FIRST) == naive_error(series, FIRST)


def test_no_daily_return_is_read_across_a_session_without_a_positive_price():
    series = with_void(SERIES["AAA"], str(SERIES["AAA"].sessions[100].date()))
    moves = np.abs(np.diff(np.log(SERIES["AAA"].bars["close"].to_numpy()[:380])))
    assert naive_error(series, FIRST) == pytest.approx(np.delete(moves, [99, 100]).mean())


@pytest.mark.parametrize("bars", [0, 1])
def test_without_a_return_before_the_first_origin_there_is_no_mase(bars):
    with pytest.raises(DataError, match="AAA has 0 daily returns before the first origin"):
        naive_error(SERIES["AAA"], SERIES["AAA"].sessions[bars])


def test_one_session_ahead_the_random_walk_has_a_mase_near_one(rows_of):
    mase = break_down(rows_of, "horizon").query("forecaster == 'random_walk'")["mase"].to_numpy()
    assert mase == pytest.approx(np.sqrt([1, 2, 3]), rel=0.15)
