from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from helpers import random_walk, with_void
from scipy import stats

from forecasting.config import LEVELS, CalibrationConfig
from forecasting.errors import DataError, TooFewBars, UsageError
from forecasting.evaluation.calibrated import Calibrated
from forecasting.forecasts import RollingForecast

CONFIG = CalibrationConfig(sessions=100, rate=0.05)


@dataclass
class Normal:
    """Forecast a normal random walk of one width, and remember what it was shown."""

    sigma: float = 0.01
    horizon: int = 2
    levels: tuple[float, ...] = LEVELS
    name: str = "normal"
    needs: int = 10
    fitted: dict = field(default_factory=dict)
    rolled: list = field(default_factory=list)

    def fit(self, series, progress=None):
        self.fitted = {s: x.sessions[-1] for s, x in series.items()}
        return self

    def roll(self, series, first):
        self.rolled.append((set(series), first))
        spread = self.sigma * np.sqrt(np.arange(1, self.horizon + 1))
        one = spread[:, None] * stats.norm.ppf(np.array(self.levels))
        return {symbol: self._roll(x, x.bars["close"].loc[first:], one) for symbol, x in series.items()}

    def _roll(self, x, closes, one):
        origins = pd.DatetimeIndex(closes.index)
        return RollingForecast(x.instrument, origins, closes.to_numpy(), self.levels, np.tile(one, (len(closes), 1, 1)))


@pytest.fixture(scope="module")
def series():
    return {s: random_walk(s, bars=400, seed=i) for i, s in enumerate(["AAA", "BBB"])}


def rolled(series, forecaster, config=CONFIG, fitted=299, first=300):
    past = {s: x.until(series["AAA"].sessions[fitted]) for s, x in series.items()}
    return Calibrated(forecaster, config).fit(past).roll(series, series["AAA"].sessions[first])


def test_the_forecaster_is_fitted_before_the_kept_out_sessions_and_forecasts_these(series):
    inner, days = Normal(), series["AAA"].sessions
    found = rolled(series, inner)
    assert inner.fitted == {"AAA": days[199], "BBB": days[199]}
    assert inner.rolled == [({"AAA", "BBB"}, days[200])]
    for symbol, rolling in found.items():
        assert rolling.origins.equals(days[300:])
        assert rolling.last_close.tolist() == series[symbol].bars["close"].iloc[300:].tolist()


def test_a_rate_of_zero_leaves_the_forecasts_as_they_are(series):
    found = rolled(series, Normal(), CalibrationConfig(sessions=100, rate=0))
    plain = Normal().roll(series, series["AAA"].sessions[300])
    for symbol in series:
        assert found[symbol].values == pytest.approx(plain[symbol].values, abs=1e-12)


def test_offsets_are_the_plain_quantile_tracking_of_matured_outcomes():
    series = {"AAA": random_walk(bars=260, seed=5)}
    inner = Normal(sigma=0.02, horizon=1)
    values = rolled(series, inner, fitted=199, first=200)["AAA"].values[:, 0]
    quantiles, offset = stats.norm.ppf(LEVELS), np.zeros(len(LEVELS))
    returns = np.diff(np.log(series["AAA"].bars["close"].to_numpy()))
    expected = {}
    for t in range(100, 260):  # origin t has seen the outcomes known strictly before it
        if t >= 102:
            below = returns[t - 2] / 0.02 <= quantiles + offset
            offset = offset + 0.05 * (np.array(LEVELS) - below)
        expected[t] = 0.02 * np.sort(quantiles + offset)
    assert values == pytest.approx(np.array([expected[t] for t in range(200, 260)]), abs=1e-9)


@pytest.mark.parametrize("sigma", [0.004, 0.03])
def test_intervals_far_too_narrow_or_too_wide_are_brought_to_their_coverage(sigma):
    series = {s: random_walk(s, bars=1500, seed=i) for i, s in enumerate(["AAA", "BBB", "CCC"])}
    config = CalibrationConfig(sessions=600, rate=0.1)
    found = rolled(series, Normal(sigma, horizon=3), config, fitted=999, first=1000)
    hits = []
    for symbol, rolling in found.items():
        outcomes = series[symbol].log_returns([1, 2, 3])[1000:-3]
        low, high = (rolling.values[:-3, :, LEVELS.index(level)] for level in (0.1, 0.9))
        hits.append((low <= outcomes) & (outcomes <= high))
    assert np.mean(hits, axis=(0, 1)) == pytest.approx(np.full(3, 0.8), abs=0.04)


def test_a_symbol_too_young_for_the_kept_out_part_joins_when_it_has_the_bars(series):
    young = random_walk("CCC", bars=130, seed=7)  # its first bar is the 270th session of the others
    inner = Normal()
    found = rolled({**series, "CCC": young}, inner)
    days = series["AAA"].sessions
    assert inner.fitted.keys() == {"AAA", "BBB"}
    assert inner.rolled == [({"AAA", "BBB"}, days[200]), ({"CCC"}, days[280])]
    assert found["CCC"].origins.equals(days[300:])
    assert np.isfinite(found["CCC"].values).all()


def test_a_symbol_outside_the_fitted_universe_moves_no_offset(series):
    past = {s: x.until(x.sessions[299]) for s, x in series.items()}
    calibrated = Calibrated(Normal(), CONFIG).fit(past)
    first = series["AAA"].sessions[300]
    wild = random_walk("CCC", bars=400, seed=8, volatility=0.2)
    alone, beside = calibrated.roll(series, first), calibrated.roll({**series, "CCC": wild}, first)
    assert np.array_equal(beside["AAA"].values, alone["AAA"].values)


def test_what_lies_before_a_void_session_calibrates_nothing(series):
    day = series["AAA"].sessions[250]
    found = Normal()
    rolled({**series, "BBB": with_void(series["BBB"], str(day.date()))}, found)
    assert found.rolled == [({"AAA"}, series["AAA"].sessions[200]), ({"BBB"}, series["AAA"].sessions[261])]


def test_a_price_that_does_not_move_has_finite_forecasts():
    still = random_walk(bars=300)
    still = replace(still, bars=still.bars.assign(open=5.0, high=5.0, low=5.0, close=5.0))
    values = rolled({"AAA": still}, Normal(sigma=0.0), fitted=249, first=250)["AAA"].values
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 0.01


def test_what_cannot_be_calibrated_is_refused_and_says_why(series):
    with pytest.raises(TooFewBars, match="span 100 sessions, of which normal_calibrated keeps the last 100 .*next: "):
        rolled(series, Normal(), fitted=99)
    with pytest.raises(UsageError, match="normal_calibrated was fitted on bars up to .*next: "):
        rolled(series, Normal(), first=199)
    with pytest.raises(DataError, match=r"symmetric and contain 0\.5"):
        rolled(series, Normal(levels=(0.1, 0.9)))
