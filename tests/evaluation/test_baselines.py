import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import random_walk, with_void
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.config import LEVELS, BacktestConfig, CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.errors import DataError, ModelError, TooFewBars, UsageError
from forecasting.evaluation.baselines import NoRecurrence, RandomWalk, make_baselines
from forecasting.evaluation.boosting import BoostedQuantiles
from forecasting.evaluation.calibrated import Calibrated
from forecasting.evaluation.comparison import score_backtest
from forecasting.evaluation.garch import FallbackWarning, Garch
from forecasting.evaluation.har import HarQuantiles
from forecasting.evaluation.walkforward import walk_forward
from forecasting.forecasts import RollingForecast
from forecasting.model.forecaster import RNNForecaster

KINDS = ["constant", "ewma"]
FEW = (0.1, 0.5, 0.9)


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
@pytest.mark.parametrize("bars", [3, 100, 101, 103, 149, 150, 153, 300])
def test_the_latest_forecast_is_that_of_the_roll(volatility, bars):
    series = random_walk(bars=bars, seed=4)
    baseline = RandomWalk(volatility, horizon=4, window=150)
    rolled, latest = baseline.roll({"AAA": series}, series.sessions[-1])["AAA"].latest(), baseline.latest(series)
    assert latest.values == pytest.approx(rolled.values, rel=1e-12, nan_ok=True)
    assert latest.target_sessions.equals(rolled.target_sessions)
    assert (latest.origin, latest.last_close, latest.levels) == (rolled.origin, rolled.last_close, rolled.levels)


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


SMALL = Recipe(
    horizon=3,
    levels=FEW,
    network=NetworkConfig(hidden=4),
    training=TrainingConfig(window=40, burn_in=20, epochs=1),
    calibration=CalibrationConfig(sessions=50),
)
FITTED = {
    "har": lambda: HarQuantiles(3, FEW),
    "garch": lambda: Garch(3, FEW, paths=64),
    "gjr_garch": lambda: Garch(3, FEW, asymmetric=True, paths=64),
    "boosted": lambda: BoostedQuantiles(3, FEW, rows=300),
    "no_recurrence": lambda: NoRecurrence(SMALL),
    "random_walk_calibrated": lambda: Calibrated(RandomWalk("constant", 3, FEW), SMALL.calibration),
    "har_calibrated": lambda: Calibrated(HarQuantiles(3, FEW), SMALL.calibration),
    "garch_calibrated": lambda: Calibrated(Garch(3, FEW, paths=64), SMALL.calibration),
}


@pytest.fixture(scope="module")
def market():
    return {s: random_walk(s, bars=400, seed=i, volatility=0.01 * (1 + i)) for i, s in enumerate(["AAA", "BBB", "CCC"])}


@pytest.fixture(scope="module", params=FITTED)
def baseline(request, market):
    """A baseline fitted on the first 370 bars; the other 30 are origins."""
    fitted = FITTED[request.param]().fit({s: x.until(x.sessions[369]) for s, x in market.items()})
    assert fitted.name == request.param
    return fitted


def test_a_baseline_gives_ordered_finite_quantiles_from_every_origin(baseline, market):
    first = market["AAA"].sessions[370]
    rolled = baseline.roll(market, first)
    assert set(rolled) == set(market)
    for symbol, rolling in rolled.items():
        assert rolling.origins.equals(market[symbol].sessions[370:])
        assert rolling.last_close.tolist() == market[symbol].bars["close"].iloc[370:].tolist()
        assert rolling.values.shape == (30, 3, len(FEW))
        assert rolling.levels == FEW
        assert np.isfinite(rolling.values).all()
        assert (np.diff(rolling.values, axis=-1) >= 0).all()


def test_a_baseline_s_forecast_does_not_change_with_any_bar_after_its_origin(baseline, market):
    first, origin = market["AAA"].sessions[370], market["AAA"].sessions[385]
    rng = np.random.default_rng(0)
    altered = {}
    for symbol, series in market.items():
        bars = series.bars.copy()
        bars.loc[bars.index > origin] *= np.exp(rng.normal(0, 0.3, ((bars.index > origin).sum(), 1)))
        altered[symbol] = replace(series, bars=bars)
    before, after = baseline.roll(market, first), baseline.roll(altered, first)
    cut = baseline.roll({s: x.until(origin) for s, x in market.items()}, first)
    for symbol in market:
        assert np.array_equal(before[symbol].values[:16], after[symbol].values[:16])
        assert not np.array_equal(before[symbol].values[16:], after[symbol].values[16:])
        assert cut[symbol].values == pytest.approx(before[symbol].values[:16], abs=1e-6)


def test_a_baseline_s_forecast_does_not_depend_on_where_the_roll_begins(baseline, market):
    long, short = (baseline.roll(market, market["AAA"].sessions[i]) for i in (370, 390))
    for symbol in market:
        assert short[symbol].values == pytest.approx(long[symbol].values[20:], abs=1e-12)


