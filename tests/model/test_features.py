import numpy as np
import pandas as pd
import pytest
from helpers import synthetic_series

from forecasting.bars import Instrument, PriceSeries
from forecasting.model.features import GROUPS, WARM_UP, make_features
from forecasting.model.market import FEWEST


@pytest.fixture(scope="module")
def series():
    return synthetic_series("SYN1", "2010-12-31")


@pytest.fixture(scope="module")
def pool():
    return [synthetic_series(f"SYN{i}", "2008-12-31") for i in range(1, FEWEST + 1)]


def _of(features, name):
    return features.values[:, features.names.index(name)]


def test_changing_the_future_changes_no_earlier_input(series):
    cut = 800
    altered = series.bars.copy()
    rng = np.random.default_rng(0)
    altered.iloc[cut:] *= np.exp(rng.normal(0, 0.5, (len(altered) - cut, 1)))
    before = make_features([series])[0]
    after = make_features([type(series)(series.instrument, altered)])[0]
    np.testing.assert_array_equal(before.values[:cut], after.values[:cut])
    np.testing.assert_array_equal(before.log_variances[:cut], after.log_variances[:cut])
    assert not np.array_equal(before.values[cut:], after.values[cut:])


def test_a_longer_history_ahead_changes_no_input_at_the_cut(series):
    cut = series.until(series.sessions[900])
    np.testing.assert_array_equal(make_features([series])[0].values[:901], make_features([cut])[0].values)


def test_inputs_do_not_depend_on_the_unit_of_the_price(series):
    pence = series.bars.copy()
    pence[["open", "high", "low", "close"]] *= 100
    a, b = make_features([series])[0], make_features([type(series)(series.instrument, pence)])[0]
    np.testing.assert_allclose(a.values, b.values, atol=1e-5)


def test_warm_up_has_no_inputs_and_the_rest_is_finite(series):
    features = make_features([series])[0]
    assert np.isnan(features.values[:WARM_UP]).all()
    alone = ["return_1", "return_60", "range_today", "range_250", "square_50", "volume_today", "volume_week"]
    for name in alone:
        assert np.isfinite(_of(features, name)[WARM_UP:]).all()


def test_bars_without_movement_or_volume_give_finite_inputs(series):
    flat = series.bars.copy()
    flat[["open", "high", "low", "close"]] = 5.0
    flat["volume"] = 0.0
    features = make_features([type(series)(series.instrument, flat)])[0]
    assert not np.isinf(features.values[WARM_UP:]).any()
    assert np.isfinite(_of(features, "range_today")[WARM_UP:]).all()
    assert np.isnan(_of(features, "volume_today")[WARM_UP:]).all()  # no volume is no news
    assert np.isfinite(features.log_variances).all()


def test_range_variance_is_parkinsons_plus_the_squared_gap():
    bars = pd.DataFrame(
        {"open": [10.0, 11.0], "high": [10.5, 12.0], "low": [9.5, 10.5], "close": [10.0, 11.5], "volume": 1.0},
        index=pd.DatetimeIndex(["2018-01-02", "2018-01-03"], name="session").as_unit("us"),
    )
    series = synthetic_series("SYN1", "2005-01-31")
    g = make_features([type(series)(series.instrument, bars)])[0].range_variance
    expected = np.log(12.0 / 10.5) ** 2 / (4 * np.log(2)) + np.log(11.0 / 10.0) ** 2
    assert g[1] == pytest.approx(expected, abs=2e-8)


def test_every_group_contributes_inputs(series):
    names = make_features([series])[0].names
    assert len(names) == len(set(names))
    assert list(GROUPS) == ["returns", "volatility_ladder", "volume", "report_timing"]
    assert {"return_1", "range_30", "volume_today", "event_years_5"} <= set(names)


def test_changing_the_future_of_a_pool_changes_no_earlier_input_of_any_symbol(pool):
    cut = 700
    rng = np.random.default_rng(1)
    altered = []
    for series in pool:
        bars = series.bars.copy()
        bars.iloc[cut:] *= np.exp(rng.normal(0, 0.5, (len(bars) - cut, 1)))
        altered.append(PriceSeries(series.instrument, bars))
    shorter = [series.until(series.sessions[cut - 1]) for series in pool]
    for before, *others in zip(*map(make_features, (pool, altered, shorter)), strict=True):
        assert np.isfinite(before.values[WARM_UP + 252 : cut]).all()
        for after in others:
            np.testing.assert_array_equal(before.values[:cut], after.values[:cut])
            np.testing.assert_array_equal(before.log_variances[:cut], after.log_variances[:cut])


def test_a_symbol_outside_the_market_changes_no_input_of_others(pool):
    members = [series.symbol for series in pool]
    stranger = synthetic_series("SYN9", "2008-12-31")
    for alone, beside in zip(make_features(pool), make_features([stranger, *pool], members)[1:], strict=True):
        np.testing.assert_array_equal(alone.values, beside.values)
        np.testing.assert_array_equal(alone.log_variances, beside.log_variances)


def test_the_market_s_variances_are_the_means_of_the_exchange(pool):
    features = make_features(pool)
    own, market = (np.stack(x) for x in zip(*(np.hsplit(f.log_variances[WARM_UP:], 2) for f in features), strict=True))
    for each in market:
        np.testing.assert_allclose(each, own.mean(axis=0), atol=1e-12)


def test_where_the_market_is_too_small_its_inputs_are_unknown_and_its_variances_the_symbol_s_own(pool):
    for few in (pool[:-1], [*pool[:-1], PriceSeries(Instrument("T", "synthetic", "XTKS"), pool[-1].bars)]):
        for f in make_features(few):
            assert np.isnan(_of(f, "event_years_5")).all()
            own, market = np.hsplit(f.log_variances, 2)
            np.testing.assert_array_equal(own, market)
