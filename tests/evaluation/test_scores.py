import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from forecasting.config import LEVELS
from forecasting.evaluation.scores import coverage_hits, crps


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