def test_a_baseline_says_the_same_twice_and_whatever_else_is_rolled(baseline, market):
    first = market["AAA"].sessions[370]
    past = {s: x.until(x.sessions[369]) for s, x in market.items()}
    rolled = baseline.roll(market, first)
    again = FITTED[baseline.name]().fit(dict(reversed(past.items()))).roll(dict(reversed(market.items())), first)
    for symbol in market:
        assert np.array_equal(again[symbol].values, rolled[symbol].values)
    # those read the outcomes or the variances of their whole universe
    if not baseline.name.endswith("calibrated") and baseline.name not in {"no_recurrence", "har"}:
        alone = baseline.roll({"BBB": market["BBB"]}, first)["BBB"]
        assert np.array_equal(alone.values, rolled["BBB"].values)
    unseen = random_walk("DDD", bars=400, seed=9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        assert np.array_equal(baseline.roll({**market, "DDD": unseen}, first)["AAA"].values, rolled["AAA"].values)


def test_a_history_that_ended_before_the_first_origin_has_no_forecast_of_a_baseline(baseline, market):
    ended = {"AAA": market["AAA"], "BBB": market["BBB"].until(market["BBB"].sessions[375])}
    rolled = baseline.roll(ended, market["AAA"].sessions[380])
    assert rolled["BBB"].values.shape == (0, 3, len(FEW))
    assert len(rolled["AAA"].origins) == 20


def test_a_baseline_refuses_what_it_cannot_read_and_names_the_symbol(baseline, market):
    day = str(market["AAA"].sessions[395].date())
    with pytest.raises(DataError, match="AAA.*next: "):
        baseline.roll({"AAA": with_void(market["AAA"], day)}, market["AAA"].sessions[390])
    with pytest.raises(TooFewBars, match="AAA has .* bars since .*next: "):
        baseline.roll({"AAA": with_void(market["AAA"], day)}, market["AAA"].sessions[396])


@pytest.mark.parametrize("name", FITTED)
def test_a_baseline_that_was_not_fitted_says_so(name, market):
    with pytest.raises(ModelError, match="has not been fitted; next: "):
        FITTED[name]().roll(market, market["AAA"].sessions[370])


def test_the_sets_of_baselines_have_their_names_and_each_its_horizon_and_levels():
    few = ["random_walk", "random_walk_ewma", "har"]
    assert [b.name for b in make_baselines(20)] == [*few, *(f"{name}_calibrated" for name in few)]
    plain = ["random_walk", "random_walk_ewma", "har", "garch", "gjr_garch", "boosted"]
    everything = make_baselines(7, FEW, "all", SMALL)
    assert [b.name for b in everything] == [*plain, "no_recurrence", *(f"{name}_calibrated" for name in plain)]
    assert {(b.horizon, b.levels) for b in everything[:6]} == {(7, FEW)}
    assert everything[6].recipe == replace(SMALL, horizon=7, network=replace(SMALL.network, cell="none"))
    assert {b.config for b in everything[7:]} == {SMALL.calibration}
    assert not {id(b) for b in everything[:6]} & {id(b.forecaster) for b in everything[7:]}
    with pytest.raises(UsageError, match="'some': kinds of baselines are standard, all"):
        make_baselines(7, kind="some")


def test_all_baselines_walk_beside_a_network(market):
    baselines = make_baselines(2, FEW, "all", SMALL)
    walked = walk_forward([RNNForecaster(replace(SMALL, horizon=2)), *baselines], market, BacktestConfig(30, 30))
    scores = score_backtest(walked).scores
    assert scores[[f"crps_{b.name}" for b in baselines]].notna().all(axis=None)


class Unconditional:
    """A user's own forecaster: quantiles of all past returns, whatever the day."""

    name, needs = "unconditional", 1

    def fit(self, series, progress=None):
        returns = np.concatenate([s.log_returns(range(1, 21)) for s in series.values()])
        self.quantiles = np.nanquantile(returns, LEVELS, axis=0).T  # (H, L)
        return self

    def roll(self, series, first):
        return {symbol: self._roll(s, s.bars["close"].loc[first:]) for symbol, s in series.items()}

    def _roll(self, series, closes):
        values = np.tile(self.quantiles, (len(closes), 1, 1))  # (N, H, L)
        return RollingForecast(series.instrument, pd.DatetimeIndex(closes.index), closes.to_numpy(), LEVELS, values)


def test_a_user_s_own_forecaster_is_walked_scored_and_calibrated_like_any_other(market):
    own = [Unconditional(), Calibrated(Unconditional(), CalibrationConfig(sessions=50))]
    baselines = make_baselines(20, recipe=SMALL)
    scores = score_backtest(walk_forward([*own, *baselines], market, BacktestConfig(40, 20))).scores
    names = ["unconditional", "unconditional_calibrated", *(b.name for b in baselines)]
    assert [c for c in scores if c.startswith("crps_")] == [f"crps_{name}" for name in names]
