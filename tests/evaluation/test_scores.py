import numpy as np
import pytest
import scoringrules
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from forecasting.config import LEVELS
from forecasting.errors import DataError
from forecasting.evaluation.scores import (
    brier,
    coverage_hits,
    crps,
    direction_hits,
    mean_of,
    median_of,
    pinball,
    pit_bins,
    pit_histogram,
    require_same_levels,
    weighted_interval_score,
)

NORMAL = stats.norm.ppf(np.array(LEVELS))
some_quantiles = st.lists(st.floats(-1, 1), min_size=11, max_size=11).map(sorted).map(np.array)


def plain_pinball(quantile: float, outcome: float, level: float) -> float:
    return level * (outcome - quantile) if outcome >= quantile else (1 - level) * (quantile - outcome)


@given(st.lists(st.floats(-1, 1), min_size=11, max_size=11).map(sorted), st.floats(-1.5, 1.5))
def test_the_crps_is_twice_the_mean_pinball_loss(values, outcome):
    expected = 2 * np.mean([plain_pinball(q, outcome, level) for q, level in zip(values, LEVELS, strict=True)])
    assert crps(np.array(values), np.array(outcome), LEVELS) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("outcome", [-2.5, 0.0, 0.3, 4.0])
def test_on_a_fine_grid_the_crps_is_that_of_the_normal_distribution(outcome):
    levels = (np.arange(4000) + 0.5) / 4000
    closed_form = outcome * (2 * stats.norm.cdf(outcome) - 1) + 2 * stats.norm.pdf(outcome) - 1 / np.sqrt(np.pi)
    assert crps(stats.norm.ppf(levels), np.array(outcome), levels) == pytest.approx(closed_form, rel=1e-3)


def test_a_better_spread_scores_lower_on_average():
    outcomes = np.random.default_rng(0).normal(size=5000)
    quantiles = stats.norm.ppf(np.array(LEVELS))
    score = {s: crps(np.tile(s * quantiles, (5000, 1)), outcomes, LEVELS).mean() for s in (0.5, 1.0, 2.0)}
    assert score[1.0] < min(score[0.5], score[2.0])


def test_scores_keep_the_shape_and_a_missing_outcome_has_none():
    values = np.zeros((2, 3, 11))
    outcomes = np.array([[0.0, 0.1, np.nan], [np.nan, 0.0, 0.0]])
    assert np.isnan(crps(values, outcomes, LEVELS)).tolist() == np.isnan(outcomes).tolist()
    assert np.isnan(coverage_hits(values, outcomes, LEVELS, 0.8)).tolist() == np.isnan(outcomes).tolist()


def test_an_outcome_on_the_edge_of_an_interval_lies_within_it():
    values = np.tile(np.linspace(-0.5, 0.5, 11), (5, 1))
    low, high = values[0, LEVELS.index(0.1)], values[0, LEVELS.index(0.9)]
    outcomes = np.array([low - 1e-9, low, 0.0, high, high + 1e-9])
    assert coverage_hits(values, outcomes, LEVELS, 0.8).tolist() == [0, 1, 1, 1, 0]


def test_a_coverage_the_levels_do_not_hold_is_refused_instead_of_rounded():
    with pytest.raises(KeyError):
        coverage_hits(np.zeros((1, 3)), np.zeros(1), (0.1, 0.5, 0.9), 0.95)


@pytest.mark.parametrize("level", [0.01, 0.25, 0.5, 0.99])
def test_the_expected_pinball_loss_of_a_normal_quantile_is_its_density_there(level):
    # integral of the pinball loss at the true quantile of a standard normal: phi(q)
    middles = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    quantile = stats.norm.ppf(level)
    losses = pinball(np.full((200_000, 1), quantile), middles, (level,))
    assert losses.mean() == pytest.approx(stats.norm.pdf(quantile), rel=1e-3)


@given(some_quantiles, st.floats(-1.5, 1.5))
def test_the_interval_score_is_the_sum_of_its_parts_and_on_these_levels_the_crps(values, outcome):
    score = weighted_interval_score(values, np.array(outcome), LEVELS)
    assert score.total == pytest.approx(score.dispersion + score.underprediction + score.overprediction, abs=1e-12)
    assert score.total == pytest.approx(2 * pinball(values, np.array(outcome), LEVELS).mean(), abs=1e-12)
    assert score.total == pytest.approx(crps(values, np.array(outcome), LEVELS), abs=1e-12)
    assert min(score.dispersion, score.underprediction, score.overprediction) >= -1e-15


