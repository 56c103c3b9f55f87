from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import flat_bars, no_quarantine, sessions_until, utc

from forecasting import bars, instruments, steps
from forecasting.config import BacktestConfig, CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.errors import BundleError, DataError, FetchError, ModelError
from forecasting.evaluation.baselines import RandomWalk
from forecasting.evaluation.finished import find_report
from forecasting.events import no_events
from forecasting.exports.publishing import export_issued
from forecasting.ingestion.collector import source_of_new
from forecasting.ingestion.files import FileProvider
from forecasting.ingestion.provider import Failed, FetchRequest
from forecasting.ingestion.quality import check_quality
from forecasting.ingestion.synthetic import SyntheticProvider
from forecasting.jobs import backtest_model, fetch_prices, issue_forecasts, run_job, train_model
from forecasting.ledger import Ledger
from forecasting.model.manifest import read_manifest
from forecasting.registry import Registry
from forecasting.status import read_status
from forecasting.store import PriceStore
from forecasting.universe import make_universe
from forecasting.workspace import Workspace

NOW = utc("2019-01-01 12:00")


def clock():
    return NOW


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
    model_id = train_model(with_newcomer, universe, SMALL, clock=clock).model_id
    report = backtest_model(with_newcomer, universe, SMALL, SHORT_TEST, clock=clock)
    assert report.universe == ("SYN1",)
    assert "SYN2 has 0 bars before the test starts on 2018-03-16, 120 are needed" in report.summary()
    assert sorted(issue_forecasts(with_newcomer, clock=clock).forecasts) == ["SYN1", "SYN2"]
    manifest = read_manifest(with_newcomer.models, model_id)
    found = find_report(with_newcomer.backtests, manifest["universe"], manifest["recipe"])
    assert found.backtest_id == report.backtest_id
    assert found.excluded == report.excluded


def test_another_recipe_has_no_verdict_of_this_one(with_newcomer):
    universe = make_universe(["SYN1"])
    backtest_model(with_newcomer, universe, SMALL, SHORT_TEST, clock=clock)
    other = train_model(with_newcomer, universe, Recipe(horizon=5, training=SMALL.training), clock=clock).model_id
    manifest = read_manifest(with_newcomer.models, other)
    assert find_report(with_newcomer.backtests, manifest["universe"], manifest["recipe"]) is None


def test_a_symbol_without_bars_since_training_is_left_out_by_name(with_newcomer):
    add_bars(with_newcomer, "SYN3", "2014-01-02", "2016-12-30")
    train_model(with_newcomer, make_universe(["SYN1", "SYN3"]), SMALL, clock=clock)
    report = issue_forecasts(with_newcomer, clock=clock)
    assert list(report.forecasts) == ["SYN1"]
    assert "SYN3 has no bar after" in report.failures["SYN3"]
    with pytest.raises(DataError, match=r"SYN3 has no bar after .*next:"):
        issue_forecasts(with_newcomer, ["SYN3"], clock=clock)


def test_a_symbol_is_forecast_by_the_newest_model_that_was_trained_on_it(with_newcomer):
    add_bars(with_newcomer, "SYN3", "2014-01-02")
    first = train_model(with_newcomer, make_universe(["SYN1", "SYN2"]), SMALL, clock=clock).model_id
    second = train_model(with_newcomer, make_universe(["SYN3"]), SMALL, clock=clock).model_id
    assert issue_forecasts(with_newcomer, ["SYN1"], clock=clock).model_id == first
    assert issue_forecasts(with_newcomer, clock=clock).model_id == second
    with pytest.raises(
        ModelError, match=rf"no model serves SYN1, SYN3 together \({first} serves .*; {second} serves SYN3"
    ):
        issue_forecasts(with_newcomer, ["SYN1", "SYN3"], clock=clock)
    chosen = issue_forecasts(with_newcomer, ["SYN1", "SYN3"], first, clock)
    assert sorted(chosen.forecasts) == ["SYN1", "SYN3"]


