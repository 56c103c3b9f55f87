import json
import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import random_walk

from forecasting.config import BacktestConfig, Recipe, config_to_json
from forecasting.errors import DataError
from forecasting.evaluation.baselines import RandomWalk, make_baselines
from forecasting.evaluation.report import BacktestReport, find_report, load_report, save_backtest
from forecasting.evaluation.walkforward import score_backtest, walk_forward

CONFIG = BacktestConfig(test_sessions=12, refit_every=8)
RECIPE = Recipe(horizon=3)


def make_backtest(symbols=("AAA", "BBB")):
    series = {s: random_walk(s, bars=180, seed=i) for i, s in enumerate(symbols)}
    network = RandomWalk("constant", 3, window=110)
    network.name = "network"
    backtest = walk_forward([network, *make_baselines(3)], series, CONFIG)
    return backtest, score_backtest(backtest)


@pytest.fixture(scope="module")
def backtest():
    return make_backtest()


def report_of(*rows: tuple[int, float, float, float, float], universe=("AAA",)) -> BacktestReport:
    """Return a report from rows of (horizon, CRPS of the network, of the walk, of the EWMA walk, p)."""
    scores = pd.DataFrame(
        [
            {
                "horizon": h,
                "rows": 100,
                "crps_network": own,
                "crps_random_walk": walk,
                "crps_random_walk_ewma": ewma,
                "skill_random_walk": 1 - own / walk,
                "skill_random_walk_ewma": 1 - own / ewma,
                "p_random_walk": p,
                "p_random_walk_ewma": p,
            }
            for h, own, walk, ewma, p in rows
        ]
    )
    return BacktestReport("id", tuple(universe), {}, "2016-01-04", "2018-12-31", {}, scores)


@pytest.mark.parametrize(
    ("own", "p", "word"),
    [
        (0.96, 0.049, "beats"),
        (0.96, 0.05, "ties with"),
        (1.04, 0.001, "loses to"),
        (1.04, 0.5, "ties with"),
        (0.96, float("nan"), "ties with"),
    ],
)
def test_a_verdict_is_in_words_and_needs_both_a_better_score_and_no_luck(own, p, word):
    assert [v.word for v in report_of((5, own, 2.0, 1.0, p)).verdicts()] == [word]


def test_a_verdict_says_by_how_much_and_at_which_p():
    sentence = report_of((1, 0.96, 2.0, 1.0, 0.012)).verdicts()[0].sentence
    assert sentence == (
        "1 session ahead the network beats a random walk with EWMA volatility: CRPS 4.0% lower, p = 0.012"
    )


def test_a_stronger_baseline_than_the_judge_is_named_beside_it():
    sentence = report_of((20, 0.96, 0.90, 1.0, 0.3)).verdicts()[0].sentence
    assert sentence.startswith("20 sessions ahead the network ties with a random walk with EWMA volatility")
    assert sentence.endswith(
        "the strongest baseline is a random walk with rolling historical quantiles, CRPS 6.7% higher"
    )


def test_the_summary_groups_horizons_by_verdict():
    report = report_of((1, 0.9, 2.0, 1.0, 0.001), (5, 0.9, 2.0, 1.0, 0.01), (20, 1.0, 2.0, 1.0, 0.9), universe="AB")
    assert report.summary() == (
        "Against a random walk with EWMA volatility, from 2016-01-04 to 2018-12-31 and pooled over 2 symbols, the "
        "network beats it at 1, 5; ties with it at 20 sessions ahead (p < 0.05)."
    )


def test_a_saved_backtest_loads_back_as_it_was(backtest, tmp_path):
    found, scores = backtest
    report = save_backtest(found, scores, RECIPE, CONFIG, tmp_path)
    again = load_report(tmp_path / report.backtest_id)
    assert again.universe == ("AAA", "BBB")
    assert (again.test_first, again.test_last) == ("2018-12-13", "2018-12-31")
    pd.testing.assert_frame_equal(again.scores, scores, check_exact=True)
    assert again.verdicts() == report.verdicts()


def test_a_damaged_backtest_is_named_and_passed_over(backtest, tmp_path):
    found, scores = backtest
    report = save_backtest(found, scores, RECIPE, CONFIG, tmp_path)
    path = tmp_path / report.backtest_id / "backtest.json"
    for text in ("{", "{}", "[]", "null"):
        path.write_text(text)
        with pytest.raises(DataError, match=report.backtest_id):
            load_report(path.parent)
        assert find_report(tmp_path, report.universe, report.recipe) is None


def test_a_folder_is_named_by_its_content(backtest, tmp_path):
    found, scores = backtest
    first = save_backtest(found, scores, RECIPE, CONFIG, tmp_path)
    assert save_backtest(found, scores, RECIPE, CONFIG, tmp_path).backtest_id == first.backtest_id
    assert len(list(tmp_path.iterdir())) == 1
    changed = save_backtest(found, scores.assign(rows=scores["rows"] + 1), RECIPE, CONFIG, tmp_path)
    assert changed.backtest_id != first.backtest_id


def test_the_saved_forecasts_hold_every_row_with_its_outcome(backtest, tmp_path):
    found, scores = backtest
    report = save_backtest(found, scores, RECIPE, CONFIG, tmp_path)
    table = pq.read_table(tmp_path / report.backtest_id / "forecasts.parquet").to_pandas()
    assert len(table) == 4 * 2 * 12 * 3  # forecasters, symbols, origins, horizons
    one = table[(table["forecaster"] == "random_walk_ewma") & (table["symbol"] == "BBB")]
    rolling = found.forecasts["random_walk_ewma"]["BBB"]
    values = np.stack(one["values"].to_list()).reshape(rolling.values.shape)
    assert np.array_equal(values, rolling.values.astype("float32"))
    assert np.array_equal(one["outcome"].to_numpy().reshape(12, 3), found.outcomes["BBB"], equal_nan=True)
    assert pd.DatetimeIndex(one["origin"][::3]).equals(rolling.origins)


def test_the_newest_backtest_of_a_universe_and_recipe_is_found(tmp_path):
    found, scores = make_backtest(("AAA",))
    older = save_backtest(found, scores, RECIPE, CONFIG, tmp_path)
    newer = save_backtest(found, scores.assign(rows=1), RECIPE, CONFIG, tmp_path)
    for age, report in ((60, older), (0, newer)):
        path = tmp_path / report.backtest_id / "backtest.json"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    recipe = json.loads(json.dumps(config_to_json(RECIPE)))  # as a model's manifest has it
    report = find_report(tmp_path, ["AAA"], recipe)
    assert report is not None
    assert report.backtest_id == newer.backtest_id
    assert find_report(tmp_path, ["AAA", "BBB"], recipe) is None
    assert find_report(tmp_path, ["AAA"], recipe | {"horizon": 4}) is None
    assert find_report(tmp_path / "none", ["AAA"], recipe) is None


def test_an_unfinished_backtest_is_no_report(backtest, tmp_path):
    found, scores = backtest
    report = save_backtest(found, scores, RECIPE, CONFIG, tmp_path)
    (tmp_path / report.backtest_id / "backtest.json").unlink()
    assert find_report(tmp_path, report.universe, report.recipe) is None
    with pytest.raises(DataError, match="is not whole"):
        load_report(tmp_path / report.backtest_id)
