import json

import pandas as pd
import pytest
from helpers import utc

from forecasting import registry as registry_module
from forecasting.errors import BundleError, ModelError, UsageError, WorkspaceError
from forecasting.evaluation.contest import Decision
from forecasting.registry import Entry, Registry
from forecasting.universe import Universe

US, EU = Universe("us", ("AAPL", "MSFT")), Universe("eu", ("SAP.DE",))
FIRST, SECOND, THIRD = utc("2019-01-02 22:00"), utc("2019-01-03 22:00"), utc("2019-01-04 22:00")


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry(tmp_path / "models")


@pytest.fixture
def whole(monkeypatch):
    """All models are whole, but those named here."""
    damaged: set[str] = set()

    def read(_models, model_id):
        if model_id in damaged:
            raise BundleError(f"model {model_id} is damaged; next: tickercast train")
        return {}, b""

    monkeypatch.setattr(registry_module, "read_bundle", read)
    return damaged


def kinds(registry, universe="us"):
    return [(e.kind, e.model_id) for e in registry.entries() if e.universe == universe]


def test_the_last_promotion_of_a_universe_names_its_champion(registry):
    registry.promote(US, "m1", FIRST, "first model")
    registry.promote(EU, "m2", FIRST, "first model")
    registry.promote(US, "m3", SECOND, "refresh")
    last = Entry("us", ("AAPL", "MSFT"), "m3", SECOND.isoformat(), "refresh", "promotion", {})
    assert registry.champion() == registry.champion_of("us") == last
    assert registry.champion_of("asia") is None
    assert [p.model_id for p in registry.champions()] == ["m2", "m3"]
    assert [p.model_id for p in registry.promotions()] == ["m1", "m2", "m3"]


def test_symbols_are_served_by_the_newest_champion_that_knows_them_all(registry):
    registry.promote(US, "m1", FIRST, "x")
    registry.promote(Universe("one", ("AAPL",)), "m2", SECOND, "x")
    registry.promote(EU, "m3", SECOND, "x")
    assert registry.champion(["AAPL"]).model_id == "m2"
    assert registry.champion(["MSFT", "AAPL"]).model_id == "m1"
    with pytest.raises(ModelError, match=r"no model serves AAPL, SAP.DE together \(m1 .*next: tickercast train"):
        registry.champion(["AAPL", "SAP.DE"])
    assert registry.champion(["AAPL", "SAP.DE"], or_newest=True) == registry.champion()
    assert registry.champion(["MSFT", "AAPL"], or_newest=True).model_id == "m1"


def test_a_model_that_was_replaced_serves_no_longer(registry):
    registry.promote(US, "m1", FIRST, "x")
    registry.promote(Universe("us", ("MSFT",)), "m2", SECOND, "AAPL left the universe")
    with pytest.raises(ModelError):
        registry.champion(["AAPL"])


def test_promoting_the_champion_again_is_not_recorded_twice(registry):
    assert registry.promote(US, "m1", FIRST, "first model")
    registry.promote(EU, "m2", FIRST, "first model")
    assert not registry.promote(US, "m1", SECOND, "again")
    assert kinds(registry) == [("promotion", "m1")]


def test_a_former_champion_can_return(registry):
    for model_id in ("m1", "m2", "m1"):
        registry.promote(US, model_id, FIRST, "x")
    assert [p.model_id for p in registry.promotions()] == ["m1", "m2", "m1"]


def test_candidates_are_registered_once_and_serve_nobody(registry):
    registry.register(US, "m1", FIRST, "trained", {"prices_sha256": "abc"})
    registry.register(US, "m1", SECOND, "trained again")
    registry.register(EU, "m1", SECOND, "another universe")
    assert kinds(registry) == [("registration", "m1")]
    assert registry.entries()[0].numbers == {"prices_sha256": "abc"}
    assert registry.models_of("us") == registry.models_of("eu") == ["m1"]
    assert registry.champions() == []
    assert registry.decision_on("us", "m1") is None


def test_a_decision_is_recorded_with_its_numbers_and_a_refusal_changes_no_champion(registry):
    registry.promote(US, "m1", FIRST, "first model")
    registry.decide(US, "m2", SECOND, Decision(False, "not proven", {"skill": 0.01, "p": 0.3}))
    assert registry.champion_of("us").model_id == "m1"
    refused = registry.decision_on("us", "m2")
    assert (refused.kind, refused.reason) == ("refusal", "not proven")
    assert refused.numbers == {"skill": 0.01, "p": 0.3}
    registry.decide(US, "m3", THIRD, Decision(True, "proven", {"skill": 0.02}))
    assert registry.champion_of("us").model_id == "m3"
    assert registry.decision_on("us", "m3").kind == "promotion"


