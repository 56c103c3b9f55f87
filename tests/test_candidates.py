import json
from dataclasses import replace

import pandas as pd
import pytest
from helpers import normal_forecast, utc

from forecasting import candidates
from forecasting.candidates import KEPT, prune_candidates
from forecasting.config import CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.errors import Diverged, TooFewBars
from forecasting.events import no_events
from forecasting.ingestion.provider import FetchRequest
from forecasting.ingestion.synthetic import SyntheticProvider
from forecasting.jobs import issue_forecasts, train_model
from forecasting.ledger import Ledger
from forecasting.model.bundle import save_model
from forecasting.model.forecaster import RNNForecaster
from forecasting.model.manifest import list_models, read_manifest
from forecasting.promotions import promote_model, rollback_model
from forecasting.registry import Registry
from forecasting.store import PriceStore
from forecasting.universe import Universe, make_universe

NOW = utc("2019-01-01 12:00")
ONE = make_universe(["SYN1"])
SMALL = Recipe(
    horizon=2,
    network=NetworkConfig(hidden=4),
    training=TrainingConfig(window=60, burn_in=30, epochs=2, batch_size=8),
    calibration=CalibrationConfig(sessions=62),
)
GRU = replace(SMALL, network=NetworkConfig(cell="gru", hidden=4))
LSTM = replace(SMALL, network=NetworkConfig(cell="lstm", hidden=4))


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


def clock():
    return NOW


def add_bars(workspace, first, last="2018-12-31"):
    fetched = SyntheticProvider().fetch(FetchRequest("SYN1", pd.Timestamp(first), pd.Timestamp(last)))
    store = PriceStore(workspace.prices)
    store.append([fetched.instrument], fetched.bars, no_events(), fetched.bars.iloc[:0].assign(rule=""), NOW)


def train(workspace, recipe=SMALL, **more):
    return train_model(workspace, ONE, recipe, clock=clock, **more)


def with_seed(seed):
    return replace(SMALL, training=replace(SMALL.training, seed=seed))


def entries(workspace):
    return [(e.kind, e.model_id) for e in Registry(workspace.models).entries()]


@pytest.fixture
def half(workspace):
    """SYN1 up to the middle of 2018."""
    add_bars(workspace, "2016-01-04", "2018-06-29")
    return workspace


@pytest.fixture
def served(half):
    """The same with a champion."""
    train(half)
    return half


def test_the_first_model_of_a_universe_serves_it(half):
    report = train(half)
    assert (report.trained, report.promoted, report.reason) == (True, True, "first model of this universe")
    assert report.champion == report.model_id
    assert entries(half) == [("registration", report.model_id), ("promotion", report.model_id)]
    registration, promotion = Registry(half.models).entries()
    assert registration.reason == (
        "trained on 1 symbol, sessions 2016-01-04 to 2018-04-03; prices known up to 2018-06-29"
    )
    assert registration.numbers["prices_sha256"] == read_manifest(half.models, report.model_id)["prices_sha256"]
    assert registration.at == promotion.at == NOW.isoformat()
    assert issue_forecasts(half, clock=clock).model_id == report.model_id
    assert not half.training.exists()


def test_unchanged_prices_and_recipe_mean_no_training_and_nothing_recorded(served):
    before = (served.models / "registry.json").read_bytes()
    heard = []
    report = train(served, progress=lambda *call: heard.append(call))
    assert (report.trained, report.promoted) == (False, False)
    assert report.champion == report.model_id
    assert report.reason == "decided on 2019-01-01: first model of this universe"
    assert heard == []
    assert (served.models / "registry.json").read_bytes() == before


def test_newer_prices_make_a_refresh_that_meets_the_champion(served):
    first = Registry(served.models).champion_of("SYN1").model_id
    add_bars(served, "2018-07-02")
    report = train(served)
    assert report.model_id != first
    assert report.numbers["contest"] == "refresh"
    assert report.numbers["against"] == first
    assert (report.numbers["first"], report.numbers["last"]) == ("2018-10-02", "2018-12-27")
    assert report.promoted is (report.numbers["skill"] >= -0.01)
    assert report.champion == (report.model_id if report.promoted else first)
    assert Registry(served.models).champion_of("SYN1").model_id == report.champion


