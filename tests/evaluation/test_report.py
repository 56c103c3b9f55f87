import json
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import random_walk, utc

from forecasting.config import BacktestConfig, CalibrationConfig, Recipe, config_to_json
from forecasting.errors import DataError
from forecasting.evaluation.baselines import RandomWalk, make_baselines
from forecasting.evaluation.comparison import score_backtest
from forecasting.evaluation.exhibits import make_exhibits
from forecasting.evaluation.findings import Findings
from forecasting.evaluation.finished import find_report, list_backtests, read_backtests
from forecasting.evaluation.plan import make_plan
from forecasting.evaluation.repetition import first_difference
from forecasting.evaluation.report import load_report, save_backtest
from forecasting.evaluation.walkforward import walk_forward

CONFIG = BacktestConfig(test_sessions=12, refit_every=8)
RECIPE = Recipe(horizon=3, calibration=CalibrationConfig(sessions=20))
KNOWN = utc("2026-01-05 12:00")


def make_backtest(symbols=("AAA", "BBB"), seed=0):
    series = {s: random_walk(s, bars=240, seed=seed + i) for i, s in enumerate(symbols)}
    network = RandomWalk("constant", 3, window=110)
    network.name = "network"
    backtest = walk_forward([network, *make_baselines(3, recipe=RECIPE)], series, CONFIG)
    return backtest, score_backtest(backtest), make_plan(series, RECIPE, CONFIG)


@pytest.fixture(scope="module")
def made():
    return make_backtest()


@pytest.fixture
def saved(made, tmp_path):
    return save_backtest(*made, tmp_path, KNOWN)


def as_manifest(recipe):
    return json.loads(json.dumps(config_to_json(recipe)))


def test_a_saved_backtest_loads_back_as_it_was(made, saved):
    again = load_report(saved.folder)
    assert again.universe == ("AAA", "BBB")
    assert (again.test_first, again.test_last) == ("2018-12-13", "2018-12-31")
    assert again.plan == made[2]
    assert pd.Timestamp(again.data_as_of) == KNOWN
    pd.testing.assert_frame_equal(again.scores, made[1].scores, check_exact=True)
    assert again.verdicts() == saved.verdicts()
    for name, table in made[1].tables.items():
        assert len(again.table(name)) == len(table)


def test_the_files_of_a_backtest_are_all_there(saved):
    files = {str(path.relative_to(saved.folder)) for path in saved.folder.rglob("*") if path.is_file()}
    broken_down, of_one = ("horizon", "symbol", "year", "tercile"), ("pit", "rises", "directions", "value_at_risk")
    assert files >= {"backtest.json", "forecasts.parquet", "scores.csv", "report.html"}
    assert files >= {f"tables/{name}.csv" for name in (*broken_down, *of_one)}


@pytest.mark.parametrize("text", ["{", "{}", "[]", "null", '{"plan": {}}'])
def test_a_damaged_backtest_is_named_and_passed_over(saved, text):
    (saved.folder / "backtest.json").write_text(text)
    with pytest.raises(DataError, match=saved.backtest_id):
        load_report(saved.folder)
    assert find_report(saved.folder.parent, saved.universe, as_manifest(RECIPE)) is None


def test_an_unfinished_backtest_is_no_report(saved):
    (saved.folder / "backtest.json").unlink()
    assert list_backtests(saved.folder.parent) == {}
    assert find_report(saved.folder.parent, saved.universe, as_manifest(RECIPE)) is None
    with pytest.raises(DataError, match="is not whole"):
        load_report(saved.folder)


def test_a_folder_is_named_by_prices_settings_and_engine(made):
    plan = made[2]
    assert make_backtest()[2].backtest_id == plan.backtest_id
    others = [
        make_backtest(seed=7)[2],
        replace(plan, config=BacktestConfig(13, 8)),
        replace(plan, baselines="all"),
        replace(plan, engine_sha256="0"),
        replace(plan, packages={}),
    ]
    assert len({plan.backtest_id, *(other.backtest_id for other in others)}) == 6


def test_a_plan_comes_back_from_json(made):
    plan = made[2]
    assert type(plan).from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_the_saved_forecasts_hold_every_row_with_its_outcome(made, saved):
    found = made[0]
    table = pq.read_table(saved.folder / "forecasts.parquet").to_pandas()
    assert len(table) == 7 * 2 * 12 * 3  # forecasters, symbols, origins, horizons
    one = table[(table["forecaster"] == "random_walk_ewma") & (table["symbol"] == "BBB")]
    rolling = found.forecasts["random_walk_ewma"]["BBB"]
    values = np.stack(one["values"].to_list()).reshape(rolling.values.shape)
    assert np.array_equal(values, rolling.values)
    assert np.array_equal(one["outcome"].to_numpy().reshape(12, 3), found.outcomes["BBB"], equal_nan=True)
    assert pd.DatetimeIndex(one["origin"][::3]).equals(rolling.origins)