def test_the_blocks_on_which_new_recipes_were_tried_are_remembered_by_universe(registry):
    days = ["2018-01-02", "2018-12-31"]
    registry.decide(US, "m2", FIRST, Decision(False, "x", {"block": days}))
    registry.decide(EU, "m3", FIRST, Decision(True, "x", {"block": ["2019-01-02", "2019-12-31"]}))
    registry.decide(US, "m4", FIRST, Decision(False, "not tested"))
    assert registry.tried_blocks("us") == [tuple(pd.Timestamp(day) for day in days)]


def test_a_rollback_leads_to_the_champion_before_and_again_to_the_one_before_that(registry, whole):
    for at, model_id in ((FIRST, "m1"), (SECOND, "m2"), (THIRD, "m3")):
        registry.promote(US, model_id, at, "x")
    registry.promote(EU, "m9", THIRD, "x")
    entry = registry.rollback("us", THIRD, "m3 was too wide")
    assert (entry.model_id, entry.kind) == ("m2", "rollback")
    assert entry.reason == "rolled back from m3: m3 was too wide"
    assert registry.champion_of("us") == entry
    assert registry.rollback("us", THIRD).model_id == "m1"
    assert registry.champion_of("eu").model_id == "m9"
    with pytest.raises(ModelError, match=r"m1 serves us, and no earlier champion is there.*next:"):
        registry.rollback("us", THIRD)
    assert kinds(registry)[3:] == [("rollback", "m2"), ("rollback", "m1")]


def test_after_a_rollback_the_next_promotion_is_rolled_back_to_the_one_that_served(registry, whole):
    registry.promote(US, "m1", FIRST, "x")
    registry.promote(US, "m2", SECOND, "x")
    registry.rollback("us", THIRD)
    registry.promote(US, "m3", THIRD, "x")
    assert registry.rollback("us", THIRD).model_id == "m1"


def test_a_rollback_passes_over_a_damaged_champion(registry, whole):
    for model_id in ("m1", "m2", "m3"):
        registry.promote(US, model_id, FIRST, "x")
    whole |= {"m2"}
    assert registry.rollback("us", SECOND).model_id == "m1"
    registry.promote(US, "m3", THIRD, "x")
    whole |= {"m1"}
    with pytest.raises(ModelError, match=r"no earlier champion .* \(model m1 is damaged\); next:"):
        registry.rollback("us", THIRD)


def test_a_rollback_of_an_unknown_universe_names_the_known_ones(registry):
    registry.promote(US, "m1", FIRST, "x")
    with pytest.raises(UsageError, match=r"universe 'asia' has no champion: the registry knows us; next:"):
        registry.rollback("asia", SECOND)


def test_a_pruned_model_is_on_record_and_no_model_any_more_until_it_is_trained_again(registry):
    for model_id in ("m1", "m2"):
        registry.register(US, model_id, FIRST, "trained")
    registry.prune(US, ["m1"], SECOND, "old")
    assert registry.models_of("us") == ["m2"]
    registry.register(US, "m1", THIRD, "trained")
    assert registry.models_of("us") == ["m2", "m1"]
    assert [kind for kind, m in kinds(registry) if m == "m1"] == ["registration", "pruning", "registration"]


def test_what_earlier_versions_wrote_is_read_and_kept(registry, tmp_path):
    old = {"universe": "us", "symbols": ["AAPL", "MSFT"], "model_id": "m1", "at": FIRST.isoformat(), "reason": "newest"}
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "registry.json").write_text(json.dumps([old]))
    assert registry.champion_of("us").model_id == "m1"
    registry.register(US, "m2", SECOND, "trained")
    first, second = json.loads((tmp_path / "models" / "registry.json").read_text())
    assert first == {**old, "kind": "promotion", "numbers": {}}
    assert second["kind"] == "registration"


def test_where_nothing_was_promoted_the_error_says_what_to_do(registry, tmp_path):
    with pytest.raises(ModelError, match="no model has been trained here yet; next: tickercast run"):
        registry.champion(["AAPL"])
    assert registry.entries() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{}", "null", "[1]", '[{"x": 1}]', "["])
def test_a_damaged_registry_is_named(registry, tmp_path, text):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "registry.json").write_text(text)
    with pytest.raises(WorkspaceError, match=r"registry.json cannot be read"):
        registry.champions()


def test_an_entry_of_an_unknown_kind_is_not_passed_over(registry, tmp_path):
    registry.promote(US, "m1", FIRST, "x")
    path = tmp_path / "models" / "registry.json"
    path.write_text(path.read_text().replace('"promotion"', '"demotion"'))
    with pytest.raises(WorkspaceError, match=r"registry.json cannot be read .*demotion"):
        registry.champions()