def test_a_refresh_that_is_worse_is_kept_out_and_stays_a_candidate(served, monkeypatch):
    monkeypatch.setattr("forecasting.evaluation.contest.TOLERANCE", -1.0)  # no refresh is as good as that
    first = Registry(served.models).champion_of("SYN1").model_id
    add_bars(served, "2018-07-02")
    report = train(served)
    assert (report.promoted, report.champion) == (False, first)
    assert entries(served)[-1] == ("refusal", report.model_id)
    assert issue_forecasts(served, clock=clock).model_id == first
    # on unchanged prices the decision stands
    again = train(served)
    assert (again.trained, again.promoted, again.champion) == (False, False, first)
    assert again.reason == f"decided on 2019-01-01: {report.reason}"


def test_new_recipes_are_tried_once_per_block_and_can_be_promoted_by_hand(workspace):
    add_bars(workspace, "2016-01-04")
    first = train(workspace).model_id
    gru = train(workspace, GRU)
    assert gru.numbers["contest"] == "recipe"
    assert gru.numbers["block"] == ["2017-12-29", "2018-12-31"]
    assert gru.reason.startswith("new recipe (cell gru for rnn): CRPS ")
    assert (gru.promoted, gru.champion) == (False, first)
    lstm = train(workspace, LSTM)
    assert (lstm.trained, lstm.promoted, lstm.numbers) == (True, False, {"against": first})
    assert "not tested: another one was on sessions up to 2018-12-31" in lstm.reason
    assert "a fresh one exists from 2019-12-31 on" in lstm.reason
    assert Registry(workspace.models).models_of("SYN1") == [first, gru.model_id, lstm.model_id]
    assert not workspace.training.exists()

    change = promote_model(workspace, lstm.model_id, reason="a try", clock=clock)
    assert (change.universe, change.before, change.reason) == ("SYN1", first, "by hand: a try")
    assert issue_forecasts(workspace, clock=clock).model_id == lstm.model_id
    assert rollback_model(workspace, clock=clock).model_id == first
    # what a person decided is not undone by the next training on the same prices
    assert train(workspace, LSTM).champion == first


def test_a_seed_alone_is_a_refresh(served):
    other = train(served, with_seed(5))
    assert other.trained
    assert other.numbers["contest"] == "refresh"


def test_where_the_champion_cannot_be_read_the_candidate_serves(served):
    first = Registry(served.models).champion_of("SYN1").model_id
    (served.models / first / "weights.safetensors").write_bytes(b"")
    report = train(served, GRU)
    assert report.promoted
    assert (
        f"the champion cannot be read, so there is nothing to compare with: model {first} is damaged" in report.reason
    )
    assert issue_forecasts(served, clock=clock).model_id == report.model_id


def test_a_refused_candidate_serves_once_its_champion_cannot_be_read_any_more(served):
    first = Registry(served.models).champion_of("SYN1").model_id
    assert train(served, GRU).champion == first
    (served.models / first / "bundle.json").unlink()
    report = train(served, GRU)
    assert (report.trained, report.promoted, report.champion) == (False, True, report.model_id)


def test_killed_between_saving_and_registering_the_next_run_completes_without_training(half, monkeypatch):
    def killed(*_args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "register", killed)
        with pytest.raises(Killed):
            train(half)
    (model_id,) = list_models(half.models)
    assert Registry(half.models).entries() == []
    report = train(half)
    assert (report.model_id, report.trained, report.promoted) == (model_id, False, True)
    assert entries(half) == [("registration", model_id), ("promotion", model_id)]


def test_killed_before_the_decision_the_next_run_decides(served, monkeypatch):
    def killed(*_args, **_more):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(candidates, "contest_recipe", killed)
        with pytest.raises(Killed):
            train(served, GRU)
    assert entries(served)[-1][0] == "registration"
    report = train(served, GRU)
    assert (report.trained, entries(served)[-1][0]) == (False, "refusal")


