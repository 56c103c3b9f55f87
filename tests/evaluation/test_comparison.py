import numpy as np
import pandas as pd
import pytest
from helpers import random_walk
from scipy import stats

from forecasting.config import BacktestConfig
from forecasting.evaluation.baselines import RandomWalk
from forecasting.evaluation.breakdown import score_rows
from forecasting.evaluation.comparison import score_backtest
from forecasting.evaluation.significance import diebold_mariano, long_run_mean, skill_interval
from forecasting.evaluation.verdicts import reference_of
from forecasting.evaluation.walkforward import walk_forward


@pytest.fixture(scope="module")
def backtest():
    series = {s: random_walk(s, bars=300, seed=i) for i, s in enumerate(("AAA", "BBB", "CCC"))}
    series["CCC"] = series["CCC"].until(pd.Timestamp("2018-12-14"))
    forecasters = [RandomWalk("constant", 6, window=150), RandomWalk("ewma", 6, window=150)]
    return walk_forward(forecasters, series, BacktestConfig(test_sessions=80, refit_every=None))


@pytest.fixture(scope="module")
def rows_of(backtest):
    return {
        name: score_rows(forecasts, backtest.outcomes, backtest.series)
        for name, forecasts in backtest.forecasts.items()
    }


@pytest.fixture(scope="module")
def tables(backtest):
    return score_backtest(backtest).tables


@pytest.mark.parametrize(
    ("crps", "reference"),
    [
        ({"har": 1.0, "random_walk_ewma": 2.0}, "random_walk_ewma"),
        ({"har": 1.0, "random_walk_ewma": 2.0, "random_walk_ewma_calibrated": 1.5}, "random_walk_ewma_calibrated"),
        ({"har": 2.0, "random_walk": 1.0}, "har"),
    ],
)
def test_the_reference_is_the_judge_in_its_better_form_or_the_first_baseline(crps, reference):
    assert reference_of(crps) == reference


def test_breaches_are_counted_by_date_at_the_shortest_horizon(backtest, tables):
    counts = {}
    for symbol, rolling in backtest.forecasts["random_walk"].items():
        low, high = (rolling.values[:, 0, rolling.levels.index(level)] for level in (0.05, 0.95))
        for day, outcome, a, b in zip(rolling.origins, backtest.outcomes[symbol][:, 0], low, high, strict=True):
            if not np.isnan(outcome):
                counts[day] = np.add(counts.get(day, 0), [1, outcome < a, outcome >= b])
    breaches = tables["breaches"]
    assert set(breaches["horizon"]) == {1}
    assert set(breaches["level"]) == {0.05}
    assert breaches["origin"].tolist() == sorted(counts)
    np.testing.assert_array_equal(breaches[["rows", "below", "above"]], [counts[day] for day in sorted(counts)])
    assert set(breaches["rows"]) == {2, 3}


def test_the_share_covered_has_an_interval_that_allows_for_overlap(rows_of, tables):
    rows = rows_of["random_walk"]
    found = tables["coverage"].set_index(["interval", "horizon"])
    assert sorted({interval for interval, _ in found.index}) == [0.5, 0.8, 0.9, 0.95]
    ahead = rows[rows["horizon"] == 5]
    _, error, freedom = long_run_mean(ahead.groupby("origin")["hit_80"].mean().to_numpy(), 5)
    reach = error * stats.t.ppf(0.95, freedom)
    one = found.loc[(0.8, 5)]
    assert one["rows"] == len(ahead)
    np.testing.assert_allclose(one["covered"], ahead["hit_80"].mean())
    np.testing.assert_allclose([one["low"], one["high"]], [one["covered"] - reach, min(one["covered"] + reach, 1)])


def test_weeks_are_the_extremes_and_no_two_of_a_kind_overlap(rows_of, tables):
    weeks = tables["weeks"]
    assert weeks["week"].tolist() == ["best", "best", "worst", "worst"]
    assert set(weeks["horizon"]) == {5}
    assert set(weeks["reference"]) == {"random_walk_ewma"}
    ahead = {name: rows[rows["horizon"] == 5].set_index(["symbol", "origin"])["crps"] for name, rows in rows_of.items()}
    lead = ahead["random_walk"] - ahead["random_walk_ewma"]
    found = weeks["crps"] - weeks["crps_reference"]
    np.testing.assert_allclose(found.iloc[[0, 2]], [lead.min(), lead.max()], rtol=1e-6)
    np.testing.assert_allclose(found, [lead[key] for key in zip(weeks["symbol"], weeks["origin"], strict=True)])
    for _, of_kind in weeks.groupby("week"):
        assert np.diff(np.sort(of_kind["origin"].to_numpy())).min() >= np.timedelta64(10, "D")


def test_without_another_forecaster_there_are_no_weeks(backtest):
    alone = {"random_walk": backtest.forecasts["random_walk"]}
    backtest = type(backtest)(backtest.folds, alone, backtest.outcomes, backtest.series)
    assert "weeks" not in score_backtest(backtest).tables


def test_years_and_terciles_have_an_interval_and_a_p_value_each_date_counting_once(rows_of, tables):
    own, other = (rows_of[name] for name in ("random_walk", "random_walk_ewma"))
    for group in ("year", "tercile"):
        table = tables[group].set_index([group, "horizon", "forecaster"])
        for key, rows in own[own["horizon"].isin(table.index.unique("horizon"))].groupby([group, "horizon"]):
            row = table.loc[(*key, "random_walk")]
            scores, baseline = (
                frame.loc[rows.index].groupby("origin")["crps"].mean().to_numpy() for frame in (own, other)
            )
            if len(scores) < max(20, 4 * key[1]):
                assert row[["low_random_walk_ewma", "p_random_walk_ewma"]].isna().all()
                continue
            interval = skill_interval(scores, baseline, key[1])
            np.testing.assert_allclose(row[["low_random_walk_ewma", "high_random_walk_ewma"]].astype(float), interval)
            assert row["p_random_walk_ewma"] == pytest.approx(diebold_mariano(baseline - scores, key[1])[1])
        assert table["p_random_walk_ewma"].notna().any()
