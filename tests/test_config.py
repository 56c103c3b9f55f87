import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.config import (
    LEVELS,
    BacktestConfig,
    CalibrationConfig,
    NetworkConfig,
    Recipe,
    TrainingConfig,
    config_from_json,
    config_to_json,
)
from forecasting.errors import UsageError

RECIPES = st.builds(
    Recipe,
    horizon=st.integers(1, 60),
    levels=st.sampled_from([LEVELS, (0.5,), (0.1, 0.5, 0.9)]),
    network=st.builds(NetworkConfig, cell=st.sampled_from(["rnn", "gru", "lstm"]), hidden=st.integers(1, 512)),
    training=st.builds(TrainingConfig, learning_rate=st.floats(1e-6, 1), seed=st.integers(0, 2**31)),
    calibration=st.builds(CalibrationConfig, rate=st.floats(0, 1)),
)


@given(RECIPES)
def test_a_recipe_survives_json(recipe):
    assert config_from_json(Recipe, json.loads(json.dumps(config_to_json(recipe)))) == recipe


@given(
    st.builds(
        BacktestConfig,
        refit_every=st.none() | st.integers(1, 999),
        train_sessions=st.none() | st.integers(1, 9999),
        embargo=st.integers(0, 99),
    )
)
def test_a_split_survives_json(config):
    assert config_from_json(BacktestConfig, json.loads(json.dumps(config_to_json(config)))) == config


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(UsageError, match=r"settings \['colour'\] of NetworkConfig"):
        config_from_json(Recipe, {"network": {"cell": "gru", "colour": "red"}})


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Recipe, {"horizon": 0}, "horizon 0"),
        (Recipe, {"horizon": 61}, "from 1 to 60"),
        (Recipe, {"levels": ()}, "contain 0.5"),
        (Recipe, {"levels": (0.1, 0.9)}, "contain 0.5"),
        (Recipe, {"levels": (0.1, 0.5, 0.8)}, "symmetric"),
        (Recipe, {"levels": (0.9, 0.5, 0.1)}, "increase"),
        (Recipe, {"levels": (0.0, 0.5, 1.0)}, "within"),
        (Recipe, {"levels": (1.5,)}, "within"),
        (NetworkConfig, {"cell": "transformer"}, "cells are rnn, gru, lstm"),
        (NetworkConfig, {"nonlinearity": "sin"}, "nonlinearities are tanh, relu"),
        (NetworkConfig, {"hidden": 0}, "hidden 0"),
        (NetworkConfig, {"layers": 1.5}, "layers must be a whole number"),
        (TrainingConfig, {"window": 60, "burn_in": 60}, "longer than its burn-in"),
        (TrainingConfig, {"epochs": -1}, "epochs -1"),
        (TrainingConfig, {"seed": -1}, "a whole number from 0"),
        (CalibrationConfig, {"rate": 1.1}, r"\[0, 1\]"),
        (BacktestConfig, {"test_sessions": 0}, "test_sessions 0"),
        (BacktestConfig, {"refit_every": 0}, "refit_every 0"),
        (BacktestConfig, {"train_sessions": 0}, "train_sessions 0: train_sessions must be a whole number"),
        (BacktestConfig, {"train_sessions": 2.5}, "train_sessions 2.5"),
        (BacktestConfig, {"embargo": -1}, "embargo -1: an embargo is a whole number"),
        (BacktestConfig, {"embargo": 0.5}, "embargo 0.5"),
    ],
)
def test_a_setting_that_breaks_its_rule_is_refused_where_it_is_built(kind, values, message):
    with pytest.raises(UsageError, match=message):
        kind(**values)