@given(some_quantiles, st.floats(-1.5, 1.5))
def test_the_interval_score_is_the_weighted_mean_of_winkler_scores(values, outcome):
    alpha = 2 * np.array(LEVELS[:5])
    winkler = scoringrules.interval_score(np.array(outcome), values[:5], values[:5:-1], alpha)
    expected = (abs(outcome - values[5]) / 2 + (alpha / 2 * winkler).sum()) / 5.5
    assert weighted_interval_score(values, np.array(outcome), LEVELS).total == pytest.approx(expected, abs=1e-12)


def test_the_parts_of_the_interval_score_by_hand():
    # one interval of level 0.5 from -1 to 3, median 0; K + 1/2 = 1.5; a / 2 = 0.25
    values, levels = np.array([-1.0, 0.0, 3.0]), (0.25, 0.5, 0.75)
    inside, above, below = (weighted_interval_score(values, np.array(y), levels) for y in (1.0, 5.0, -2.0))
    assert [float(x) for x in inside[1:]] == pytest.approx([0.25 * 4 / 1.5, 0.5 / 1.5, 0])
    assert [float(x) for x in above[1:]] == pytest.approx([0.25 * 4 / 1.5, (2 + 0.5 * 5) / 1.5, 0])
    assert [float(x) for x in below[1:]] == pytest.approx([0.25 * 4 / 1.5, 0, (1 + 0.5 * 2) / 1.5])


@given(some_quantiles, st.floats(-1.5, 1.5), st.floats(-1, 1), st.floats(0.1, 10))
def test_scores_ignore_a_shift_grow_with_the_unit_and_swap_over_and_under_in_a_mirror(values, outcome, shift, unit):
    y = np.array(outcome)
    score = weighted_interval_score(values, y, LEVELS)
    moved = weighted_interval_score(unit * (values + shift), unit * (y + shift), LEVELS)
    assert [float(x) / unit for x in moved] == pytest.approx([float(x) for x in score], abs=1e-10)
    mirror = weighted_interval_score(-values[::-1], -y, LEVELS)
    expected = (score.total, score.dispersion, score.overprediction, score.underprediction)
    assert [float(x) for x in mirror] == pytest.approx([float(x) for x in expected], abs=1e-12)


@pytest.mark.parametrize(("shift", "spread"), [(0.3, 1.0), (-0.3, 1.0), (0.0, 0.7), (0.0, 1.4)])
def test_the_true_distribution_has_the_lowest_expected_scores(shift, spread):
    outcomes = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    true, wrong = (np.broadcast_to(q, (20_000, 11)) for q in (NORMAL, shift + spread * NORMAL))
    assert crps(true, outcomes, LEVELS).mean() < crps(wrong, outcomes, LEVELS).mean()
    losses = [pinball(v, outcomes, LEVELS).mean(axis=0) for v in (true, wrong)]
    assert (losses[0] <= losses[1] + 1e-6).all()


@pytest.mark.parametrize("levels", [(0.1, 0.5), (0.1, 0.5, 0.8), (0.1, 0.9)])
def test_levels_without_a_mirror_or_a_median_have_no_interval_score(levels):
    with pytest.raises(DataError, match="symmetric and contain 0.5"):
        weighted_interval_score(np.zeros((1, len(levels))), np.zeros(1), levels)
    with pytest.raises(DataError, match="symmetric and contain 0.5"):
        median_of(np.zeros((1, len(levels))), levels)


def test_scores_from_different_grids_are_refused_and_both_named():
    with pytest.raises(DataError, match=r"network is scored .* 0.1, 0.5, 0.9, walk on 0.25, 0.5, 0.75: .* same levels"):
        require_same_levels({"network": (0.1, 0.5, 0.9), "walk": (0.25, 0.5, 0.75)})
    assert require_same_levels({"a": (0.1, 0.5, 0.9), "b": [0.1, 0.5, 0.9]}) == (0.1, 0.5, 0.9)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_normal_intervals_cover_normal_outcomes_as_often_as_they_say(coverage):
    outcomes = stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    hits = coverage_hits(np.broadcast_to(NORMAL, (10_000, 11)), outcomes, LEVELS, coverage)
    assert hits.mean() == pytest.approx(coverage, abs=2e-4)


