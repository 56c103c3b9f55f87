import importlib
import json
import shutil
import time
from dataclasses import replace

import pytest
from app_helpers import TINY, save_tiny_model
from helpers import utc

from forecasting import (
    PriceStore,
    Registry,
    RNNForecaster,
    Universe,
    Workspace,
    job_at_work,
    last_ending,
    save_model,
)
from forecasting.registry import Entry

PAIR = Universe("a *pair*", ("SYN1", "SYN2"))
EVIL = "![x](http://example.org/x.png) <b>"


def words(app):
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.info, app.warning, app.error, app.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def labels(app):
    return [button.label for button in app.button]


def press(app, label):
    return next(button for button in app.button if button.label == label).click().run()


@pytest.fixture(scope="module")
def place(filled, tmp_path_factory):
    """The filled workspace with a registry: of the pair a champion and a refused challenger, of VOD.L a model apart."""
    workspace = Workspace(shutil.copytree(filled.root, tmp_path_factory.mktemp("models") / "workspace"))
    series = PriceStore(workspace.prices).read(PAIR.symbols)
    champion = save_tiny_model(workspace, series)
    recent = {symbol: replace(s, bars=s.bars.iloc[-600:]) for symbol, s in series.items()}
    other = replace(TINY, training=replace(TINY.training, seed=1, epochs=2))
    challenger = save_model(RNNForecaster(other).fit(recent), workspace.models)
    registry = Registry(workspace.models)
    registry.register(PAIR, champion, utc("2019-01-01"), "trained")
    registry.promote(PAIR, champion, utc("2019-01-01"), f"first, {EVIL}")
    registry.register(PAIR, challenger, utc("2019-01-02"), "trained")
    workspace.publish()
    return workspace, champion, challenger


@pytest.fixture
def copy(place, tmp_path):
    workspace, champion, challenger = place
    return Workspace(shutil.copytree(workspace.root, tmp_path / "copy")), champion, challenger


def champion_of(workspace):
    return Registry(workspace.models).champion_of(PAIR.name)


def test_an_empty_workspace_says_how_a_model_comes_to_be_and_stays_untouched(open_app, tmp_path):
    app = open_app(tmp_path / "none", page="models")
    assert not app.exception
    assert app.info[0].value.startswith("No model has been trained in the workspace")
    assert app.code[0].value.startswith("tickercast run --source sample")
    assert not (tmp_path / "none").exists()


def test_champion_and_challengers_are_shown_with_what_decided(open_app, place):
    workspace, champion, challenger = place
    app = open_app(workspace.root, page="models")
    assert not app.exception
    models = app.dataframe[0].value.set_index("model_id")
    assert models["state"].to_dict() == {champion: "champion", challenger: "candidate"}
    assert models.loc[champion, "verdict"] != ""
    assert models.loc[champion, "trained_until"] < models.loc[champion, "fitted_until"] == "2018-12-31"
    seen = words(app)
    assert f"**`{champion}`** serves a \\*pair\\* since 2019-01-01 00:00 UTC" in seen
    decisions = app.dataframe[1].value
    assert decisions["kind"].tolist() == ["registration", "promotion", "registration"]
    assert app.get("plotly_chart")
    assert EVIL not in seen


def test_text_from_outside_is_shown_as_it_is_in_the_card_too(open_app, place):
    workspace, champion, _ = place
    app = open_app(workspace.root, page="models", model=champion)
    (card,) = (m.value for m in app.markdown if m.value.startswith("#### Model"))
    assert EVIL not in card
    assert "first, !\\[x\\](" in card
    assert "a \\*pair\\*" in card


def test_the_chosen_model_comes_from_the_url_and_its_training_is_drawn(open_app, place):
    workspace, _, challenger = place
    app = open_app(workspace.root, page="models", model=challenger)
    loss = json.loads(app.get("plotly_chart")[0].proto.spec)["data"][0]
    assert len(loss["x"]) == 2
    app = open_app(workspace.root, page="models", model="../registry", universe="<b>")
    assert not app.exception
    assert "Model: ../registry is not offered here" in app.warning[1].value


def test_models_that_the_registry_does_not_know_are_shown_apart(open_app, place):
    workspace = place[0]
    app = open_app(workspace.root, page="models", universe="-")
    assert not app.exception
    assert len(app.dataframe[0].value) == 1
    assert "Promote …" not in labels(app)