def test_training_again_repairs_a_damaged_model(with_newcomer):
    universe = make_universe(["SYN1"])
    model_id = train_model(with_newcomer, universe, SMALL, clock=clock).model_id
    for name in ("weights.safetensors", "bundle.json"):
        path = with_newcomer.models / model_id / name
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(BundleError, match=r"is damaged.*next: tickercast train"):
            issue_forecasts(with_newcomer, clock=clock)
        assert train_model(with_newcomer, universe, SMALL, clock=clock).model_id == model_id
        assert issue_forecasts(with_newcomer, clock=clock).model_id == model_id


def test_a_forecast_is_live_only_if_it_is_issued_before_the_session_opens_not_if_its_job_began_before(
    workspace, monkeypatch
):
    add_bars(workspace, "SYN1", "2014-01-02")
    monkeypatch.setattr(instruments, "EMBEDDED_SOURCES", ())  # as if the source were live
    train_model(workspace, make_universe(["SYN1"]), SMALL, clock=clock)
    # the New York session of 2019-01-02 opens at 14:30 UTC, while the job runs
    instants = iter([utc("2019-01-02 14:29"), utc("2019-01-02 14:31")])
    issue_forecasts(workspace, clock=lambda: next(instants))
    rows = Ledger(workspace.ledger).read()
    assert rows["mode"].tolist() == ["replay", "live", "live", "live", "live"]
    assert set(rows["as_of"]) == {utc("2019-01-02 14:31")}


def test_the_random_walk_from_the_same_bars_stands_beside_each_forecast(with_newcomer):
    train_model(with_newcomer, make_universe(["SYN1"]), SMALL, clock=clock)
    report = issue_forecasts(with_newcomer, ["SYN1"], clock=clock)
    series = PriceStore(with_newcomer.prices).read(["SYN1"])["SYN1"]
    walk = RandomWalk("ewma", 5).roll({"SYN1": series}, series.sessions[-1])["SYN1"].latest()
    assert walk.origin == report.forecasts["SYN1"].origin
    rows = Ledger(with_newcomer.ledger).read()
    assert np.stack(rows["random_walk"]) == pytest.approx(walk.values, rel=1e-12)
    assert report.head == Ledger(with_newcomer.ledger).head()
    assert report.head.rows == Ledger(with_newcomer.ledger).verify() == 5


def test_a_random_walk_reads_nothing_from_before_a_void_session(workspace):
    add_bars(workspace, "SYN1", "2014-01-02")
    store, days = PriceStore(workspace.prices), sessions_until("2018-12-31", 101)
    bad = flat_bars("SYN1", days[:1], [-1.0]).assign(rule="not_positive")
    withdrawn = flat_bars("SYN1", days[:1], [np.nan])
    store.append([store.instruments()["SYN1"]], withdrawn, no_events(), bad, NOW + pd.Timedelta(days=1))
    recipe = replace(SMALL, network=replace(SMALL.network, cell="none"), training=replace(SMALL.training, window=40))
    recipe = replace(recipe, training=replace(recipe.training, burn_in=20), calibration=CalibrationConfig(sessions=10))
    train_model(workspace, make_universe(["SYN1"]), recipe, clock=clock)
    issue_forecasts(workspace, clock=clock)
    assert len(store.read()["SYN1"].parts()[-1]) == 100  # fewer than a random walk needs
    assert Ledger(workspace.ledger).read()["random_walk"].isna().all()


def test_where_live_is_asked_for_what_is_late_is_refused_by_name(workspace, monkeypatch):
    add_bars(workspace, "SYN1", "2014-01-02")
    train_model(workspace, make_universe(["SYN1"]), SMALL, clock=clock)
    with pytest.raises(DataError, match=r"SYN1 cannot be forecast live: the history of synthetic is fixed .*; next:"):
        issue_forecasts(workspace, clock=clock, live_only=True)
    monkeypatch.setattr(instruments, "EMBEDDED_SOURCES", ())  # as if the source were live
    opened = "SYN1 cannot be forecast live: the session of 2019-01-02 opened at 2019-01-02 14:30 UTC; next:"
    with pytest.raises(DataError, match=opened):
        issue_forecasts(workspace, clock=lambda: utc("2019-01-02 14:30"), live_only=True)
    assert Ledger(workspace.ledger).head().rows == 0
    report = issue_forecasts(workspace, clock=lambda: utc("2019-01-02 14:29"), live_only=True)
    assert (report.rows, report.failures) == (5, {})
    assert set(Ledger(workspace.ledger).read()["mode"]) == {"live"}


