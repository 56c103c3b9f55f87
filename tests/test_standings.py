import shutil

import pandas as pd
import pytest
from app_helpers import fill, save_tiny_model
from helpers import utc

from forecasting import (
    PriceStore,
    Registry,
    Universe,
    Workspace,
    card_markdown,
    make_card,
    read_decisions,
    read_standings,
)
from forecasting.errors import ModelError

PAIR = Universe("pair", ("SYN1", "SYN2"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    workspace = fill(tmp_path_factory.mktemp("standings"))
    series = PriceStore(workspace.prices).read(["SYN1", "SYN2", "VOD.L"])
    models = {"pair": save_tiny_model(workspace, {s: series[s] for s in PAIR.symbols})}
    models["other"] = save_tiny_model(workspace, {"SYN1": series["SYN1"]})
    models["loose"] = save_tiny_model(workspace, {"VOD.L": series["VOD.L"]})
    registry = Registry(workspace.models)
    registry.promote(PAIR, models["other"], utc("2019-01-01"), "first")
    registry.register(PAIR, models["pair"], utc("2019-01-02"), "trained")
    registry.promote(PAIR, models["pair"], utc("2019-01-03"), "by hand")
    return workspace, models


def test_every_model_stands_with_its_recipe_and_the_scores_of_its_backtest(place):
    workspace, models = place
    table = read_standings(workspace).set_index("model_id")
    assert table["universe"].to_dict() == {models["pair"]: "pair", models["other"]: "pair", models["loose"]: ""}
    assert table["state"].to_dict()[models["pair"]] == "champion"
    assert table["state"].to_dict()[models["other"]] == "former champion"
    row = table.loc[models["pair"]]
    assert row["recipe"] == "rnn, 2 units, 1 epoch"
    assert (row["symbols"], row["crps_horizon"], row["damaged"]) == (2, 1, "")
    assert 0 < row["crps"] < 0.1
    assert {word.split(" at ")[0] for word in row["verdict"].split("; ")} <= {"beats", "ties", "loses"}
    assert pd.isna(table.loc[models["other"], "crps"])  # its symbols have no backtest
    assert table.loc[models["other"], "verdict"] == ""


def test_a_damaged_model_stands_with_its_damage(place, tmp_path):
    workspace, models = place
    copy = Workspace(shutil.copytree(workspace.root, tmp_path / "copy"))
    (copy.models / models["other"] / "bundle.json").write_text("{")
    table = read_standings(copy).set_index("model_id")
    assert "damaged" in table.loc[models["other"], "damaged"]
    assert table.loc[models["other"], "recipe"] == ""
    assert table.loc[models["pair"], "damaged"] == ""


def test_without_models_nobody_stands(tmp_path):
    assert read_standings(Workspace(tmp_path)).empty
    assert read_decisions(Workspace(tmp_path)).empty


def test_decisions_are_told_newest_first(place):
    table = read_decisions(place[0])
    assert table["kind"].tolist() == ["promotion", "registration", "promotion"]
    assert table["reason"].tolist() == ["by hand", "trained", "first"]
    assert table["at"].iloc[0] == utc("2019-01-03")
    assert (table["against"] == "").all()


def test_a_rollback_tells_beforehand_whom_it_leads_back_to(place, tmp_path):
    workspace, models = place
    registry = Registry(Workspace(shutil.copytree(workspace.root, tmp_path / "copy")).models)
    assert registry.before_champion("pair").model_id == models["other"]
    assert registry.universes() == {"pair": PAIR}
    registry.rollback("pair", utc("2019-01-04"))
    assert read_decisions(Workspace(tmp_path / "copy"))["against"].iloc[0] == models["pair"]
    with pytest.raises(ModelError, match="no earlier champion"):
        registry.before_champion("pair")


def test_a_card_can_be_written_so_that_text_from_outside_stays_text(place):
    workspace, models = place
    card = make_card(workspace, models["pair"])
    card["history"][0]["reason"] = "<b>"
    text = card_markdown(card, level=3, written=lambda text: text.replace("<", "&lt;"))
    assert text.startswith(f"### Model {models['pair']}")
    assert "#### Scores" in text
    assert "&lt;b>" in text
    assert "<b>" in card_markdown(card)
