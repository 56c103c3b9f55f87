import pandas as pd
import pytest
from helpers import utc

from forecasting.bars import no_events
from forecasting.config import BacktestConfig, CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.errors import DataError, FetchError
from forecasting.evaluation.report import find_report
from forecasting.ingestion.provider import FetchRequest
from forecasting.ingestion.synthetic import SyntheticProvider
from forecasting.jobs import backtest_model, export_issued, fetch_prices, issue_forecasts, train_model
from forecasting.ledger import Ledger
from forecasting.model.manifest import read_manifest
from forecasting.store import PriceStore
from forecasting.universe import make_universe
from forecasting.workspace import Workspace

NOW = utc("2019-01-01 12:00")
SMALL = Recipe(
    horizon=5,
    network=NetworkConfig(hidden=4),
    training=TrainingConfig(window=60, burn_in=30, epochs=1),
    calibration=CalibrationConfig(sessions=60),
)
SHORT_TEST = BacktestConfig(test_sessions=200, refit_every=100)


def add_bars(workspace, symbol, first, last="2018-12-31"):
    """Store a part of a synthetic symbol's history."""
    fetched = SyntheticProvider().fetch(FetchRequest(symbol, pd.Timestamp(first), pd.Timestamp(last)))
    store = PriceStore(workspace.prices)
    store.append([fetched.instrument], fetched.bars, no_events(), fetched.bars.iloc[:0].assign(rule=""), NOW)


@pytest.fixture
def with_newcomer(workspace):
    """SYN1 since 2014, and SYN2, listed in June 2018."""
    add_bars(workspace, "SYN1", "2014-01-02")
    add_bars(workspace, "SYN2", "2018-06-01")
    return workspace


def test_a_newcomer_is_forecast_but_named_as_left_out_of_the_test(with_newcomer):
    universe = make_universe(["SYN1", "SYN2"])
    model_id = train_model(with_newcomer, universe, SMALL, NOW)
    report = backtest_model(with_newcomer, universe, SMALL, SHORT_TEST, NOW)
    assert report.universe == ("SYN1",)
    assert "SYN2 has 0 bars before the test starts on 2018-03-16, 120 are needed" in report.summary()
    assert sorted(issue_forecasts(with_newcomer, [], NOW).forecasts) == ["SYN1", "SYN2"]
    manifest = read_manifest(with_newcomer.models, model_id)
    found = find_report(with_newcomer.backtests, manifest["universe"], manifest["recipe"])
    assert found.backtest_id == report.backtest_id
    assert found.excluded == report.excluded


def test_another_recipe_has_no_verdict_of_this_one(with_newcomer):
    universe = make_universe(["SYN1"])
    backtest_model(with_newcomer, universe, SMALL, SHORT_TEST, NOW)
    other = train_model(with_newcomer, universe, Recipe(horizon=5, training=SMALL.training), NOW)
    manifest = read_manifest(with_newcomer.models, other)
    assert find_report(with_newcomer.backtests, manifest["universe"], manifest["recipe"]) is None


def test_a_symbol_without_bars_since_training_is_left_out_by_name(with_newcomer):
    train_model(with_newcomer, make_universe(["SYN1"]), SMALL, NOW)
    add_bars(with_newcomer, "SYN3", "2014-01-02", "2016-12-30")
    report = issue_forecasts(with_newcomer, ["SYN1", "SYN3"], NOW)
    assert list(report.forecasts) == ["SYN1"]
    assert "SYN3 has no bar after" in report.failures["SYN3"]
    with pytest.raises(DataError, match=r"SYN3 has no bar after .*next:"):
        issue_forecasts(with_newcomer, ["SYN3"], NOW)


def test_a_forecast_does_not_depend_on_which_symbols_are_asked_for(with_newcomer):
    train_model(with_newcomer, make_universe(["SYN1", "SYN2"]), SMALL, NOW)
    alone = issue_forecasts(with_newcomer, ["SYN2"], NOW)
    assert list(alone.forecasts) == ["SYN2"]
    together = issue_forecasts(with_newcomer, [], NOW)
    assert together.rows == 5  # those of SYN1; SYN2's are in the ledger already
    assert (together.forecasts["SYN2"].values == alone.forecasts["SYN2"].values).all()
    rows = Ledger(with_newcomer.ledger).latest(model_id=alone.model_id)
    assert sorted(set(rows["symbol"])) == ["SYN1", "SYN2"]
    assert len(pd.read_csv(export_issued(with_newcomer)[3])) == 10


def test_each_job_publishes_once_and_leaves_a_record(workspace):
    report = fetch_prices(workspace, "synthetic", ["SYN1"], NOW)
    assert report.added > 3000
    assert workspace.revision == 1
    train_model(workspace, make_universe(["SYN1"]), SMALL, NOW)
    assert Workspace(workspace.root).revision == 2
    assert sorted(p.name.split("-")[1] for p in workspace.jobs.iterdir()) == ["fetch", "train"]


def test_a_fetch_in_which_all_fail_leaves_no_trace(workspace):
    with pytest.raises(FetchError) as caught:
        fetch_prices(workspace, "synthetic", ["NOPE", "NADA"], NOW)
    assert set(caught.value.causes) == {"NOPE", "NADA"}
    assert not workspace.root.exists()
