import pytest
from helpers import utc

from forecasting.errors import ModelError
from forecasting.registry import Promotion, Registry

FIRST, SECOND = utc("2019-01-02 22:00"), utc("2019-01-03 22:00")


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry(tmp_path / "models")


def test_the_last_promotion_of_a_universe_names_its_champion(registry):
    registry.promote("us", "m1", FIRST, "first model")
    registry.promote("eu", "m2", FIRST, "first model")
    registry.promote("us", "m3", SECOND, "refresh")
    assert registry.champion("us") == Promotion("us", "m3", SECOND.isoformat(), "refresh")
    assert registry.champion("eu").model_id == "m2"
    assert registry.champion().model_id == "m3"
    assert [p.model_id for p in registry.promotions()] == ["m1", "m2", "m3"]


def test_promoting_the_champion_again_is_not_recorded_twice(registry):
    registry.promote("us", "m1", FIRST, "first model")
    registry.promote("us", "m1", SECOND, "again")
    assert registry.promotions() == [Promotion("us", "m1", FIRST.isoformat(), "first model")]


def test_a_former_champion_can_return(registry):
    for model_id in ("m1", "m2", "m1"):
        registry.promote("us", model_id, FIRST, "x")
    assert [p.model_id for p in registry.promotions()] == ["m1", "m2", "m1"]


def test_where_nothing_was_promoted_the_error_says_what_to_do(registry, tmp_path):
    with pytest.raises(ModelError, match="no model serves us yet; next: tickercast run"):
        registry.champion("us")
    assert registry.promotions() == []
    assert list(tmp_path.iterdir()) == []
