from dataclasses import replace

import numpy as np
import pytest
from arch import arch_model
from arch.univariate import StudentsT
from helpers import random_walk
from scipy import stats

from forecasting.config import LEVELS
from forecasting.evaluation.garch import FallbackWarning, Garch, GarchParameters, fit_garch, typical_parameters

TRUE = {
    False: GarchParameters(0.0, 0.03, 0.08, 0.0, 0.90, 7.0),
    True: GarchParameters(0.0, 0.03, 0.02, 0.10, 0.90, 7.0),
}


def draw(p: GarchParameters, count: int, seed: int) -> np.ndarray:
    """Return simulated returns in percent, one step at a time."""
    z = np.random.default_rng(seed).standard_t(p.degrees, count) * np.sqrt((p.degrees - 2) / p.degrees)
    variance, returns = p.omega / (1 - p.alpha - p.gamma / 2 - p.beta), []
    for shock in z:
        returns.append(p.mean + np.sqrt(variance) * shock)
        variance = p.omega + (p.alpha + p.gamma * (shock < 0)) * variance * shock**2 + p.beta * variance
    return np.array(returns)


def draws(paths: int, horizon: int) -> np.ndarray:
    return Garch(horizon, paths=paths)._uniforms()


def moved_by(returns: np.ndarray):
    """Return a series whose close moves by returns in percent."""
    series = random_walk(bars=len(returns) + 1)
    close = 100 * np.exp(np.concatenate([[0.0], returns]).cumsum() / 100)
    return replace(series, bars=series.bars.assign(open=close, high=close, low=close, close=close))


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("mean", ["Zero", "Constant"])
def test_the_variance_from_every_origin_is_the_one_arch_forecasts(asymmetric, mean):
    returns = draw(TRUE[asymmetric], 1200, seed=1)
    found, reason = fit_garch(returns[:1000], asymmetric, mean)
    assert reason == ""
    model = arch_model(returns, mean=mean, p=1, o=int(asymmetric), q=1, dist="t", rescale=False)
    values = [found.omega, found.alpha, *([found.gamma] if asymmetric else []), found.beta, found.degrees]
    fixed = model.fix([found.mean, *values] if mean == "Constant" else values)
    expected = fixed.forecast(horizon=1, start=999, reindex=False).variance["h.1"].to_numpy()
    assert found.next_variance(returns)[999:] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("asymmetric", [False, True])
def test_simulated_quantiles_agree_with_arch_s_own_seeded_simulation(asymmetric):
    returns = draw(TRUE[asymmetric], 1500, seed=2)
    p, _ = fit_garch(returns, asymmetric)
    model = arch_model(returns, mean="Zero", p=1, o=int(asymmetric), q=1, dist="t", rescale=False)
    model.distribution = StudentsT(seed=3)
    fixed = model.fix([p.omega, p.alpha, *([p.gamma] if asymmetric else []), p.beta, p.degrees])
    forecast = fixed.forecast(horizon=10, start=1499, method="simulation", simulations=40_000, reindex=False)
    expected = np.quantile(forecast.simulations.values[0].cumsum(axis=1), LEVELS, axis=0).T
    found = p.simulate(p.next_variance(returns)[-1:], draws(8192, 10), LEVELS)[0]
    spread = expected[:, -2] - expected[:, 1]
    assert np.abs(found - expected).max(axis=1) / spread == pytest.approx(np.zeros(10), abs=0.03)


def test_without_alpha_and_beta_returns_are_independent_and_of_one_variance():
    p = GarchParameters(0.1, 4.0, 0.0, 0.0, 0.0, 8.0)
    variance = p.next_variance(np.random.default_rng(0).normal(0, 2, 300))
    assert variance == pytest.approx(np.full(300, 4.0))
    values = p.simulate(variance[-2:], draws(4096, 5), LEVELS)
    one = 0.1 + 2 * np.sqrt(6 / 8) * stats.t.ppf(LEVELS, 8)
    assert values[0, 0] == pytest.approx(one, rel=0.01, abs=0.01)
    spread = values[0, :, LEVELS.index(0.75)] - values[0, :, LEVELS.index(0.25)]
    many = stats.t.rvs(8, size=(200_000, 5), random_state=1).cumsum(axis=1) * 2 * np.sqrt(6 / 8)
    assert spread == pytest.approx(np.subtract(*np.quantile(many, [0.75, 0.25], axis=0)), rel=0.03)


