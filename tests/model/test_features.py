import numpy as np
import pandas as pd
import pytest
from helpers import synthetic_series

from forecasting.model.features import GROUPS, WARM_UP, make_features


@pytest.fixture(scope="module")
def series():
    return synthetic_series("SYN1", "2010-12-31")


def test_changing_the_future_changes_no_earlier_input(series):
    cut = 800
    altered = series.bars.copy()
    rng = np.random.default_rng(0)
    altered.iloc[cut:] *= np.exp(rng.normal(0, 0.5, (len(altered) - cut, 1)))
    before = make_features(series)
    after = make_features(type(series)(series.instrument, altered))
    np.testing.assert_array_equal(before.values[:cut], after.values[:cut])
    np.testing.assert_array_equal(before.log_variances[:cut], after.log_variances[:cut])
    assert not np.array_equal(before.values[cut:], after.values[cut:])


def test_a_longer_history_ahead_changes_no_input_at_the_cut(series):
    cut = series.until(series.sessions[900])
    np.testing.assert_array_equal(make_features(series).values[:901], make_features(cut).values)


def test_inputs_do_not_depend_on_the_unit_of_the_price(series):
    pence = series.bars.copy()
    pence[["open", "high", "low", "close"]] *= 100
    a, b = make_features(series), make_features(type(series)(series.instrument, pence))
    np.testing.assert_allclose(a.values, b.values, atol=1e-5)


def test_warm_up_has_no_inputs_and_the_rest_is_finite(series):
    values = make_features(series).values
    assert np.isnan(values[:WARM_UP]).all()
    assert np.isfinite(values[WARM_UP:]).all()


def test_bars_without_movement_or_volume_give_finite_inputs(series):
    flat = series.bars.copy()
    flat[["open", "high", "low", "close"]] = 5.0
    flat["volume"] = 0.0
    features = make_features(type(series)(series.instrument, flat))
    assert np.isfinite(features.values[WARM_UP:]).all()
    assert np.isfinite(features.log_variances).all()


def test_range_variance_is_parkinsons_plus_the_squared_gap():
    bars = pd.DataFrame(
        {"open": [10.0, 11.0], "high": [10.5, 12.0], "low": [9.5, 10.5], "close": [10.0, 11.5], "volume": 1.0},
        index=pd.DatetimeIndex(["2018-01-02", "2018-01-03"], name="session").as_unit("us"),
    )
    series = synthetic_series("SYN1", "2005-01-31")
    g = make_features(type(series)(series.instrument, bars)).range_variance
    expected = np.log(12.0 / 10.5) ** 2 / (4 * np.log(2)) + np.log(11.0 / 10.0) ** 2
    assert g[1] == pytest.approx(expected, abs=2e-8)


def test_every_group_contributes_inputs(series):
    names = make_features(series).names
    assert len(names) == len(set(names))
    assert list(GROUPS) == ["returns", "volatility_ladder", "volume"]
    assert {"return_1", "range_30", "volume_today"} <= set(names)