def test_promoting_and_rolling_back_are_asked_twice_and_keep_the_reason(open_app, copy):
    workspace, champion, challenger = copy
    app = open_app(workspace.root, page="models", model=challenger)
    assert "Roll back …" in labels(app)
    app = press(app, "Promote …")
    assert champion_of(workspace).model_id == champion
    assert f"From now on `{challenger}` makes the forecasts of a \\*pair\\* in place of `{champion}`" in words(app)
    app = press(app, "Leave it")
    assert "Leave it" not in labels(app)
    app = press(app, "Promote …")
    app.text_input(key="reason").set_value("to see")
    app = press(app, "Promote")
    assert not app.exception
    assert (champion_of(workspace).model_id, champion_of(workspace).reason) == (challenger, "by hand: to see")
    assert "Leave it" not in labels(app)
    app = press(app, "Roll back …")
    assert champion_of(workspace).model_id == challenger
    app = press(app, "Roll back")
    assert champion_of(workspace).model_id == champion
    assert champion_of(workspace).kind == "rollback"


def test_readers_are_offered_nothing_and_refused_when_they_press_all_the_same(open_app, copy, monkeypatch):
    workspace, champion, challenger = copy
    app = press(open_app(workspace.root, page="models", model=challenger), "Promote …")
    access = importlib.import_module("access")
    monkeypatch.setattr(access, "may_operate", lambda: False)
    app = press(app, "Promote")
    assert "read-only" in words(app)
    assert champion_of(workspace).model_id == champion
    app = open_app(workspace.root, page="models", model=challenger)
    assert not {"Promote …", "Roll back …", "Train"} & set(labels(app))


def test_a_busy_workspace_refuses_a_promotion_in_plain_words(open_app, copy):
    workspace, champion, challenger = copy
    app = press(open_app(workspace.root, page="models", model=challenger), "Promote …")
    with workspace.lock():
        app = press(app, "Promote")
    assert not app.exception
    assert "one writer at a time" in words(app)
    assert champion_of(workspace).model_id == champion


def test_a_damaged_model_takes_nothing_else_away(open_app, copy):
    workspace, champion, challenger = copy
    (workspace.models / challenger / "weights.safetensors").write_bytes(b"x")
    (workspace.models / champion / "bundle.json").write_text("{")
    app = open_app(workspace.root, page="models", model=challenger)
    assert not app.exception
    assert "is damaged" in words(app)
    assert len(app.dataframe[0].value) == 2
    assert "Promote …" not in labels(app)
    app = open_app(workspace.root, page="models", model=champion)
    assert not app.exception


def test_a_damaged_registry_is_told_in_plain_words(open_app, copy):
    workspace = copy[0]
    (workspace.models / "registry.json").write_text('{"a": 1}')
    app = open_app(workspace.root, page="models")
    assert not app.exception
    assert "registry.json cannot be read" in app.error[0].value


def test_a_challenger_is_trained_in_a_process_of_its_own_and_cancelled(open_app, copy):
    workspace = copy[0]
    app = open_app(workspace.root, page="models")
    next(field for field in app.number_input if field.label == "Epochs").set_value(1000)
    app = press(app, "Train")
    assert not app.exception
    job = job_at_work(workspace)
    assert job.command == ("train", "--universe", PAIR.name, "--cell", "rnn", "--epochs", "1000", "--seed", "0")
    app = open_app(workspace.root, page="prices")  # another tab
    assert "Cancel" in labels(app)
    assert next(button for button in app.button if button.label.startswith("Fetch all")).disabled
    press(app, "Cancel")
    end = time.monotonic() + 30
    while not (ending := last_ending(workspace)):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert (ending.state, ending.error) == ("cancelled", "")
    app = app.run()
    assert "Training was cancelled" in words(app)
    assert "Cancel" not in labels(app)


def test_an_entry_of_the_registry_needs_no_model(open_app, copy):
    workspace = copy[0]
    path = workspace.models / "registry.json"
    entries = json.loads(path.read_text())
    ghost = vars(Entry("ghosts", ("SYN1",), "rnn-20180101-0123456789", "2019-01-01T00:00:00+00:00", "gone"))
    path.write_text(json.dumps([*entries, {**ghost, "numbers": {}}]))
    app = open_app(workspace.root, page="models", universe="ghosts")
    assert not app.exception
    assert "is not in" in words(app)
