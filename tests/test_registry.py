import pytest
from helpers import utc

from forecasting.errors import ModelError, WorkspaceError
from forecasting.registry import Promotion, Registry
from forecasting.universe import Universe

US, EU = Universe("us", ("AAPL", "MSFT")), Universe("eu", ("SAP.DE",))
FIRST, SECOND = utc("2019-01-02 22:00"), utc("2019-01-03 22:00")


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry(tmp_path / "models")


def test_the_last_promotion_of_a_universe_names_its_champion(registry):
    registry.promote(US, "m1", FIRST, "first model")
    registry.promote(EU, "m2", FIRST, "first model")
    registry.promote(US, "m3", SECOND, "refresh")
    last = Promotion("us", ("AAPL", "MSFT"), "m3", SECOND.isoformat(), "refresh")
    assert registry.champion() == last
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


def test_a_model_that_was_replaced_serves_no_longer(registry):
    registry.promote(US, "m1", FIRST, "x")
    registry.promote(Universe("us", ("MSFT",)), "m2", SECOND, "AAPL left the universe")
    with pytest.raises(ModelError):
        registry.champion(["AAPL"])


def test_promoting_the_champion_again_is_not_recorded_twice(registry):
    registry.promote(US, "m1", FIRST, "first model")
    registry.promote(US, "m1", SECOND, "again")
    assert [p.reason for p in registry.promotions()] == ["first model"]


def test_a_former_champion_can_return(registry):
    for model_id in ("m1", "m2", "m1"):
        registry.promote(US, model_id, FIRST, "x")
    assert [p.model_id for p in registry.promotions()] == ["m1", "m2", "m1"]


def test_where_nothing_was_promoted_the_error_says_what_to_do(registry, tmp_path):
    with pytest.raises(ModelError, match="no model has been trained here yet; next: tickercast run"):
        registry.champion(["AAPL"])
    assert registry.promotions() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{}", "null", "[1]", '[{"x": 1}]', "["])
def test_a_damaged_registry_is_named(registry, tmp_path, text):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "registry.json").write_text(text)
    with pytest.raises(WorkspaceError, match=r"registry.json cannot be read"):
        registry.champions()