def test_the_variance_returns_to_its_mean_as_the_formula_says():
    p = GarchParameters(0.0, 0.05, 0.05, 0.0, 0.90, 500.0)
    values = p.simulate(np.array([0.25, 4.0]), draws(8192, 20), tuple(np.linspace(0.005, 0.995, 100)))
    ahead = 0.95 ** np.arange(20)
    for start, quantiles in zip((0.25, 4.0), values, strict=True):
        expected = np.cumsum(1.0 + ahead * (start - 1.0))  # a mean variance of one
        assert quantiles.var(axis=-1) == pytest.approx(expected, rel=0.06)


def test_the_asymmetric_model_finds_that_falls_raise_the_variance_and_leans_down():
    returns = draw(TRUE[True], 4000, seed=4)
    p, reason = fit_garch(returns, asymmetric=True)
    assert reason == ""
    assert p.gamma == pytest.approx(0.10, abs=0.05)
    values = p.simulate(np.array([1.0]), draws(8192, 20), LEVELS)[0]
    assert -values[-1, 0] > 1.1 * values[-1, -1]


def test_the_parameters_are_recovered():
    p, _ = fit_garch(draw(TRUE[False], 6000, seed=5), asymmetric=False)
    assert (p.mean, p.gamma) == (0.0, 0.0)
    assert p.alpha == pytest.approx(0.08, abs=0.02)
    assert p.beta == pytest.approx(0.90, abs=0.03)
    assert p.degrees == pytest.approx(7.0, abs=1.5)


def test_a_forecast_is_that_of_the_symbol_s_own_parameters_in_log_returns():
    returns = draw(TRUE[False], 400, seed=6)
    series = moved_by(returns)
    garch = Garch(4, paths=256).fit({"AAA": series.until(series.sessions[350])})
    rolling = garch.roll({"AAA": series}, series.sessions[351])["AAA"]
    p, _ = fit_garch(returns[:350], asymmetric=False)
    expected = p.simulate(p.next_variance(returns)[350:], draws(256, 4), LEVELS) / 100
    assert rolling.values == pytest.approx(expected, abs=2e-6)  # the optimiser's last digits


def test_a_price_that_does_not_move_has_typical_parameters_and_is_named():
    still = moved_by(np.zeros(300))
    garch = Garch(2, paths=64)
    with pytest.warns(FallbackWarning, match="garch of AAA has typical parameters .*: its price hardly moves"):
        garch.fit({"AAA": still})
    assert garch.fallbacks == {"AAA": "its price hardly moves"}
    values = garch.roll({"AAA": still}, still.sessions[260])["AAA"].values
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 1e-3


def test_a_fit_that_does_not_converge_is_tried_again_and_then_named(monkeypatch):
    starts = []

    class Unfinished:
        convergence_flag, params = 9, np.ones(4)

        def fit(self, starting_values, **_):
            starts.append(starting_values)
            return self

    monkeypatch.setattr("arch.arch_model", lambda *_, **__: Unfinished())
    returns = draw(TRUE[False], 300, seed=7)
    p, reason = fit_garch(returns, asymmetric=False)
    assert [start is None for start in starts] == [True, False]
    assert p == typical_parameters(returns, False)
    assert reason == "the likelihood did not converge (optimiser's flag 9)"


def test_a_symbol_that_fit_did_not_see_is_forecast_at_its_own_variance_and_named():
    seen, unseen = moved_by(draw(TRUE[False], 300, seed=8)), moved_by(5 * draw(TRUE[False], 300, seed=9))
    garch = Garch(1, paths=512).fit({"AAA": seen})
    with pytest.warns(FallbackWarning, match="garch of BBB .*: fit was not given 250 bars of it"):
        values = garch.roll({"BBB": unseen}, unseen.sessions[290])["BBB"].values
    assert garch.fallbacks == {"BBB": "fit was not given 250 bars of it"}
    size = np.diff(np.log(unseen.bars["close"].to_numpy()))[:249].std()
    spread = values[:, 0, LEVELS.index(0.75)] - values[:, 0, LEVELS.index(0.25)]
    assert spread.mean() == pytest.approx(1.2 * size, rel=0.4)


def test_typical_parameters_have_the_variance_of_the_returns():
    returns = np.random.default_rng(0).normal(0, 3, 5000)
    for asymmetric in (False, True):
        p = typical_parameters(returns, asymmetric)
        assert p.omega / (1 - p.alpha - p.gamma / 2 - p.beta) == pytest.approx((returns**2).mean())
