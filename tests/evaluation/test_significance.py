import numpy as np
import pytest
from scipy import stats

from forecasting.evaluation.significance import diebold_mariano


def plain_statistic(differences: list[float], h: int, bartlett: bool = False) -> float:
    """Write Diebold and Mariano (1995) with the correction of Harvey, Leybourne and Newbold (1997) in loops."""
    n = len(differences)
    mean = sum(differences) / n
    variance = 0.0
    for lag in range(-(h - 1), h):
        covariance = sum((differences[t] - mean) * (differences[t - abs(lag)] - mean) for t in range(abs(lag), n)) / n
        variance += covariance * ((1 - abs(lag) / h) if bartlett else 1)
    return mean / (variance / n) ** 0.5 * ((n + 1 - 2 * h + h * (h - 1) / n) / n) ** 0.5


def test_one_step_ahead_it_is_the_t_test_of_the_mean():
    differences = np.random.default_rng(0).normal(0.1, 1, 80)
    expected = stats.ttest_1samp(differences, 0)  # the two corrections of 1/n to 1/(n-1) are the same factor
    assert diebold_mariano(differences, 1) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)


@pytest.mark.parametrize("horizon", [1, 2, 5, 20])
def test_the_statistic_equals_the_published_formula(horizon):
    noise = np.random.default_rng(1).normal(0.02, 1, 400)
    differences = np.convolve(noise, np.ones(horizon), "valid")  # errors that overlap as h-step errors do
    statistic, p_value = diebold_mariano(differences, horizon)
    assert statistic == pytest.approx(plain_statistic(list(differences), horizon), rel=1e-10)
    assert p_value == pytest.approx(2 * stats.t.sf(abs(statistic), len(differences) - 1), rel=1e-12)


def test_where_the_rectangular_variance_is_not_positive_bartlett_weights_stand_in():
    differences = [1.2, -0.8] * 20  # its autocovariance at lag 1 outweighs its variance
    statistic, p_value = diebold_mariano(np.array(differences), 2)
    assert statistic == pytest.approx(plain_statistic(differences, 2, bartlett=True), rel=1e-10)
    assert 0 < p_value < 1


def test_the_sign_tells_which_score_was_larger():
    differences = np.random.default_rng(2).normal(0.5, 1, 100)
    positive, p_value = diebold_mariano(differences, 3)
    negative, same = diebold_mariano(-differences, 3)
    assert positive > 2
    assert negative == -positive
    assert same == p_value < 0.05


def test_no_difference_is_no_evidence_and_too_few_are_no_answer():
    assert diebold_mariano(np.zeros(50), 5) == (0.0, 1.0)
    assert np.isnan(diebold_mariano(np.arange(5.0), 5)).all()


def test_under_no_difference_it_rejects_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    overlapping = (np.convolve(rng.normal(size=304), np.ones(5), "valid") for _ in range(1000))
    rejected = np.mean([diebold_mariano(d, 5)[1] < 0.05 for d in overlapping])
    assert 0.03 < rejected < 0.09
