import math

import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import CircularBlockBootstrap
from scipy import stats

from forecasting.config import LEVELS
from forecasting.errors import DataError
from forecasting.evaluation.scores import crps
from forecasting.evaluation.significance import (
    adjust_p_values,
    block_length,
    diebold_mariano,
    long_run_mean,
    model_confidence_set,
    pool_by_date,
    skill_interval,
)

# Two waves and a half around 0.21. The statistics below were computed with a sum for each L_j, the p-values
# from the closed forms of Student's t with 1, 2 and 3 degrees of freedom.
WAVES = [
    *(0.3, 0.5, 0.4, 0.1, -0.2, -0.4, -0.1, 0.2, 0.6, 0.7, 0.3, 0.0, -0.3, -0.2),
    *(0.1, 0.4, 0.8, 0.6, 0.2, -0.1, -0.5, -0.3, 0.2, 0.5, 0.9, 0.7, 0.4),
]


def plain_test(differences: list[float], h: int) -> tuple[float, float]:
    """Write Diebold and Mariano's test with the cosine variance of Lazarus, Lewis, Stock and Watson (2018) in loops."""
    n = len(differences)
    freedom = max(1, min(math.floor(0.4 * n ** (2 / 3)), n // (2 * h)))
    variance = 0.0
    for j in range(1, freedom + 1):
        wave = [math.cos(math.pi * j * (t - 0.5) / n) for t in range(1, n + 1)]
        variance += 2 / n * sum(d * w for d, w in zip(differences, wave, strict=True)) ** 2 / freedom
    statistic = sum(differences) / n / math.sqrt(variance / n)
    return statistic, 2 * stats.t.sf(abs(statistic), freedom)


def overlapping(x: np.ndarray, h: int) -> np.ndarray:
    """Return the sums of h neighbours along the last axis, as returns of h sessions are."""
    total = np.cumsum(np.pad(x, [(0, 0)] * (x.ndim - 1) + [(1, 0)]), axis=-1)
    return total[..., h:] - total[..., :-h]


def autoregression(
    rng: np.random.Generator, shape: tuple[int, int], persistence: float, deviation: float
) -> np.ndarray:
    """Return stationary AR(1) rows of a standard deviation."""
    out = rng.normal(0, deviation, shape)
    for t in range(1, shape[1]):
        out[:, t] = persistence * out[:, t - 1] + np.sqrt(1 - persistence**2) * out[:, t]
    return out


def two_scores(runs: int, n: int, h: int, seed: int, wider: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the CRPS (runs, n) of two normal forecasts of overlapping returns under stochastic volatility.

    Both know the volatility but for an error that persists and is as large for one as for the other; the
    first is made `wider` than that.
    """
    rng = np.random.default_rng(seed)
    volatility = np.exp(autoregression(rng, (runs, n + h), 0.98, 0.5))
    returns = volatility * rng.standard_t(5, (runs, n + h)) * np.sqrt(3 / 5)
    outcomes = overlapping(returns[:, 1:], h)[:, :n]
    scores = []
    for factor in (wider, 1.0):
        scale = factor * volatility[:, :n] * np.sqrt(h) * np.exp(autoregression(rng, (runs, n), 0.9, 0.2))
        scores.append(np.zeros((runs, n)))
        for level in LEVELS:  # level by level: twice the mean pinball loss, without an array of all levels
            beyond = outcomes - stats.norm.ppf(level) * scale
            scores[-1] += np.maximum(level * beyond, (level - 1) * beyond) * 2 / len(LEVELS)
    return scores[0], scores[1]


def gaussian(runs: int, n: int, h: int, seed: int) -> np.ndarray:
    return overlapping(np.random.default_rng(seed).normal(size=(runs, n + h - 1)), h)


def stormy(runs: int, n: int, h: int, seed: int) -> np.ndarray:
    """Return moving sums of fat-tailed differences whose volatility comes in clusters."""
    rng = np.random.default_rng(seed)
    volatility = np.exp(autoregression(rng, (runs, n + h - 1), 0.98, 0.5))
    return overlapping(volatility * rng.standard_t(4, (runs, n + h - 1)), h)


def scored(runs: int, n: int, h: int, seed: int) -> np.ndarray:
    return np.subtract(*two_scores(runs, n, h, seed))


def rejected(differences: np.ndarray, h: int) -> float:
    """Return the percentage of rows that are rejected at 5%."""
    return 100 * float(np.mean([diebold_mariano(row, h)[1] < 0.05 for row in differences]))


@pytest.mark.parametrize(
    ("horizon", "statistic", "p_value"),
    [
        (1, 3.842945252437686, 0.031087668476839303),  # 0.4 n^(2/3) = 3 cosines
        (5, 3.565754516591341, 0.07044063033098646),  # n / (2h) = 2
        (9, 3.6264439059499796, 0.17129236649114155),
        (26, 3.6264439059499796, 0.17129236649114155),  # never fewer than 1
    ],
)
def test_a_worked_example_gives_the_numbers_computed_by_hand(horizon, statistic, p_value):
    assert diebold_mariano(np.array(WAVES), horizon) == pytest.approx((statistic, p_value), rel=1e-9)


@pytest.mark.parametrize("horizon", [1, 2, 5, 20])
def test_the_statistic_equals_the_published_formula(horizon):
    differences = gaussian(1, 400, horizon, seed=1)[0] + 0.02 * horizon
    assert diebold_mariano(differences, horizon) == pytest.approx(plain_test(list(differences), horizon), rel=1e-9)


def test_differences_that_swing_back_each_day_still_have_a_positive_variance():
    swinging = np.array([1.2, -0.8] * 20)  # its autocovariance at lag 1 outweighs its variance
    statistic, p_value = diebold_mariano(swinging, 2)
    assert (statistic, p_value) == pytest.approx(plain_test(list(swinging), 2), rel=1e-9)
    assert 0 < p_value < 0.01
    assert statistic > 0


def test_the_sign_tells_which_score_was_larger():
    differences = np.random.default_rng(2).normal(0.5, 1, 100)
    positive, p_value = diebold_mariano(differences, 3)
    negative, same = diebold_mariano(-differences, 3)
    assert positive > 2
    assert negative == -positive
    assert same == p_value < 0.05


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e-9])
def test_differences_that_do_not_vary_are_no_evidence(constant):
    assert diebold_mariano(np.full(50, constant), 5) == (0.0, 1.0)


def test_too_few_differences_are_no_answer():
    assert np.isnan(diebold_mariano(np.arange(5.0), 5)).all()
    assert np.isnan(diebold_mariano(np.array([]), 1)).all()
    assert not np.isnan(diebold_mariano(np.arange(6.0), 5)).any()


def test_a_difference_that_is_no_number_is_refused():
    with pytest.raises(DataError, match="2 of 4 score differences are not finite"):
        diebold_mariano(np.array([1.0, np.nan, 2.0, np.inf]), 1)


def test_the_simulated_scores_are_those_of_the_package():
    rng = np.random.default_rng(0)
    scale, outcomes = np.exp(rng.normal(size=50)), rng.normal(size=50)
    ours = sum(
        np.maximum(q * (outcomes - z * scale), (q - 1) * (outcomes - z * scale)) * 2 / len(LEVELS)
        for q, z in zip(LEVELS, stats.norm.ppf(LEVELS), strict=True)
    )
    np.testing.assert_allclose(ours, crps(scale[:, None] * stats.norm.ppf(LEVELS), outcomes, LEVELS))


@pytest.mark.parametrize("horizon", [1, 5, 20])
@pytest.mark.parametrize("simulated", [gaussian, stormy, scored])
def test_with_equal_skill_it_rejects_about_as_often_as_it_says(simulated, horizon):
    assert 1 <= rejected(simulated(200, 400, horizon, seed=3), horizon) <= 11


@pytest.mark.slow
@pytest.mark.parametrize(("horizon", "tolerance"), [(1, 1.5), (5, 2), (20, 3)])
@pytest.mark.parametrize("simulated", [gaussian, stormy, scored])
def test_its_size_at_5_percent_holds_over_2000_runs_of_750_days(simulated, horizon, tolerance):
    share = rejected(simulated(2000, 750, horizon, seed=4), horizon)
    print(f"{simulated.__name__} h={horizon}: {share:.1f}% rejected")
    assert share == pytest.approx(5, abs=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [1, 5, 20])
@pytest.mark.parametrize("simulated", [gaussian, stormy, scored])
def test_it_finds_a_difference_of_three_standard_errors_four_times_in_five(simulated, horizon):
    differences = simulated(2000, 750, horizon, seed=5)
    share = rejected(differences + 3 * differences.mean(axis=1).std(), horizon)  # 85% were the variance known
    print(f"{simulated.__name__} h={horizon}: {share:.1f}% found")
    assert share > 75


@pytest.mark.parametrize(("horizon", "wider"), [(1, 1.4), (5, 1.7), (20, 2.2)])
def test_it_finds_that_a_forecast_is_too_wide(horizon, wider):
    too_wide, right = two_scores(100, 750, horizon, seed=6, wider=wider)
    assert rejected(too_wide - right, horizon) > 80


def test_a_history_of_a_few_horizons_does_not_fool_it():
    assert rejected(gaussian(500, 60, 20, seed=7), 20) <= 8


def test_the_standard_error_of_a_single_wave_by_hand():
    # of 64 values 6 cosines; with amplitude 0.3 the square of the first is 64 / 2 x 0.09, of the others 0
    wave = 0.2 + 0.3 * np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    mean, standard_error, freedom = long_run_mean(wave, 1)
    assert (mean, freedom) == (pytest.approx(0.2), 6)
    assert standard_error == pytest.approx(0.3 / np.sqrt(12))
    assert long_run_mean(wave, 8) == (pytest.approx(0.2), pytest.approx(0.3 / np.sqrt(8)), 4)


def test_a_mean_has_no_error_without_variation_and_an_unknown_one_on_too_few_values():
    assert long_run_mean(np.full(50, 0.1), 5) == (pytest.approx(0.1), 0.0, 5)
    mean, standard_error, freedom = long_run_mean(np.arange(5.0), 5)
    assert (mean, freedom) == (2.0, 0)
    assert np.isnan(standard_error)
    assert np.isnan(long_run_mean(np.array([]), 1).mean)


def test_symbols_are_pooled_by_their_mean_on_each_date():
    days = pd.DatetimeIndex(["2018-12-27", "2018-12-28", "2018-12-31"])
    scores = pd.concat(
        {"BBB": pd.Series([1.0, 2.0, 6.0], index=days), "AAA": pd.Series([4.0], index=days[1:2])},
        names=["symbol", "origin"],
    )
    pd.testing.assert_series_equal(
        pool_by_date(scores), pd.Series([1.0, 3.0, 6.0], index=days.rename("origin")), check_freq=False
    )


def test_p_values_of_many_symbols_are_raised_by_their_rank():
    raw = {"A": 0.01, "B": 0.04, "C": 0.03, "D": math.nan, "E": 0.5}
    adjusted = adjust_p_values(raw)
    assert list(adjusted) == list(raw)
    assert math.isnan(adjusted.pop("D"))
    # 4 tests: 0.01 x 4/1; 0.03 x 4/2 = 0.06 and 0.04 x 4/3 = 0.0533, of which the smaller; 0.5 x 4/4
    assert adjusted == pytest.approx({"A": 0.04, "B": 0.16 / 3, "C": 0.16 / 3, "E": 0.5})


def test_without_a_test_nothing_is_adjusted():
    assert adjust_p_values({}) == {}
    assert math.isnan(adjust_p_values({"A": math.nan})["A"])


def test_among_symbols_that_move_together_false_discoveries_stay_under_their_share():
    rng = np.random.default_rng(8)
    together, apart = rng.normal(size=(1000, 1)), rng.normal(size=(1000, 30))
    p_values = 2 * stats.norm.sf(abs(np.sqrt(0.5) * (together + apart)))
    found = [min(adjust_p_values({str(i): p for i, p in enumerate(row)}).values()) < 0.1 for row in p_values]
    assert np.mean(found) <= 0.1  # with nothing to find, every run with a discovery is a false one


def forecasters(seed: int, h: int = 5) -> pd.DataFrame:
    """Return losses of two equally good forecasters and of one that is too wide."""
    wide, good = two_scores(1, 500, h, seed, wider=2)
    also_good, _ = two_scores(1, 500, h, seed)
    return pd.DataFrame({"wide": wide[0], "good": good[0], "also_good": also_good[0]})


def test_the_confidence_set_keeps_equals_and_drops_the_worse():
    p_values = [model_confidence_set(forecasters(seed), 5) for seed in range(10)]
    assert list(p_values[0].index) == ["wide", "good", "also_good"]
    assert sum(p["wide"] < 0.1 for p in p_values) == 10
    assert sum(p[["good", "also_good"]].min() > 0.1 for p in p_values) >= 8
    assert all(p.max() == 1 for p in p_values)


def test_the_confidence_set_depends_on_its_seed_and_on_nothing_else():
    losses = forecasters(0)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = model_confidence_set(losses, 5, seed=1)
    np.random.default_rng().normal()
    pd.testing.assert_series_equal(model_confidence_set(losses, 5, seed=1), first)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_the_confidence_set_leaves_out_days_that_a_forecaster_lacks():
    losses = forecasters(0)
    gaps = losses.copy()
    gaps.loc[[3, 250], "good"] = np.nan
    pd.testing.assert_series_equal(model_confidence_set(gaps, 5), model_confidence_set(losses.drop([3, 250]), 5))


def test_forecasters_with_the_same_losses_stand_or_fall_together():
    losses = forecasters(0).assign(copy=lambda frame: frame["good"])
    p_values = model_confidence_set(losses, 5)
    assert p_values["copy"] == p_values["good"] > 0.1
    assert list(model_confidence_set(losses[["good", "copy"]], 5)) == [1, 1]
    assert list(model_confidence_set(losses[["good"]], 5)) == [1]


def test_fewer_than_four_horizons_of_days_are_no_answer():
    losses = forecasters(0).iloc[:79]
    assert model_confidence_set(losses, 20).isna().all()
    assert np.isnan(skill_interval(losses["good"].to_numpy(), losses["wide"].to_numpy(), 20)).all()
    assert not np.isnan(skill_interval(losses["good"].to_numpy(), losses["wide"].to_numpy(), 19)).any()


def test_blocks_are_never_shorter_than_the_horizon():
    for n in range(1, 400):
        for h in range(1, 61):
            block = block_length(n, h)
            assert (block is None) == (n < 4 * h)
            assert block is None or h <= block <= n // 4


def test_the_interval_of_a_skill_lies_around_it_and_depends_on_its_seed_alone():
    wide, good = two_scores(1, 750, 5, seed=9, wider=2)
    skill = 1 - good[0].mean() / wide[0].mean()
    low, high = skill_interval(good[0], wide[0], 5)
    narrower = skill_interval(good[0], wide[0], 5, coverage=0.5)
    assert 0 < low < narrower[0] < skill < narrower[1] < high < 1
    assert skill_interval(good[0], wide[0], 5) == (low, high)
    assert skill_interval(good[0], wide[0], 5, seed=1) != (low, high)


def test_the_interval_is_about_as_wide_as_that_of_plain_percentiles():
    wide, good = (scores[0] for scores in two_scores(1, 750, 5, seed=10, wider=1.2))
    low, high = skill_interval(good, wide, 5)
    bootstrap = CircularBlockBootstrap(block_length(750, 5), good, wide, seed=0)
    plain = bootstrap.apply(lambda a, b: np.array([1 - a.mean() / b.mean()]), 1000)
    assert high - low == pytest.approx(np.diff(np.quantile(plain, [0.05, 0.95]))[0], rel=0.25)


def test_the_interval_covers_the_true_skill_about_as_often_as_it_says():
    for horizon in (1, 20):
        first, second = two_scores(150, 750, horizon, seed=11)  # equally good: the true skill is 0
        bounds = np.array([skill_interval(a, b, horizon, draws=300) for a, b in zip(first, second, strict=True)])
        assert 0.8 <= np.mean((bounds[:, 0] < 0) & (bounds[:, 1] > 0)) <= 0.97


def test_scores_without_chance_have_an_interval_without_width():
    assert skill_interval(np.full(100, 1.0), np.full(100, 2.0), 1) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("scores", "baseline", "message"),
    [
        ([1.0, 2.0], [1.0], "2 scores and 1 of the baseline"),
        ([1.0, 2.0], [0.0, 0.0], "above zero on average"),
        ([1.0, np.nan], [1.0, 1.0], "1 of 2 scores are not finite"),
    ],
)
def test_scores_that_have_no_skill_are_refused(scores, baseline, message):
    with pytest.raises(DataError, match=message):
        skill_interval(np.array(scores), np.array(baseline), 1)
