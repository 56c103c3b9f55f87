import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecasting.config import LEVELS
from forecasting.errors import DataError
from forecasting.evaluation.value_at_risk import judge_violations, tail_shares, value_at_risk

NORMAL = stats.norm.ppf(np.array(LEVELS))


def rows_of(outcomes: np.ndarray, horizon: int = 1, spread: float = 1.0, levels=LEVELS) -> pd.DataFrame:
    """Return rows of standard normal forecasts, `spread` times as wide, for outcomes (origins, symbols)."""
    n, symbols = outcomes.shape
    quantiles = spread * np.sqrt(horizon) * stats.norm.ppf(np.array(levels))
    return pd.DataFrame(
        {
            "symbol": pd.Categorical(np.repeat([f"S{i}" for i in range(symbols)], n)),
            "origin": np.tile(pd.bdate_range("2000-01-03", periods=n), symbols),
            "horizon": horizon,
            "pit_bin": np.searchsorted(quantiles, outcomes.T.ravel(), side="right"),
            **{f"pinball_{level}": 0.0 for level in levels},
        }
    )


def sums_ahead(origins: int, horizon: int, symbols: int, seed: int) -> np.ndarray:
    """Return overlapping sums (origins, symbols) of returns that are half the market's."""
    rng = np.random.default_rng(seed)
    moves = (rng.normal(size=(origins + horizon, 1)) + rng.normal(size=(origins + horizon, symbols))) / np.sqrt(2)
    return np.lib.stride_tricks.sliding_window_view(moves, horizon, axis=0)[1 : origins + 1].sum(axis=-1)


def test_the_statistic_of_kupiec_by_its_formula():
    # Kupiec (1995): 5 violations of 250 rows at 1%: -2 log(0.99^245 0.01^5) + 2 log(0.98^245 0.02^5) = 1.957
    violations = np.zeros(250, dtype=bool)
    violations[::50] = True
    found = judge_violations(violations, 0.01)
    by_hand = -2 * (245 * np.log(0.99) + 5 * np.log(0.01)) + 2 * (245 * np.log(0.98) + 5 * np.log(0.02))
    assert found.kupiec == pytest.approx(by_hand)
    assert found.kupiec == pytest.approx(1.957, abs=1e-3)
    assert found.p_kupiec == pytest.approx(stats.chi2.sf(by_hand, 1))


def test_no_violation_at_all_is_judged_by_kupiec_and_shows_nothing_of_clusters():
    found = judge_violations(np.zeros(250, dtype=bool), 0.01)
    assert found.kupiec == pytest.approx(-2 * 250 * np.log(0.99))
    assert np.isnan([found.independence, found.p_independence, found.conditional, found.p_conditional]).all()


def test_the_statistics_of_christoffersen_by_their_formulas():
    violations = np.array([0, 0, 1, 1, 0, 0, 0, 1, 0, 0], dtype=bool)
    # after none: 4 of none, 2 of one; after one: 2 of none, 1 of one
    chain = 4 * np.log(4 / 6) + 2 * np.log(2 / 6) + 2 * np.log(2 / 3) + np.log(1 / 3)
    one = 6 * np.log(6 / 9) + 3 * np.log(3 / 9)
    level = 6 * np.log(0.8) + 3 * np.log(0.2)
    found = judge_violations(violations, 0.2)
    assert found.independence == pytest.approx(2 * (chain - one), abs=1e-12)
    assert found.conditional == pytest.approx(2 * (chain - level))
    assert found.p_conditional == pytest.approx(stats.chi2.sf(2 * (chain - level), 2))


def test_clusters_are_found_though_the_share_of_violations_is_right():
    violations = np.zeros(1000, dtype=bool)
    violations[::100] = violations[1::100] = violations[2::100] = violations[3::100] = violations[4::100] = True
    found = judge_violations(violations, 0.05)
    assert found.p_kupiec == pytest.approx(1)
    assert max(found.p_independence, found.p_conditional) < 1e-6


def test_without_a_row_there_is_nothing_to_judge():
    assert np.isnan(judge_violations(np.zeros((0, 2), dtype=bool), np.array([0.01, 0.05]))).all()


def test_true_models_are_rejected_about_as_often_as_the_p_value_says():
    violations = np.random.default_rng(0).random((2520, 4000)) < 0.05
    found = judge_violations(violations, 0.05)
    for p_value in (found.p_kupiec, found.p_independence, found.p_conditional):
        assert (p_value < 0.05).mean() == pytest.approx(0.05, abs=0.012)