def test_the_bin_of_an_outcome_counts_the_quantiles_at_or_below_it():
    bins = pit_bins(np.tile([-1.0, 0.0, 1.0], (6, 1)), np.array([-2, -1, -0.5, 0.5, 3, np.nan]))
    assert bins[:5].tolist() == [0, 1, 1, 2, 3]
    assert np.isnan(bins[5])


def test_the_histogram_of_a_calibrated_forecast_is_flat():
    outcomes = stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    histogram = pit_histogram(pit_bins(np.broadcast_to(NORMAL, (10_000, 11)), outcomes), LEVELS)
    assert histogram["density"].to_numpy() == pytest.approx(np.ones(12), abs=1e-9)
    assert histogram["rows"].tolist() == [100, 150, 250, 500, 1500, 2500, 2500, 1500, 500, 250, 150, 100]
    assert histogram["expected"].sum() == pytest.approx(1)


@pytest.mark.parametrize(("spread", "outer"), [(0.7, 1), (1.4, -1)])
def test_the_histogram_of_narrow_intervals_is_a_u_and_of_wide_ones_a_hump(spread, outer):
    outcomes = stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    bins = pit_bins(np.broadcast_to(spread * NORMAL, (10_000, 11)), outcomes)
    density = pit_histogram(bins, LEVELS)["density"].to_numpy() - 1
    assert (outer * density[[0, 1, 2, -3, -2, -1]] > 0).all()
    assert (outer * density[[5, 6]] < 0).all()


def test_the_histogram_counts_known_outcomes_only():
    histogram = pit_histogram(np.array([[0.0, np.nan], [3.0, 3.0]]), (0.25, 0.5, 0.75))
    assert histogram["rows"].tolist() == [1, 0, 0, 2]
    assert histogram["share"].tolist() == pytest.approx([1 / 3, 0, 0, 2 / 3])
    assert np.isnan(pit_histogram(np.array([np.nan]), (0.5,))["share"]).all()


def test_the_mean_is_the_integral_of_the_quantile_function():
    fine = np.linspace(0, 1, 1_000_001)
    values = np.sort(np.random.default_rng(0).normal(size=11))
    integral = np.trapezoid(np.interp(fine, LEVELS, values), fine)  # interp is constant beyond the outer levels
    assert mean_of(values, LEVELS) == pytest.approx(integral, abs=1e-6)
    assert mean_of(np.full((2, 11), 0.3), LEVELS) == pytest.approx([0.3, 0.3])
    assert mean_of(NORMAL, LEVELS) == pytest.approx(0, abs=1e-12)


def test_the_median_is_the_quantile_in_the_middle():
    assert median_of(np.arange(22.0).reshape(2, 11), LEVELS).tolist() == [5.0, 16.0]


def test_a_direction_is_right_wrong_half_right_without_a_call_and_none_without_a_move():
    hits = direction_hits(np.array([0.1, 0.1, 0.0, 0.1, 0.0, 0.1]), np.array([0.2, -0.2, 0.2, 0.0, 0.0, np.nan]))
    assert hits[:3].tolist() == [1, 0, 0.5]
    assert np.isnan(hits[3:]).all()


def test_the_brier_score_is_the_squared_error_of_the_probability_of_a_rise():
    scores = brier(np.array([0.7, 0.7, 0.7, 0.7]), np.array([0.01, -0.01, 0.0, np.nan]))
    assert scores[:3] == pytest.approx([0.09, 0.49, 0.49])
    assert np.isnan(scores[3])


def test_every_score_of_a_missing_outcome_is_missing():
    values, outcomes = np.zeros((2, 11)), np.array([0.0, np.nan])
    parts = [*weighted_interval_score(values, outcomes, LEVELS), pinball(values, outcomes, LEVELS)[:, 0]]
    assert all(np.isnan(part).tolist() == [False, True] for part in parts)
