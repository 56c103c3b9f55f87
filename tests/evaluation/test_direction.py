import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecasting.evaluation.direction import judge_directions, pesaran_timmermann, pooled_directions


def rows_of(medians: np.ndarray, outcomes: np.ndarray, horizon: int = 1) -> pd.DataFrame:
    """Return rows from medians and outcomes (origins, symbols)."""
    n, symbols = outcomes.shape
    return pd.DataFrame(
        {
            "symbol": pd.Categorical(np.repeat([f"S{i}" for i in range(symbols)], n)),
            "origin": np.tile(pd.bdate_range("2000-01-03", periods=n), symbols),
            "horizon": horizon,
            "median": medians.T.ravel(),
            "outcome": outcomes.T.ravel(),
        }
    )


def overlapping(seed: int, horizon: int, origins: int = 400, symbols: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return persistent calls that know nothing, and outcomes that overlap and share the market's move."""
    rng = np.random.default_rng(seed)
    calls, moves = rng.normal(size=(2, origins + horizon, symbols)) + rng.normal(size=(2, origins + horizon, 1))
    windows = np.lib.stride_tricks.sliding_window_view
    return (
        windows(calls, horizon, axis=0)[:origins].sum(axis=-1),
        windows(moves, horizon, axis=0)[1 : origins + 1].sum(axis=-1),
    )


def test_the_statistic_by_its_formula():
    # of 10 rows: 6 called up, 5 went up, 4 of them both; 3 both down
    called = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
    went = np.array([1, 1, 1, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
    found = pesaran_timmermann(called, went)
    chance = 0.6 * 0.5 + 0.4 * 0.5
    variance = chance * (1 - chance) / 10
    of_chance = 0 + 0.2**2 * 0.25 / 10 + 4 * 0.6 * 0.5 * 0.4 * 0.5 / 100
    assert (found.rows, found.accuracy, found.by_chance) == (10, 0.7, pytest.approx(chance))
    assert found.statistic == pytest.approx((0.7 - chance) / np.sqrt(variance - of_chance))
    assert found.p_value == pytest.approx(stats.norm.sf(found.statistic))
    assert found.reason == ""


@pytest.mark.parametrize(
    ("called", "went", "reason"),
    [
        ([True] * 4, [True, False] * 2, "all 4 calls are up"),
        ([False] * 4, [True, False] * 2, "all 4 calls are down"),
        ([True, False] * 2, [True] * 4, "all 4 outcomes are up"),
        ([], [], "there is no row with a direction"),
    ],
)
def test_what_cannot_be_tested_has_a_reason_instead_of_a_number(called, went, reason):
    found = pesaran_timmermann(np.array(called, dtype=bool), np.array(went, dtype=bool))
    assert found.reason == reason
    assert np.isnan([found.statistic, found.p_value]).all()


def test_calls_that_know_nothing_are_rejected_as_often_as_the_p_value_says():
    rng = np.random.default_rng(0)
    found = [pesaran_timmermann(rng.random(250) < 0.7, rng.random(250) < 0.55).p_value for _ in range(2000)]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.015)


def test_always_calling_a_rising_market_up_is_no_skill():
    outcomes = np.where(np.arange(100) % 10 < 7, 0.01, -0.01)[:, None]
    found = judge_directions(rows_of(np.full((100, 1), 0.001), outcomes), [1]).iloc[0]
    assert found["accuracy"] == 0.7
    assert found["by_chance"] == pytest.approx(0.7)
    assert found["reason"] == "all 100 calls are up"
    pooled = pooled_directions(rows_of(np.full((100, 1), 0.001), outcomes), [1]).iloc[0]
    assert (pooled["accuracy"], pooled["best_constant"]) == (0.7, 0.7)
    assert np.isnan(pooled["p_value"])


def test_several_sessions_ahead_only_every_hth_origin_is_tested_by_symbol():
    medians, outcomes = overlapping(0, 5)
    table = judge_directions(rows_of(medians, outcomes, horizon=5), [5])
    assert table["symbol"].tolist() == ["S0", "S1", "S2"]
    for i, found in enumerate(table.itertuples()):
        alone = pesaran_timmermann(medians[::5, i] > 0, outcomes[::5, i] > 0)
        assert (found.rows, found.statistic, found.p_value) == (80, alone.statistic, alone.p_value)


def test_rows_without_a_move_or_without_a_call_are_left_out():
    medians, outcomes = np.array([[0.1, 0.0, 0.1, -0.1, 0.1]]).T, np.array([[0.1, 0.1, 0.0, -0.1, -0.2]]).T
    rows = rows_of(medians, outcomes)
    assert judge_directions(rows, [1])["rows"].tolist() == [3]
    assert pooled_directions(rows, [1])["rows"].tolist() == [3]


def test_one_symbol_one_session_ahead_has_nearly_the_same_answer_pooled_and_alone():
    rng = np.random.default_rng(3)
    outcomes = rng.normal(size=(4000, 1))
    medians = 0.03 * outcomes + rng.normal(size=(4000, 1))
    rows = rows_of(medians, outcomes)
    alone, pooled = judge_directions(rows, [1]).iloc[0], pooled_directions(rows, [1]).iloc[0]
    assert pooled["accuracy"] == alone["accuracy"]
    assert pooled["statistic"] == pytest.approx(alone["statistic"], rel=0.15)
    assert pooled["p_value"] == pytest.approx(alone["p_value"], abs=0.03)


@pytest.mark.parametrize("horizon", [1, 10])
def test_pooled_calls_that_know_nothing_are_rejected_about_as_often_as_the_p_value_says(horizon):
    found = [pooled_directions(rows_of(*overlapping(seed, horizon), horizon), [horizon]) for seed in range(150)]
    assert np.mean([table["p_value"].iloc[0] < 0.05 for table in found]) < 0.1


def test_calls_that_know_the_future_are_found_and_calls_turned_around_are_not():
    medians, outcomes = overlapping(1, 5)
    knowing = rows_of(medians + outcomes, outcomes, horizon=5)
    assert pooled_directions(knowing, [5])["p_value"].iloc[0] < 1e-4
    turned = knowing.assign(median=-knowing["median"])
    assert pooled_directions(turned, [5])["p_value"].iloc[0] > 1 - 1e-4


def test_a_horizon_without_rows_has_no_answer():
    assert judge_directions(rows_of(np.ones((5, 1)), np.ones((5, 1))), [2]).empty
    assert np.isnan(pooled_directions(rows_of(np.ones((5, 1)), np.ones((5, 1))), [2])["p_value"].iloc[0])
