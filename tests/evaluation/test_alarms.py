from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from helpers import random_walk, sessions_until
from scipy import stats

from forecasting.bars import PriceSeries
from forecasting.config import LEVELS, BacktestConfig, CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.evaluation.alarms import LEAKS, Alarm, find_alarms
from forecasting.evaluation.baselines import RandomWalk
from forecasting.evaluation.breakdown import score_rows
from forecasting.evaluation.walkforward import walk_forward
from forecasting.forecasts import RollingForecast
from forecasting.instruments import Instrument
from forecasting.model import features
from forecasting.model.forecaster import RNNForecaster

ONCE = BacktestConfig(test_sessions=400, refit_every=None)


def rows_of(
    outcomes: np.ndarray,
    horizon: int = 1,
    centre: np.ndarray | float = 0.0,
    spread: np.ndarray | float = 1.0,
    levels: tuple[float, ...] = LEVELS,
    terciles: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return the rows of normal forecasts at one horizon for outcomes (origins, symbols); NaN is no row."""
    origins = sessions_until("2018-12-31", len(outcomes)).rename(None)
    centre, spread = np.broadcast_to(centre, outcomes.shape), np.broadcast_to(spread, outcomes.shape)
    forecasts, known = {}, {}
    for i in range(outcomes.shape[1]):
        one = centre[:, i, None] + spread[:, i, None] * np.sqrt(horizon) * stats.norm.ppf(levels)
        values = np.repeat(one[:, None], horizon, axis=1)
        symbol = f"S{i}"
        forecasts[symbol] = RollingForecast(
            Instrument.from_symbol(symbol), origins, np.ones(len(origins)), levels, values
        )
        known[symbol] = np.full((len(origins), horizon), np.nan)
        known[symbol][:, -1] = outcomes[:, i]
    rows = score_rows(forecasts, known)
    return rows if terciles is None else rows.assign(tercile=terciles.T.ravel())


def sums_ahead(origins: int, horizon: int, symbols: int, seed: int) -> np.ndarray:
    """Return overlapping sums (origins, symbols) of standard normal returns that are half the market's."""
    rng = np.random.default_rng(seed)
    moves = (rng.normal(size=(origins + horizon, 1)) + rng.normal(size=(origins + horizon, symbols))) / np.sqrt(2)
    return np.lib.stride_tricks.sliding_window_view(moves, horizon, axis=0)[1 : origins + 1].sum(axis=-1)


def found(alarms: list[Alarm]) -> list[tuple[str, int]]:
    return [(alarm.kind, alarm.horizon) for alarm in alarms]


@dataclass
class Guess:
    """Forecast a normal law around a guess, from all daily returns and the horizon, for every bar."""

    guess: Callable[[np.ndarray, int], np.ndarray | float]
    name: str = "guess"
    needs: int = 1
    horizon: int = 5

    def fit(self, series, progress=None):
        return self

    def roll(self, series, first):
        return {symbol: self._roll(s, first) for symbol, s in series.items()}

    def _roll(self, s, first):
        begin = s.sessions.searchsorted(first)
        close = s.bars["close"].to_numpy(copy=True)
        r = np.diff(np.log(close), prepend=np.log(close[0]))
        values = np.zeros((len(r), self.horizon, len(LEVELS)))
        for h in range(1, self.horizon + 1):
            values[:, h - 1] = 0.01 * np.sqrt(h) * stats.norm.ppf(LEVELS) + np.reshape(self.guess(r, h), (-1, 1))
        return RollingForecast(s.instrument, s.sessions[begin:], close[begin:], LEVELS, values[begin:])


def a_little_of_tomorrow(r: np.ndarray, horizon: int) -> np.ndarray:
    """Return the best guess from tomorrow's return under noise of twice its size: it knows a fifth of the variance."""
    tomorrow = np.append(r[1:], 0.0)
    return (tomorrow + np.random.default_rng(len(r)).normal(0, 0.02, len(r))) / 5


def past_drift(r: np.ndarray, horizon: int) -> np.ndarray:
    return horizon * pd.Series(r).expanding().mean().to_numpy()


def always_up(r: np.ndarray, horizon: int) -> float:
    return horizon * 0.001


def rising(symbol: str, seed: int, drift: float = 0.001) -> PriceSeries:
    """Return a random walk that rises by a quarter a year on top."""
    walk = random_walk(symbol, bars=1000, seed=seed)
    bars = walk.bars.copy()
    prices = ["open", "high", "low", "close"]
    bars[prices] = bars[prices].mul(np.exp(drift * np.arange(len(bars))), axis=0)
    return replace(walk, bars=bars)


def walked(forecaster, series, config: BacktestConfig = ONCE) -> list[Alarm]:
    backtest = walk_forward([forecaster], series, config)
    rows = score_rows(backtest.forecasts[forecaster.name], backtest.outcomes)
    return find_alarms(rows, sorted(rows["horizon"].unique()))


def test_a_forecaster_that_sees_a_little_of_tomorrow_is_suspected_of_a_leak():
    series = {s: random_walk(s, bars=600, seed=i) for i, s in enumerate(("AAA", "BBB", "CCC"))}
    alarms = walked(Guess(a_little_of_tomorrow), series)
    error, direction = (alarm for alarm in alarms if alarm.kind in LEAKS and alarm.horizon == 1)
    # knowing a fifth of the variance is a correlation of sqrt(1/5)
    assert (error.kind, error.value) == ("leak_rmse", pytest.approx(np.sqrt(0.8), abs=0.02))
    assert (direction.kind, direction.value) == (
        "leak_direction",
        pytest.approx(0.5 + np.arcsin(np.sqrt(0.2)) / np.pi, abs=0.03),
    )
    assert min(error.standard_errors, direction.standard_errors) > 3


@pytest.mark.parametrize("leaking", [False, True])
def test_a_network_is_suspected_of_a_leak_where_one_of_its_features_is_tomorrows_return(monkeypatch, leaking):
    if leaking:
        tomorrow = {"tomorrow": lambda m: {"tomorrow": (pd.Series(m.r).shift(-1) / m.scale).clip(-8, 8)}}
        monkeypatch.setattr(features, "GROUPS", features.GROUPS | tomorrow)
    recipe = Recipe(
        horizon=2,
        network=NetworkConfig(hidden=8),
        training=TrainingConfig(window=40, burn_in=10, epochs=60, batch_size=16),
        calibration=CalibrationConfig(sessions=100),
    )
    series = {s: random_walk(s, bars=1000, seed=i) for i, s in enumerate(("AAA", "BBB", "CCC"))}
    alarms = walked(RNNForecaster(recipe), series, BacktestConfig(test_sessions=250, refit_every=None))
    leaks = {alarm.kind for alarm in alarms if alarm.kind in LEAKS and alarm.horizon == 1}
    assert leaks == (set(LEAKS) if leaking else set())


@pytest.mark.parametrize("guess", [past_drift, always_up])
def test_a_forecaster_of_the_drift_and_one_that_always_says_up_raise_no_alarm_in_rising_markets(guess):
    for seed in range(5):
        series = {s: rising(s, 10 * seed + i) for i, s in enumerate(("AAA", "BBB", "CCC"))}
        assert walked(Guess(guess), series) == []


def test_the_random_walks_raise_no_alarm_on_random_walks():
    series = {s: random_walk(s, bars=800, seed=i) for i, s in enumerate(("AAA", "BBB", "CCC"))}
    assert walked(RandomWalk("constant", 5), series) == []
    assert walked(RandomWalk("ewma", 5), series) == []


def test_honest_forecasts_are_hardly_ever_suspected():
    alarms = []
    for seed in range(40):
        nothing = np.random.default_rng(seed).normal(0, 0.05, (300, 3))  # calls that know nothing
        for horizon in (1, 5, 20):
            outcomes = sums_ahead(300, horizon, 3, 100 + seed)
            alarms += find_alarms(rows_of(outcomes, horizon, nothing), [horizon])
    assert [alarm for alarm in alarms if alarm.kind in LEAKS] == []
    assert len(alarms) <= 1


@pytest.mark.parametrize("horizon", [1, 5])
def test_too_narrow_intervals_are_suspected_by_coverage_and_pit(horizon):
    coverage, pit = find_alarms(rows_of(sums_ahead(750, horizon, 3, 0), horizon, spread=0.7), [horizon])
    assert coverage.kind == "coverage"
    assert coverage.value < coverage.limit < coverage.expected
    assert "calibration" in coverage.cause
    assert pit.kind == "pit"
    assert pit.value > pit.limit > pit.expected
    assert "too narrow altogether" in pit.cause


def test_too_wide_intervals_are_suspected_by_coverage_alone_though_no_outcome_leaves_them():
    (coverage,) = find_alarms(rows_of(sums_ahead(750, 1, 3, 0), spread=10.0), [1])
    assert (coverage.kind, coverage.value) == ("coverage", 1.0)
    assert (coverage.expected, coverage.limit) == (0.8, 0.85)
    assert np.isfinite(coverage.standard_errors)
    assert "has not forgotten" in coverage.cause


def test_tails_thinner_than_the_outcomes_are_suspected_by_the_pit_alone():
    outcomes = np.random.default_rng(0).standard_t(2, (750, 3))
    spread = stats.t.ppf(0.9, 2) / stats.norm.ppf(0.9)  # so that the 80% interval is right
    (pit,) = find_alarms(rows_of(outcomes, spread=spread), [1])
    assert pit.kind == "pit"
    assert pit.cause == "tails thinner than those of returns"


def test_intervals_that_are_too_narrow_in_storms_only_have_another_cause():
    terciles = np.repeat([1, 2, 3] * 25, 10)[:, None] * np.ones((1, 3), dtype=int)
    outcomes = sums_ahead(750, 1, 3, 0) * np.where(terciles == 3, 3.0, 1.0)
    narrow = rows_of(outcomes, terciles=terciles)
    assert "does not follow the volatility" in find_alarms(narrow, [1])[0].cause
    at_all_times = rows_of(sums_ahead(750, 1, 3, 0), spread=0.7, terciles=terciles)
    assert "does not follow the volatility" not in find_alarms(at_all_times, [1])[0].cause
    of_one_kind = narrow.assign(tercile=1)
    assert "does not follow the volatility" not in find_alarms(of_one_kind, [1])[0].cause


def wave(amplitude: float) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes and errors (64, 1) whose 0.97^2 y^2 - e^2 is 0.1 and the first cosine.

    64 dates give 0.4 x 64^(2/3) = 6 cosines. L_1^2 = 64 / 2 amplitude^2, the others are zero, so that the standard
    error is sqrt(32 amplitude^2 / 6 / 64) = amplitude / sqrt(12).
    """
    outcomes = np.where(np.arange(64) % 2 == 0, 1.0, -1.0)
    cosine = np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    return outcomes[:, None], np.sqrt(0.97**2 - 0.1 - amplitude * cosine)[:, None]


def test_the_error_of_a_small_example_by_hand():
    outcomes, errors = wave(0.1)
    rows = rows_of(outcomes, centre=outcomes - errors)
    alarm = next(alarm for alarm in find_alarms(rows, [1]) if alarm.kind == "leak_rmse")
    assert alarm.value == pytest.approx(np.sqrt(0.97**2 - 0.1))
    assert alarm.standard_errors == pytest.approx(np.sqrt(12))
    assert (alarm.expected, alarm.limit, alarm.rows, alarm.dates) == (1.0, 0.97, 64, 64)


def test_an_error_that_is_too_small_by_less_than_three_standard_errors_is_none():
    outcomes, errors = wave(0.12)  # 0.1 / 0.12 x sqrt(12) = 2.9
    assert "leak_rmse" not in dict(found(find_alarms(rows_of(outcomes, centre=outcomes - errors), [1])))


def test_each_date_counts_once_however_many_symbols_it_has():
    outcomes, errors = wave(0.1)
    twice, centre = np.repeat(outcomes, 2, axis=1), np.repeat(outcomes - errors, 2, axis=1)
    twice[32:, 1] = np.nan  # the second symbol has half the dates
    alarm = next(alarm for alarm in find_alarms(rows_of(twice, centre=centre), [1]) if alarm.kind == "leak_rmse")
    assert alarm.value == pytest.approx(np.sqrt(0.97**2 - 0.1))
    assert alarm.standard_errors == pytest.approx(np.sqrt(12))
    assert (alarm.rows, alarm.dates) == (96, 64)


def test_directions_are_compared_with_the_better_constant_guess():
    rng = np.random.default_rng(0)
    outcomes = np.where(rng.random((500, 2)) < 0.3, 1.0, -1.0)  # falls in seven of ten
    right = np.where(rng.random((500, 2)) < 0.9, outcomes, -outcomes)
    outcomes[0] = 0.0  # has no direction
    alarm = next(a for a in find_alarms(rows_of(outcomes, centre=0.01 * right), [1]) if a.kind == "leak_direction")
    assert alarm.value == pytest.approx((right == outcomes)[1:].mean())
    assert alarm.expected == pytest.approx((outcomes[1:] < 0).mean())
    assert alarm.limit == pytest.approx(alarm.expected + 0.04)
    assert (alarm.rows, alarm.dates) == (998, 499)
    assert 'always "down"' in alarm.measured
    fallen = rows_of(outcomes, centre=np.full((500, 2), -0.01))
    assert not {kind for kind, _ in found(find_alarms(fallen, [1]))} & set(LEAKS)


def test_foresight_is_suspected_from_45_dates_and_ten_horizons_on():
    def suspected(dates: int, horizon: int) -> bool:
        outcomes = sums_ahead(dates, horizon, 3, 0)
        return any(a.kind in LEAKS for a in find_alarms(rows_of(outcomes, horizon, 0.9 * outcomes), [horizon]))

    assert suspected(45, 1)
    assert not suspected(44, 1)
    assert suspected(50, 5)
    assert not suspected(49, 5)
    assert not suspected(750, 6)  # beyond 5 sessions a drift is worth as much


def test_what_never_varies_is_certain_and_what_never_moves_is_nothing():
    steps = np.where(np.arange(100) % 2 == 0, 1.0, -1.0)[:, None]
    alarms = find_alarms(rows_of(steps, centre=steps), [1])
    assert next(alarm for alarm in alarms if alarm.kind == "leak_rmse").standard_errors == np.inf
    assert "more than 100 standard errors below" in alarms[0].sentence
    still = find_alarms(rows_of(np.zeros((100, 1)), spread=0.001), [1])
    assert {alarm.kind for alarm in still} == {"coverage"}


def test_levels_without_the_intervals_and_horizons_without_rows_are_passed_over():
    narrow = rows_of(sums_ahead(300, 1, 2, 0), spread=0.3, levels=(0.25, 0.5, 0.75))
    assert find_alarms(narrow, [1]) == []
    only_eighty = rows_of(sums_ahead(300, 1, 2, 0), spread=0.3, levels=(0.1, 0.5, 0.9))
    assert found(find_alarms(only_eighty, [1])) == [("coverage", 1)]
    assert find_alarms(rows_of(sums_ahead(300, 1, 2, 0)), [2, 7]) == []


def test_an_alarm_says_what_was_measured_its_limit_that_it_is_a_suspicion_its_cause_and_what_to_do():
    outcomes, errors = wave(0.1)
    alarm = next(a for a in find_alarms(rows_of(outcomes, centre=outcomes - errors), [1]) if a.kind == "leak_rmse")
    assert alarm.sentence == (
        "Suspected leak, not a success: 1 session ahead the RMSE is 0.917 of a random walk's, 3.5 standard errors "
        "below the limit of 0.97 (64 rows on 64 dates). Likely cause: a feature, a target, a fit or a calibration that "
        "saw bars after the origin; next: tickercast audit"
    )
    narrow = find_alarms(rows_of(sums_ahead(750, 5, 3, 0), 5, spread=0.7), [5])[0]
    assert narrow.sentence.startswith("Suspected miscalibration: 5 sessions ahead the ")
    assert "(2,250 rows on 750 dates). Likely cause: " in narrow.sentence
    assert narrow.sentence.endswith("; next: tickercast backtest --refit-every 63")