def test_a_forecast_from_old_prices_is_flagged_in_the_ledger(with_newcomer, monkeypatch):
    train_model(with_newcomer, make_universe(["SYN1", "SYN2"]), SMALL, clock=clock)
    monkeypatch.setattr(instruments, "EMBEDDED_SOURCES", ())
    report = issue_forecasts(with_newcomer, ["SYN1"], clock=lambda: utc("2019-01-04 12:00"))
    assert list(report.stale) == ["SYN1"]
    rows = Ledger(with_newcomer.ledger).read()
    assert all("stale" in flags for flags in rows["flags"])
    assert rows["mode"].tolist() == ["replay", "replay", "live", "live", "live"]


def test_a_stored_symbol_that_cannot_be_refreshed_takes_part_with_what_is_stored(workspace, monkeypatch):
    universe = make_universe(["SYN1", "SYN2"])
    first = run_job(workspace, "synthetic", universe, SMALL, SHORT_TEST, clock=clock)
    real = SyntheticProvider.fetch

    def flaky(self, request):
        return Failed("SYN2", "timeout", "no answer; next: later") if request.symbol == "SYN2" else real(self, request)

    monkeypatch.setattr(SyntheticProvider, "fetch", flaky)
    again = run_job(workspace, "synthetic", universe, SMALL, SHORT_TEST, clock=lambda: utc("2019-01-05 12:00"))
    assert {s: (f.kind, f.cause) for s, f in again.fetched.failures.items()} == {
        "SYN2": ("timeout", "no answer; next: later")
    }
    assert again.model_id == first.model_id
    assert sorted(again.issued.forecasts) == ["SYN1", "SYN2"]
    assert again.issued.rows == 0


def test_a_job_that_fails_in_its_test_promotes_nothing(workspace, monkeypatch):
    def broken(*_args):
        raise DataError("planned")

    monkeypatch.setattr(steps, "score_backtest", broken)
    with pytest.raises(DataError, match="planned"):
        run_job(workspace, "synthetic", make_universe(["SYN1"]), SMALL, SHORT_TEST, clock=clock)
    assert Registry(workspace.models).promotions() == []


def test_a_forecast_does_not_depend_on_which_symbols_are_asked_for(with_newcomer):
    train_model(with_newcomer, make_universe(["SYN1", "SYN2"]), SMALL, clock=clock)
    alone = issue_forecasts(with_newcomer, ["SYN2"], clock=clock)
    assert list(alone.forecasts) == ["SYN2"]
    together = issue_forecasts(with_newcomer, clock=clock)
    assert together.rows == 5  # those of SYN1; SYN2's are in the ledger already
    assert (together.forecasts["SYN2"].values == alone.forecasts["SYN2"].values).all()
    rows = Ledger(with_newcomer.ledger).latest(model_id=alone.model_id)
    assert sorted(set(rows["symbol"])) == ["SYN1", "SYN2"]
    assert len(pd.read_csv(export_issued(with_newcomer)[3])) == 10


def test_a_new_symbol_is_fetched_and_forecast_by_the_newest_champion_though_it_was_not_trained_on_it(with_newcomer):
    model_id = train_model(with_newcomer, make_universe(["SYN1"]), SMALL, clock=clock).model_id
    heard = []
    report = issue_forecasts(
        with_newcomer, ["SYN7"], clock=clock, fetch=True, progress=lambda *told: heard.append(told)
    )
    assert (list(report.forecasts), report.model_id, report.outsiders) == (["SYN7"], model_id, ("SYN7",))
    assert heard == [("fetch", 0, 1), ("fetch", 1, 1)]
    assert PriceStore(with_newcomer.prices).instruments()["SYN7"].source == "synthetic"  # as all that is stored
    assert set(Ledger(with_newcomer.ledger).read()["symbol"]) == {"SYN7"}
    assert [p.name.split("-")[1] for p in sorted(with_newcomer.jobs.iterdir())] == ["forecast", "train"]
    inside = issue_forecasts(with_newcomer, ["SYN1"], clock=clock, fetch=True)
    assert inside.outsiders == ()


