import numpy as np
import pytest
from helpers import random_walk, with_void
from scipy import stats

from forecasting.config import LEVELS
from forecasting.errors import TooFewBars
from forecasting.evaluation.har import HarQuantiles
from forecasting.model.features import WARM_UP, make_features
from forecasting.model.scale import fit_scale


def test_quantiles_are_the_pooled_ones_of_return_over_scale_times_today_s_scale():
    series = {s: random_walk(s, bars=300, seed=i, volatility=0.01 * (i + 1)) for i, s in enumerate(["AAA", "BBB"])}
    past = {s: x.until(x.sessions[269]) for s, x in series.items()}
    rolled = HarQuantiles(2).fit(past).roll(series, series["AAA"].sessions[270])
    features = make_features(list(past.values()))
    scale = fit_scale(features, 2)
    for h in (1, 2):
        ratios = []
        for x, f in zip(past.values(), features, strict=True):
            log_close, width = np.log(x.bars["close"].to_numpy()), scale(f)
            ratios += [(log_close[t + h] - log_close[t]) / width[t, h - 1] for t in range(WARM_UP, 270 - h)]
        today = scale(make_features(list(series.values()))[1])[285, h - 1]
        expected = np.quantile(ratios, LEVELS) * today
        assert rolled["BBB"].values[15, h - 1] == pytest.approx(expected, rel=1e-9)


def test_walks_of_constant_volatility_get_gaussian_widths_that_grow_with_the_root_of_the_horizon():
    series = {f"S{i}": random_walk(f"S{i}", bars=1500, seed=i, volatility=0.01) for i in range(8)}
    past = {s: x.until(x.sessions[1399]) for s, x in series.items()}
    rolled = HarQuantiles(9).fit(past).roll(series, series["S0"].sessions[1400])
    widths = np.mean([r.values.mean(axis=0) for r in rolled.values()], axis=0)  # (H, L)
    spread = widths[:, LEVELS.index(0.9)] - widths[:, LEVELS.index(0.1)]
    expected = 2 * stats.norm.ppf(0.9) * 0.01 * np.sqrt(np.arange(1, 10))
    assert spread == pytest.approx(expected, rel=0.06)


def test_symbols_of_other_volatilities_share_one_set_of_quantiles():
    calm, wild = (
        random_walk("AAA", bars=800, seed=1, volatility=0.005),
        random_walk("BBB", bars=800, seed=2, volatility=0.05),
    )
    series = {"AAA": calm, "BBB": wild}
    rolled = (
        HarQuantiles(1).fit({s: x.until(x.sessions[699]) for s, x in series.items()}).roll(series, calm.sessions[700])
    )
    shapes = {s: r.values[:, 0] / r.values[:, 0, -1:] for s, r in rolled.items()}
    assert shapes["AAA"] == pytest.approx(shapes["BBB"], rel=1e-9)
    assert rolled["BBB"].values[:, 0, -1].mean() / rolled["AAA"].values[:, 0, -1].mean() == pytest.approx(10, rel=0.25)


def test_what_a_void_session_parts_is_learned_from_as_two_histories():
    series = random_walk(bars=500, seed=3)
    broken = with_void(series, str(series.sessions[250].date()))
    bars = broken.bars.copy()
    bars.iloc[250:] *= 1000  # a jump that no return may cross
    jumped = type(series)(series.instrument, bars, broken.void)
    first = series.sessions[450]
    values = [
        HarQuantiles(3).fit({"AAA": x.until(series.sessions[449])}).roll({"AAA": x}, first)["AAA"].values
        for x in (broken, jumped)
    ]
    assert values[1] == pytest.approx(values[0], rel=1e-6)


def test_too_few_outcomes_are_refused_with_their_number():
    series = random_walk(bars=WARM_UP + 5 + 99)
    with pytest.raises(TooFewBars, match="har has 99 outcomes of 5 sessions .* 100 are needed; next: "):
        HarQuantiles(5).fit({"AAA": series})