def test_several_sessions_ahead_only_every_hth_origin_is_judged():
    outcomes = np.zeros((20, 1))
    outcomes[[0, 1, 2, 7, 10, 15]] = -20.0  # of these, origins 0, 10 and 15 are among every fifth
    tests = value_at_risk(rows_of(outcomes, horizon=5), [5])
    lower = tests[tests["side"] == "lower"]
    assert lower["level"].tolist() == [0.01, 0.025, 0.05]
    assert lower["rows"].tolist() == [4, 4, 4]
    assert lower["violations"].tolist() == [3, 3, 3]
    assert lower["expected"].tolist() == pytest.approx([0.04, 0.1, 0.2])
    assert tests.loc[tests["side"] == "upper", "violations"].tolist() == [0, 0, 0]


def test_overlapping_outcomes_of_a_true_model_are_not_rejected_too_often():
    tests = value_at_risk(rows_of(sums_ahead(2000, 5, 100, seed=0), horizon=5), [5])
    for column in ("p_kupiec", "p_independence", "p_conditional"):
        assert (tests[column].dropna() < 0.05).mean() < 0.08


def test_violations_above_and_below_are_told_apart_by_symbol():
    outcomes = np.zeros((100, 2))
    outcomes[:3, 0], outcomes[:2, 1] = -2.0, 2.4  # -2.0 lies between the 1% and the 2.5% quantile, 2.4 beyond 99%
    tests = value_at_risk(rows_of(outcomes), [1]).set_index(["symbol", "side", "level"])["violations"]
    assert tests["S0", "lower"].tolist() == [0, 3, 3]
    assert tests["S1", "upper"].tolist() == [2, 2, 2]
    assert tests["S0", "upper"].tolist() == tests["S1", "lower"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("spread", "shape"), [(0.8, "U-shaped"), (1.3, "hump-shaped")])
@pytest.mark.parametrize("horizon", [1, 5])
def test_the_shape_of_the_pit_says_whether_intervals_are_too_narrow_or_too_wide(horizon, spread, shape):
    shares = tail_shares(rows_of(sums_ahead(2000, horizon, 3, seed=1), horizon, spread), [horizon])
    assert shares["level"].tolist() == [0.01, 0.025, 0.05, 0.1]
    assert shares["shape"].iloc[-1] == shape


def test_a_shifted_forecast_is_neither_u_nor_hump_shaped():
    shares = tail_shares(rows_of(sums_ahead(2000, 1, 3, seed=1) + 1), [1]).iloc[-1]
    assert shares["p_above"] < 1e-6
    assert shares["shape"] == ""


def test_the_pit_of_a_true_model_is_seldom_called_u_shaped_though_rows_overlap_and_symbols_fall_together():
    found = [
        tail_shares(rows_of(sums_ahead(500, horizon, 3, seed), horizon), [horizon]).iloc[-1]
        for horizon in (1, 20)
        for seed in range(100)
    ]
    assert np.mean([row["p_outer"] < 0.05 for row in found]) < 0.09


def test_the_shares_of_the_tails_are_counted_over_all_symbols_and_origins():
    outcomes = np.zeros((200, 2))
    outcomes[:8, 0], outcomes[:4, 1] = -3.0, 3.0
    share = tail_shares(rows_of(outcomes), [1]).iloc[0]
    assert (share["rows"], share["below"], share["above"], share["outer"]) == (400, 0.02, 0.01, 0.03)


def test_a_tail_with_too_few_violations_expected_has_a_share_and_no_p_value():
    shares = tail_shares(rows_of(sums_ahead(300, 20, 2, seed=0), 20), [20])
    assert shares["outer"].notna().all()
    assert shares[["p_below", "p_above", "p_outer"]].isna().all(axis=None)
    assert (shares["shape"] == "").all()


def test_a_tail_that_was_not_forecast_is_refused():
    rows = rows_of(np.zeros((10, 1)), levels=(0.05, 0.5, 0.95))
    with pytest.raises(DataError, match="tails at 0.01, 0.025 asked of the quantile levels 0.05, 0.5, 0.95"):
        value_at_risk(rows, [1])


def test_a_horizon_without_outcomes_is_refused():
    with pytest.raises(DataError, match="no row has an outcome at the horizons 7"):
        value_at_risk(rows_of(np.zeros((10, 1))), [7])
