import numpy as np
import pytest
from helpers import random_walk, synthetic_series

from forecasting.config import LEVELS
from forecasting.errors import TooFewBars
from forecasting.evaluation.boosting import BoostedQuantiles
from forecasting.evaluation.scores import crps
from forecasting.model.features import WARM_UP, make_features
from forecasting.model.forecaster import interpolation_weights

FEW = (0.1, 0.5, 0.9)


def test_about_as_many_training_targets_lie_below_a_quantile_as_its_level_says():
    series = random_walk(bars=1200, seed=1)
    boosted = BoostedQuantiles(1, FEW).fit({"AAA": series})
    rolling = boosted.roll({"AAA": series}, series.sessions[WARM_UP])["AAA"]
    outcomes = series.log_returns([1])[WARM_UP:-1]
    below = (outcomes <= rolling.values[:-1, 0]).mean(axis=0)
    assert below == pytest.approx(FEW, abs=0.03)


def test_horizons_between_the_report_horizons_are_filled_in_as_the_network_s_are():
    series = random_walk(bars=500, seed=2)
    boosted = BoostedQuantiles(7, FEW).fit({"AAA": series.until(series.sessions[449])})
    values = boosted.roll({"AAA": series}, series.sessions[450])["AAA"].values
    scale, ensembles, _ = boosted._fitted
    assert len(ensembles) == 5  # 1, 2, 3, 5, 7
    in_scales = values / scale(make_features([series])[0])[450:, :, None]
    weights = interpolation_weights(range(1, 8))
    assert in_scales == pytest.approx(np.einsum("hk,nkl->nhl", weights, in_scales[:, [0, 1, 2, 4, 6]]), abs=1e-12)


def test_predictions_of_levels_that_cross_are_sorted():
    class Always:
        def __init__(self, value):
            self.value = value

        def predict(self, inputs):
            return np.full(len(inputs), self.value)

    series = random_walk(bars=300, seed=3)
    boosted = BoostedQuantiles(1, FEW).fit({"AAA": series})
    scale, _, universe = boosted._fitted
    boosted._fitted = scale, [[Always(0.5), Always(1.0), Always(-2.0)]], universe
    values = boosted.roll({"AAA": series}, series.sessions[290])["AAA"].values[:, 0]
    assert values == pytest.approx(scale(make_features([series])[0])[290:] * [-2.0, 0.5, 1.0])


def test_the_rows_drawn_depend_on_the_seed_alone():
    series = random_walk(bars=600, seed=4)

    def values(**settings):
        boosted = BoostedQuantiles(1, FEW, **settings).fit({"AAA": series})
        return boosted.roll({"AAA": series}, series.sessions[590])["AAA"].values

    assert np.array_equal(values(rows=200, seed=1), values(rows=200, seed=1))
    assert not np.array_equal(values(rows=200, seed=1), values(rows=200, seed=2))
    assert np.array_equal(values(rows=540, seed=1), values(rows=60_000, seed=2))


def test_volatility_that_inputs_tell_is_learned():
    series = {s: synthetic_series(s, "2012-12-31") for s in ("SYN1", "SYN2")}
    first = series["SYN1"].sessions[-250]
    boosted = BoostedQuantiles(1).fit({s: x.until(x.sessions[-251]) for s, x in series.items()})
    for symbol, rolling in boosted.roll(series, first).items():
        outcomes = series[symbol].log_returns([1])[-250:-1, 0]
        past = series[symbol].log_returns([1])[:-251, 0]
        fixed = np.tile(np.quantile(past, LEVELS), (249, 1))
        assert crps(rolling.values[:-1, 0], outcomes, LEVELS).mean() < crps(fixed, outcomes, LEVELS).mean()


def test_too_few_outcomes_are_refused_with_their_number():
    with pytest.raises(TooFewBars, match="boosted has 95 outcomes of 5 sessions .* 100 are needed; next: "):
        BoostedQuantiles(5).fit({"AAA": random_walk(bars=160)})
