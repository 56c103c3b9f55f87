from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import random_walk
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.config import LEVELS
from forecasting.evaluation.baselines import RandomWalk, make_baselines

KINDS = ["constant", "ewma"]


def plain_quantiles(log_close: np.ndarray, t: int, h: int, window: int, volatility: str) -> np.ndarray:
    """Say again, one origin and horizon at a time, what the baseline promises."""

    def scale(at: int) -> float:
        if volatility == "constant":
            return 1.0
        squares = np.diff(log_close[: at + 1]) ** 2
        weights = 0.94 ** np.arange(len(squares))[::-1]
        return float(np.sqrt(weights @ squares / weights.sum() + 1e-8))

    starts = [s for s in range(t - h, t - h - window, -1) if s >= (1 if volatility == "ewma" else 0)]
    past = [(log_close[s + h] - log_close[s]) / scale(s) for s in starts]
    return np.quantile(past, LEVELS) * scale(t)


@pytest.mark.parametrize("volatility", KINDS)
def test_quantiles_are_those_of_the_returns_complete_at_the_origin(volatility):
    series = random_walk(bars=260, seed=1)
    log_close = np.log(series.bars["close"].to_numpy())
    baseline = RandomWalk(volatility, horizon=3, window=150)
    rolling = baseline.fit({}).roll({"AAA": series}, series.sessions[120])["AAA"]
    assert rolling.origins.equals(series.sessions[120:])
    assert rolling.last_close.tolist() == series.bars["close"].iloc[120:].tolist()
    for t in (120, 155, 259):
        for h in (1, 3):
            expected = plain_quantiles(log_close, t, h, 150, volatility)
            assert rolling.values[t - 120, h - 1] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("volatility", KINDS)
@given(origin=st.integers(130, 198), factor=st.floats(0.1, 10))
@settings(max_examples=10)
def test_changing_the_future_changes_no_earlier_forecast(volatility, origin, factor):
    series = random_walk(bars=200, seed=2)
    bars = series.bars.copy()
    bars.iloc[origin + 1 :] *= factor
    first = series.sessions[120]
    baseline = RandomWalk(volatility, horizon=2)
    before = baseline.roll({"AAA": series}, first)["AAA"].values[: origin - 119]
    after = baseline.roll({"AAA": replace(series, bars=bars)}, first)["AAA"].values[: origin - 119]
    cut = baseline.roll({"AAA": series.until(series.sessions[origin])}, first)["AAA"].values
    assert np.array_equal(before, after)
    assert np.array_equal(before, cut)


@pytest.mark.parametrize("volatility", KINDS)
def test_a_forecast_does_not_depend_on_where_the_roll_begins(volatility):
    series = random_walk(bars=300, seed=3)
    baseline = RandomWalk(volatility, horizon=2, window=120)
    long = baseline.roll({"AAA": series}, series.sessions[150])["AAA"].values
    short = baseline.roll({"AAA": series}, series.sessions[280])["AAA"].values
    assert short == pytest.approx(long[-20:], rel=1e-12)


@pytest.mark.parametrize("volatility", KINDS)
def test_too_short_a_past_gives_no_number_rather_than_a_guess(volatility):
    series = random_walk(bars=110)
    values = RandomWalk(volatility, horizon=1).roll({"AAA": series}, series.sessions[0])["AAA"].values
    fewest = 100 + (volatility == "ewma")  # the first bar has no volatility yet
    assert np.isnan(values[:fewest]).all()
    assert np.isfinite(values[fewest:]).all()


@pytest.mark.parametrize("volatility", KINDS)
def test_a_history_that_ended_before_the_first_origin_has_no_forecasts(volatility):
    series = random_walk(bars=150, last="2017-06-30")
    rolling = RandomWalk(volatility, horizon=4).roll({"AAA": series}, pd.Timestamp("2018-01-02"))["AAA"]
    assert rolling.values.shape == (0, 4, len(LEVELS))
    assert len(rolling.origins) == 0


def test_the_ewma_walk_widens_after_a_storm_and_the_constant_one_does_not():
    calm, storm = random_walk(bars=600, seed=4, volatility=0.005), random_walk(bars=20, seed=5, volatility=0.05)
    close = np.concatenate([calm.bars["close"][:-20], calm.bars["close"].iloc[-21] * storm.bars["close"] / 100])
    series = replace(calm, bars=calm.bars.assign(close=close))
    width = {}
    for kind in KINDS:
        values = RandomWalk(kind, horizon=1).roll({"AAA": series}, series.sessions[579])["AAA"].values
        spread = values[:, 0, LEVELS.index(0.9)] - values[:, 0, LEVELS.index(0.1)]
        width[kind] = spread[-1] / spread[0]
    assert width["ewma"] > 4
    assert width["constant"] < 1.5


def test_the_baselines_are_two_and_the_judge_comes_last():
    assert [b.name for b in make_baselines(20)] == ["random_walk", "random_walk_ewma"]
    assert {b.horizon for b in make_baselines(7)} == {7}