def test_a_stored_symbol_that_cannot_be_refreshed_is_forecast_from_what_is_stored_and_named(with_newcomer, monkeypatch):
    train_model(with_newcomer, make_universe(["SYN1"]), SMALL, clock=clock)
    add_bars(with_newcomer, "SYN4", "2014-01-02", "2018-12-20")
    late = Failed("SYN4", "timeout", "no answer; next: later")
    monkeypatch.setattr(SyntheticProvider, "fetch", lambda _self, _request: late)
    report = issue_forecasts(with_newcomer, ["SYN4", "SYN5"], clock=clock, fetch=True)
    assert list(report.forecasts) == ["SYN4"]
    assert report.failures == {s: f"{s} could not be fetched: no answer; next: later" for s in ("SYN4", "SYN5")}


def test_a_symbol_that_cannot_be_fetched_is_refused_with_the_cause_and_changes_nothing(with_newcomer):
    train_model(with_newcomer, make_universe(["SYN1"]), SMALL, clock=clock)
    before = PriceStore(with_newcomer.prices).known_until
    with pytest.raises(FetchError, match="NOPE could not be fetched") as caught:
        issue_forecasts(with_newcomer, ["NOPE"], clock=clock, fetch=True)
    assert caught.value.kinds == {"NOPE": "unknown_symbol"}
    assert "SYN1 to SYN9999" in caught.value.causes["NOPE"]
    assert PriceStore(with_newcomer.prices).known_until == before
    assert Ledger(with_newcomer.ledger).head().rows == 0


def test_nothing_is_fetched_for_a_forecast_that_no_model_could_make(with_newcomer, monkeypatch):
    monkeypatch.setattr(SyntheticProvider, "fetch", lambda *_: pytest.fail("it was asked"))
    with pytest.raises(ModelError, match="no model has been trained here yet; next:"):
        issue_forecasts(with_newcomer, ["SYN7"], clock=clock, fetch=True)


def test_what_came_from_files_is_forecast_as_it_is_stored_and_a_new_symbol_is_asked_of_yahoo(with_newcomer, tmp_path):
    own = SyntheticProvider().fetch(FetchRequest("SYN1", pd.Timestamp("2014-01-02"), pd.Timestamp("2018-12-31"))).bars
    own.rename(columns={"session": "date"}).drop(columns="symbol").to_csv(tmp_path / "MINE.csv", index=False)
    fetch_prices(with_newcomer, FileProvider(tmp_path / "MINE.csv", "split"), clock=clock)
    train_model(with_newcomer, make_universe(["SYN1"]), SMALL, clock=clock)
    report = issue_forecasts(with_newcomer, ["MINE"], clock=clock, fetch=True)
    assert (list(report.forecasts), report.failures) == (["MINE"], {})
    assert source_of_new(PriceStore(with_newcomer.prices).instruments().values()) == "yahoo"


def test_each_job_publishes_once_and_leaves_a_record(workspace):
    report = fetch_prices(workspace, "synthetic", ["SYN1"], clock=clock)
    assert report.added > 3000
    assert workspace.revision == 1
    train_model(workspace, make_universe(["SYN1"]), SMALL, clock=clock)
    assert Workspace(workspace.root).revision == 2
    assert sorted(p.name.split("-")[1] for p in workspace.jobs.iterdir()) == ["fetch", "train"]


def test_a_fetch_in_which_all_fail_leaves_no_trace(workspace):
    with pytest.raises(FetchError) as caught:
        fetch_prices(workspace, "synthetic", ["NOPE", "NADA"], clock=clock)
    assert set(caught.value.causes) == {"NOPE", "NADA"}
    assert not workspace.root.exists()


def test_a_fetch_that_fails_is_noted_beside_what_is_stored(with_newcomer, monkeypatch):
    limited = Failed("SYN1", "rate_limited", "too often; next: later", NOW + pd.Timedelta(hours=1))
    monkeypatch.setattr(SyntheticProvider, "fetch", lambda _self, _request: limited)
    with pytest.raises(FetchError, match="none of 1 symbols could be fetched; the prices are as they were"):
        fetch_prices(with_newcomer, "synthetic", ["SYN1"], clock=clock, full=True)
    first, second = read_status(with_newcomer)["symbols"]
    assert (first["symbol"], first["outcome"], first["cause"]) == ("SYN1", "rate_limited", "too often; next: later")
    assert first["fetched"] == "2019-01-01 12:00"
    assert (second["symbol"], second["outcome"], second["fetched"]) == ("SYN2", None, None)