def test_killed_in_the_middle_training_goes_on_after_its_last_epoch(half, tmp_path):
    steps = []

    def kill(_what, done, total):
        steps.append((done, total))
        if done > 0.75 * total:
            raise Killed

    with pytest.raises(Killed):
        train(half, progress=kill)
    assert list_models(half.models) == []
    (kept,) = half.training.glob("*/checkpoint.safetensors")
    heard = []
    resumed = train(half, progress=lambda *call: heard.append(call))
    assert heard[0] == ("train", steps[-1][1] // 2 + 1, steps[-1][1])  # the second of two epochs
    assert not kept.exists()
    series = PriceStore(half.prices).read(["SYN1"])
    assert save_model(RNNForecaster(SMALL).fit(series), tmp_path / "clean") == resumed.model_id


def test_a_training_that_diverges_keeps_the_champion_and_says_failed_in_its_record(served):
    wild = replace(SMALL, training=replace(SMALL.training, learning_rate=1e30))
    before = entries(served)
    with pytest.raises(Diverged):
        train_model(served, ONE, wild, clock=lambda: NOW + pd.Timedelta(minutes=1))
    assert entries(served) == before
    record = json.loads(max(served.jobs.glob("*-train-*.json")).read_text())
    assert record["state"] == "failed"
    assert "training diverged at step" in record["error"]
    assert issue_forecasts(served, clock=clock).model_id == before[0][1]


def test_a_training_that_is_refused_leaves_no_record(workspace):
    add_bars(workspace, "2018-10-01")
    with pytest.raises(TooFewBars):
        train(workspace)
    assert not workspace.jobs.exists()


@pytest.fixture
def many(served):
    """A champion and 12 candidates after it; a forecast names the second of these."""
    registry, champion = Registry(served.models), Registry(served.models).champion_of("SYN1").model_id
    first = RNNForecaster(with_seed(1)).fit(PriceStore(served.prices).read(["SYN1"]))
    ids = []
    for seed in range(1, 13):
        ids.append(save_model(RNNForecaster(with_seed(seed), first.model), served.models))
        registry.register(ONE, ids[-1], NOW, "trained")
    Ledger(served.ledger).issue([normal_forecast("SYN1", source="synthetic")], ids[1], NOW, NOW)
    return served, champion, ids


def test_old_candidates_are_pruned_but_never_one_that_served_or_that_a_forecast_names(many):
    workspace, champion, ids = many
    assert len(ids) == KEPT + 2
    assert prune_candidates(workspace, ONE, clock) == (ids[0],)
    assert set(list_models(workspace.models)) == {champion, *ids[1:]}
    assert entries(workspace)[-1] == ("pruning", ids[0])
    assert prune_candidates(workspace, ONE, clock) == ()
    assert not (workspace.models / ".pruned").exists()


def test_a_model_that_another_universe_keeps_is_not_pruned(many):
    workspace, _, ids = many
    other = Universe("mine", ("SYN1",))
    Registry(workspace.models).register(other, ids[0], NOW, "trained")
    assert prune_candidates(workspace, ONE, clock) == ()
    assert ids[0] in list_models(workspace.models)


@pytest.mark.parametrize("where", ["_delete_pruned", "shutil.rmtree"])
def test_a_pruning_that_was_killed_is_completed_by_the_next(many, monkeypatch, where):
    workspace, _, ids = many

    def killed(path, *_args, **_more):
        if path.exists():
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"forecasting.candidates.{where}", killed)
        with pytest.raises(Killed):
            prune_candidates(workspace, ONE, clock)
    assert entries(workspace)[-1] == ("pruning", ids[0])
    assert (ids[0] in list_models(workspace.models)) is (where == "_delete_pruned")
    prune_candidates(workspace, ONE, clock)
    assert not list(workspace.models.rglob(ids[0]))
    assert entries(workspace)[-1] == ("pruning", ids[0])


def test_what_was_pruned_can_be_trained_again(many):
    workspace, champion, ids = many
    prune_candidates(workspace, ONE, clock)
    report = train(workspace, with_seed(1))
    assert report.trained
    assert (report.model_id, report.pruned) == (ids[0], (ids[2],))
    assert set(list_models(workspace.models)) == {champion, ids[0], ids[1], *ids[3:]}
