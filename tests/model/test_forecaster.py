from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import random_walk, utc

from forecasting.bars import PriceSeries
from forecasting.config import NetworkConfig
from forecasting.errors import ModelError, TooFewBars, UsageError
from forecasting.model.forecaster import RNNForecaster, interpolation_weights, knot_horizons
from forecasting.sessions import session_close

FIRST = pd.Timestamp("2012-01-03")


def test_a_backtest_forecast_equals_the_forecast_of_bars_cut_at_its_origin(fitted, market):
    rolled = fitted.roll(market, FIRST)
    for day in ("2012-01-03", "2012-06-29", "2012-12-31"):
        origin = pd.Timestamp(day)
        cut = fitted.forecast({s: series.until(origin) for s, series in market.items()})
        for symbol in market:
            np.testing.assert_allclose(cut[symbol].values, rolled[symbol].at(origin).values, atol=1e-6)


def test_as_of_sees_only_sessions_closed_by_then(fitted, market):
    close = session_close("XNYS", pd.Timestamp("2012-06-29"))
    assert fitted.forecast(market, close)["SYN1"].origin == pd.Timestamp("2012-06-29")
    assert fitted.forecast(market, close - pd.Timedelta(seconds=1))["SYN1"].origin == pd.Timestamp("2012-06-28")


def test_changing_bars_after_an_origin_changes_no_forecast_from_it(fitted, market):
    origin = pd.Timestamp("2012-06-29")
    rng = np.random.default_rng(0)
    altered = {}
    for symbol, series in market.items():
        bars = series.bars.copy()
        after = bars.index > origin
        bars.loc[after] *= np.exp(rng.normal(0, 0.3, (after.sum(), 1)))
        altered[symbol] = PriceSeries(series.instrument, bars)
    a, b = fitted.roll(market, FIRST), fitted.roll(altered, FIRST)
    for symbol in market:
        chosen = a[symbol].origins <= origin
        np.testing.assert_array_equal(a[symbol].values[chosen], b[symbol].values[chosen])


def test_quantiles_are_ordered_and_prices_positive(fitted, market):
    for rolling in fitted.roll(market, FIRST).values():
        assert (np.diff(rolling.values, axis=-1) >= 0).all()
        assert (rolling.latest().prices() > 0).all()


def test_a_symbol_that_was_not_in_training_is_forecast_like_any_other(fitted, market):
    assert "SYN3" not in fitted.model.universe
    alone = {s: market[s] for s in ("SYN1", "SYN2", "SYN3")}
    assert fitted.forecast(alone)["SYN3"].horizon == 7


def test_asking_for_more_symbols_does_not_change_a_forecast(fitted, market):
    universe = {s: market[s] for s in fitted.model.universe}
    np.testing.assert_allclose(
        fitted.forecast(universe)["SYN1"].values, fitted.forecast(market)["SYN1"].values, atol=1e-12
    )


def test_training_uses_nothing_from_the_kept_out_sessions(market, small_recipe):
    past = {s: series.until(pd.Timestamp("2010-12-31")) for s, series in market.items()}
    kept_out = past["SYN1"].sessions[-small_recipe.calibration.sessions :]
    altered = {}
    for symbol, series in past.items():
        bars = series.bars.copy()
        bars.loc[kept_out] *= 3.0
        altered[symbol] = PriceSeries(series.instrument, bars)
    a, b = (RNNForecaster(small_recipe).fit(x).model for x in (past, altered))
    assert a.trained_until == kept_out[0] - pd.tseries.offsets.BDay(1) or a.trained_until < kept_out[0]
    for p, q in zip(a.network.parameters(), b.network.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach(), q.detach())
    np.testing.assert_array_equal(a.scale.coefficients, b.scale.coefficients)
    np.testing.assert_array_equal(a.mean, b.mean)


def test_what_the_model_was_trained_on_cannot_be_forecast(fitted, market):
    with pytest.raises(UsageError, match="trained on bars up to"):
        fitted.roll(market, fitted.model.trained_until)


@pytest.mark.parametrize(
    "network",
    [
        NetworkConfig(cell="rnn", nonlinearity="relu", hidden=8),
        NetworkConfig(cell="gru", hidden=8),
        NetworkConfig(cell="lstm", hidden=8),
    ],
)
def test_other_cells_fit_and_forecast(network, market, small_recipe):
    recipe = replace(small_recipe, network=network, training=replace(small_recipe.training, epochs=1))
    past = {"SYN1": market["SYN1"].until(pd.Timestamp("2006-12-29"))}
    forecast = RNNForecaster(recipe).fit(past).forecast(past)["SYN1"]
    assert np.isfinite(forecast.values).all()
    assert forecast.interval(0.8)["lower"].lt(forecast.last_close).all()


def test_the_scale_of_the_forecast_follows_the_true_volatility(fitted, market):
    rolling = fitted.roll(market, FIRST)["SYN1"]
    width = np.log(rolling.values[:-1, 0, -2] - rolling.values[:-1, 0, 1])
    truth = np.log(market["SYN1"].bars["volatility"].loc[rolling.origins].to_numpy()[1:])
    assert np.corrcoef(width, truth)[0, 1] > 0.8


def test_too_few_bars_for_a_window_names_the_symbol_and_the_rule(fitted, market):
    short = random_walk("NEW", bars=80, last="2012-12-31")
    with pytest.raises(TooFewBars, match="NEW has 80 bars.*needs 120"):
        fitted.forecast({**market, "NEW": short})


def test_a_forecaster_that_was_not_fitted_says_so(market):
    with pytest.raises(ModelError, match="not been fitted"):
        RNNForecaster().forecast(market, utc("2012-12-31 22:00"))


def test_horizons_between_the_knots_are_convex_combinations_of_their_neighbours():
    assert knot_horizons(20) == (1, 2, 3, 5, 10, 20)
    assert knot_horizons(7) == (1, 2, 3, 5, 7)
    assert knot_horizons(1) == (1,)
    weights = interpolation_weights(range(1, 21))
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights >= 0).all()
    np.testing.assert_array_equal(weights[[0, 1, 2, 4, 9, 19]], np.eye(6))
