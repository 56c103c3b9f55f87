import json
import shutil

import pytest
from helpers import random_walk, utc

from forecasting.cards import card_markdown, make_card, read_models, write_cards
from forecasting.config import BacktestConfig, CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.errors import BundleError
from forecasting.evaluation.baselines import RandomWalk, make_baselines
from forecasting.evaluation.comparison import score_backtest
from forecasting.evaluation.plan import make_plan
from forecasting.evaluation.report import save_backtest
from forecasting.evaluation.walkforward import walk_forward
from forecasting.model.bundle import save_model
from forecasting.model.forecaster import RNNForecaster
from forecasting.model.manifest import find_models, list_models, read_manifest
from forecasting.registry import Registry
from forecasting.universe import Universe
from forecasting.workspace import Workspace

PAIR, ONE = Universe("pair", ("AAA", "BBB")), Universe("one", ("CCC",))
NOW = utc("2019-01-01 12:00")
RECIPE = Recipe(
    horizon=3,
    network=NetworkConfig(hidden=2),
    training=TrainingConfig(window=60, burn_in=30, epochs=1),
    calibration=CalibrationConfig(sessions=20),
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Two models, that of the pair with a backtest; a test on it must not change it."""
    workspace = Workspace(tmp_path_factory.mktemp("cards") / "place")
    registry = Registry(workspace.models)
    series = {symbol: random_walk(symbol, bars=300, seed=i) for i, symbol in enumerate(("AAA", "BBB", "CCC"))}
    for universe in (PAIR, ONE):
        fitted = RNNForecaster(RECIPE).fit({s: series[s] for s in universe.symbols})
        registry.register(universe, save_model(fitted, workspace.models), NOW, "trained")
    registry.promote(PAIR, model_of(workspace, PAIR), NOW, "first model of this universe")
    pooled, config = {s: series[s] for s in PAIR.symbols}, BacktestConfig(test_sessions=12, refit_every=None)
    network = RandomWalk("constant", 3, window=110)
    network.name = "network"
    backtest = walk_forward([network, *make_baselines(3, recipe=RECIPE)], pooled, config)
    save_backtest(backtest, score_backtest(backtest), make_plan(pooled, RECIPE, config), workspace.backtests)
    return workspace


def model_of(workspace, universe):
    (found,) = find_models(workspace.models, RECIPE, universe.symbols)
    return found


def test_a_card_tells_data_recipe_seed_scores_coverage_limits_and_history(filled):
    model_id = model_of(filled, PAIR)
    card, manifest = make_card(filled, model_id), read_manifest(filled.models, model_id)
    assert card["model_id"] == model_id
    assert card["universes"] == card["serves"] == ["pair"]
    assert card["symbols"] == ["AAA", "BBB"]
    assert card["data"]["fitted_until"] == manifest["fitted_until"] == "2018-12-31"
    assert card["recipe"] == manifest["recipe"]
    assert card["seed"] == RECIPE.training.seed
    assert card["training"]["epochs"] == 1
    assert card["limits"]
    assert [e["kind"] for e in card["history"]] == ["registration", "promotion"]
    backtest = card["backtest"]
    assert [row["horizon"] for row in backtest["scores"]] == [1, 2, 3]
    assert 0 < backtest["scores"][0]["coverage_90"] <= 1
    assert "the network" in backtest["summary"]
    text = card_markdown(card)
    assert text.startswith(f"# Model {model_id}\n")
    for word in ("2018-12-31", "Seed: 0", "training.window | 60", "RW EWMA", "in 90%", "Limits", backtest["summary"]):
        assert word in text
    assert "- 2019-01-01 12:00 UTC, pair: promotion. first model of this universe" in text


def test_a_card_without_a_backtest_says_so_and_names_the_command(filled):
    card = make_card(filled, model_of(filled, ONE))
    assert card["backtest"] is None
    assert (card["universes"], card["serves"]) == (["one"], [])
    assert "not been backtested on this universe, so nothing is known. Next: tickercast backtest" in card_markdown(card)
    assert "Serves no universe; a model of one." in card_markdown(card)


def test_cards_are_written_as_json_and_markdown_and_only_where_they_changed(filled):
    model_id = model_of(filled, PAIR)
    write_cards(filled, [model_id, "rnn-20181231-0000000000"])
    folder = filled.models / model_id
    card = make_card(filled, model_id)
    assert json.loads((folder / "card.json").read_text()) == card
    assert (folder / "card.md").read_text() == card_markdown(card)
    before = [(folder / name).stat().st_mtime_ns for name in ("card.json", "card.md")]
    write_cards(filled, [model_id])
    assert [(folder / name).stat().st_mtime_ns for name in ("card.json", "card.md")] == before
    assert list_models(filled.models) == sorted({model_id, model_of(filled, ONE)})


def test_many_symbols_are_counted_and_the_first_named(filled):
    card = make_card(filled, model_of(filled, PAIR)) | {"symbols": [f"S{i}" for i in range(20)]}
    assert "- Symbols: 20 (S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11 and 8 more)" in card_markdown(card)


def test_a_model_that_is_not_there_has_no_card(filled):
    with pytest.raises(BundleError, match=r"model rnn-1 is not in .*next: tickercast models list"):
        make_card(filled, "rnn-1")


def test_models_are_listed_with_what_they_are_and_why(filled, tmp_path):
    pair, one = read_models(filled)
    assert (pair["universe"], pair["state"], pair["reason"]) == ("pair", "champion", "first model of this universe")
    assert (one["universe"], one["state"], one["since"]) == ("one", "candidate", NOW.isoformat())
    assert (pair["cell"], pair["horizon"], pair["seed"], pair["fitted_until"]) == ("rnn", 3, 0, "2018-12-31")
    assert pair["damaged"] is None
    assert read_models(Workspace(tmp_path / "none")) == []


def test_a_former_champion_a_damaged_model_and_one_without_an_entry_are_named_as_such(filled, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "copy"))
    pair, one = (model_of(workspace, universe) for universe in (PAIR, ONE))
    Registry(workspace.models).promote(PAIR, one, NOW, "by hand")
    (workspace.models / pair / "weights.safetensors").write_bytes(b"x")
    rows = [(row["universe"], row["model_id"], row["state"]) for row in read_models(workspace)]
    assert rows == [("pair", one, "champion"), ("pair", pair, "former champion"), ("one", one, "candidate")]
    assert "is damaged: the SHA-256" in read_models(workspace)[1]["damaged"]
    (workspace.models / "registry.json").unlink()
    assert [(row["universe"], row["state"]) for row in read_models(workspace)] == [(None, "candidate")] * 2
