import pandas as pd
import pytest
from helpers import synthetic_series

from forecasting.config import CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.model.forecaster import RNNForecaster


@pytest.fixture(scope="session")
def market():
    return {s: synthetic_series(s, "2012-12-31") for s in ("SYN1", "SYN2", "SYN3")}


@pytest.fixture(scope="session")
def small_recipe():
    return Recipe(
        horizon=7,
        network=NetworkConfig(hidden=8),
        training=TrainingConfig(window=60, burn_in=30, epochs=2),
        calibration=CalibrationConfig(sessions=120),
    )


@pytest.fixture(scope="session")
def fitted(market, small_recipe):
    past = {s: series.until(pd.Timestamp("2011-12-30")) for s, series in market.items() if s != "SYN3"}
    return RNNForecaster(small_recipe).fit(past)