def test_the_newest_backtest_of_a_universe_and_recipe_is_found(tmp_path):
    older = save_backtest(*make_backtest(("AAA",)), tmp_path)
    newer = save_backtest(*make_backtest(("AAA",), seed=5), tmp_path)
    for age, report in ((60, older), (0, newer)):
        path = report.folder / "backtest.json"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    recipe = as_manifest(RECIPE)
    assert find_report(tmp_path, ["AAA"], recipe).backtest_id == newer.backtest_id
    assert find_report(tmp_path, ["AAA", "BBB"], recipe) is None
    assert find_report(tmp_path, ["AAA"], recipe | {"horizon": 4}) is None
    assert find_report(tmp_path / "none", ["AAA"], recipe) is None


def test_a_repetition_is_the_same_to_the_last_bit_or_its_first_difference_is_named(made, saved):
    backtest, comparison, _ = made
    again = make_backtest()
    assert first_difference(saved, again[0], again[1]) is None
    rolling = backtest.forecasts["har"]["BBB"]
    values = rolling.values.copy()
    values[4, 1, 2] = np.nextafter(values[4, 1, 2], np.float32(-1))
    spoiled = {**backtest.forecasts["har"], "BBB": replace(rolling, values=values)}
    other = replace(backtest, forecasts={**backtest.forecasts, "har": spoiled})
    origin = rolling.origins[4].date()
    assert f"the forecast of har for BBB from {origin}, 2 ahead: " in first_difference(saved, other, comparison)
    worse = replace(comparison, scores=comparison.scores.assign(rows=1))
    assert first_difference(saved, backtest, worse) == "scores.csv, of the same forecasts"
    assert "72 forecasts of network were written" in first_difference(saved, make_backtest(("AAA",))[0], comparison)


def test_a_symbol_has_its_own_verdict_and_one_that_was_not_in_it_gets_the_pooled_one_and_is_told_so(made, saved):
    rows = made[1].tables["symbol"]
    own = rows[(rows["symbol"] == "BBB") & (rows["forecaster"] == "network")].set_index("horizon")
    for verdict in saved.verdicts("BBB"):
        assert verdict.skill == pytest.approx(own.loc[verdict.horizon, f"skill_{verdict.judge}"])
        assert verdict.p_value == pytest.approx(own.loc[verdict.horizon, f"q_{verdict.judge}"], nan_ok=True)
    assert saved.summary_of("BBB").startswith("Of BBB alone, with p adjusted for 2 symbols tested, the network ")
    assert saved.summary_of("ZZZ") == "ZZZ has no backtest of its own: the verdict is pooled over 2 others."
    with pytest.raises(DataError, match="next: tickercast backtest ZZZ"):
        saved.verdicts("ZZZ")


def test_a_suspected_leak_is_never_told_as_a_success(made, tmp_path):

    assert not save_backtest(*made, tmp_path).suspected_leak
    series = {s: random_walk(s, bars=700, seed=i) for i, s in enumerate(("AAA", "BBB"))}

    class Seer(RandomWalk):
        def _roll(self, s, first):
            rolling = super()._roll(s, first)
            ahead = np.nan_to_num(s.log_returns(range(1, 4)))[-len(rolling.origins) :]
            return replace(rolling, values=rolling.values + 0.5 * ahead[..., None])

    seer = Seer("constant", 3)
    seer.name = "network"
    config = BacktestConfig(300, None)
    walked = walk_forward([seer, *make_baselines(3, recipe=RECIPE)], series, config)
    report = save_backtest(walked, score_backtest(walked), make_plan(series, RECIPE, config), tmp_path)
    assert report.suspected_leak
    assert report.summary().startswith("Suspected leak, not a success. ")
    assert any("RMSE" in alarm for alarm in load_report(report.folder).alarms)


def test_a_saved_backtest_shows_the_figures_of_its_page(made, saved):
    exhibits = saved.exhibits()
    assert [e.name for e in exhibits] == ["skill", "coverage", "pit", "rises", "breaches", "years", "terciles"]
    direct = make_exhibits(Findings(made[1].scores, made[1].tables))
    for read, computed in zip(exhibits, direct, strict=True):
        assert read.words == computed.words
        for one, other in zip(read.panels, computed.panels, strict=True):
            assert one.figure.to_json() == other.figure.to_json()
    page = saved.page.read_text()
    assert all(f'id="{e.name}"' in page for e in exhibits)
    assert set(saved.table_paths) == set(made[1].tables)


def test_backtests_are_read_newest_first_and_damaged_ones_are_named(tmp_path):
    older = save_backtest(*make_backtest(("AAA",)), tmp_path)
    newer = save_backtest(*make_backtest(("AAA",), seed=5), tmp_path)
    for age, report in ((60, older), (0, newer)):
        path = report.folder / "backtest.json"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    reports, damaged = read_backtests(tmp_path)
    assert [report.backtest_id for report in reports] == [newer.backtest_id, older.backtest_id]
    assert damaged == {}
    (newer.folder / "scores.csv").write_text("horizon\n1\n")
    reports, damaged = read_backtests(tmp_path)
    assert [report.backtest_id for report in reports] == [older.backtest_id]
    assert "without a baseline" in damaged[newer.backtest_id]
    (older.folder / "tables" / "pit.csv").write_text("")
    with pytest.raises(DataError, match="not whole"):
        reports[0].exhibits()
    assert read_backtests(tmp_path / "none") == ([], {})