def test_a_symbol_that_was_asked_for_and_never_stored_is_in_status_with_what_came_of_it(with_newcomer, tmp_path):
    fetch_prices(with_newcomer, "synthetic", ["SYN1", "NOPE"], clock=clock, full=True)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "notes.csv").write_text("<html>404</html>")
    (folder / "AAA.csv").write_text("Date,Close\n2018-12-28,1\n2018-12-31,2\n")
    fetch_prices(with_newcomer, FileProvider(folder, "split"), clock=clock)
    rows = {row["symbol"]: row for row in read_status(with_newcomer)["symbols"]}
    assert list(rows) == ["AAA", "NOPE", "SYN1", "SYN2"]
    nope = rows["NOPE"]
    assert (nope["bars"], nope["gaps"], nope["quarantined"]) == (0, 0, 0)
    assert nope["first"] is nope["last"] is nope["source"] is nope["last_forecast_from"] is None
    assert (nope["fetched"], nope["outcome"]) == ("2019-01-01 12:00", "unknown_symbol")
    assert "next:" in nope["cause"]


def test_a_report_says_what_was_restated_what_is_current_and_when_to_ask_again(with_newcomer, monkeypatch):
    def restated(_self, request):
        if request.symbol == "SYN3":
            return Failed("SYN3", "rate_limited", "too often; next: later", NOW + pd.Timedelta(hours=1))
        fetched = original(_self, request)
        halved = fetched.bars.assign(**{c: fetched.bars[c] / 2 for c in bars.PRICE_COLUMNS})
        return replace(fetched, bars=halved)

    original = SyntheticProvider.fetch
    monkeypatch.setattr(SyntheticProvider, "fetch", restated)
    report = fetch_prices(with_newcomer, "synthetic", ["SYN1", "SYN3"], clock=clock, full=True)
    assert list(report.restated) == ["SYN1"]
    assert "closes times 0.5: a split of which the source told no event" in report.restated["SYN1"]
    assert report.retry_at == NOW + pd.Timedelta(hours=1)
    again = fetch_prices(with_newcomer, "synthetic", ["SYN1"], clock=clock)
    assert (again.current, again.symbols, again.added) == (("SYN1",), (), 0)


def test_status_counts_the_sessions_without_a_bar_as_quality_does(with_newcomer):
    store = PriceStore(with_newcomer.prices)
    series = store.read(["SYN1"])["SYN1"]
    held = series.bars.iloc[[10]].reset_index().assign(symbol="SYN3", rule="high_low")
    thin = series.bars.drop(series.sessions[5:12]).reset_index().assign(symbol="SYN3")
    instrument = instruments.Instrument.from_symbol("SYN3", "synthetic")
    store.append([instrument], thin, no_events(), held[[*bars.BAR_COLUMNS, "rule"]], NOW + pd.Timedelta(hours=1))
    (row,) = (row for row in read_status(with_newcomer)["symbols"] if row["symbol"] == "SYN3")
    assert (row["bars"], row["gaps"], row["quarantined"]) == (len(series) - 7, 6, 1)
    gaps = check_quality(store, ["SYN3"]).query("rule == 'gap'")
    assert gaps["bars"].tolist() == [5, 1]
    assert gaps["bars"].sum() == row["gaps"]


def test_sessions_before_the_calendar_was_recorded_are_no_gaps_in_status(workspace):
    days = pd.DatetimeIndex(["1985-01-07", "1985-01-21", "1989-12-28", "1990-01-02", "1990-01-04"])
    oil = flat_bars("WTI", days, [25.0, 26.0, 21.0, 22.0, 23.0])
    store = PriceStore(workspace.prices)
    store.append([instruments.Instrument.from_symbol("WTI", "files")], oil, no_events(), no_quarantine(), NOW)
    (row,) = read_status(workspace)["symbols"]
    assert (row["bars"], row["gaps"]) == (5, 1)  # 1990-01-03
