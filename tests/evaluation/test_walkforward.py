from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from helpers import random_walk, with_void
from scipy import stats

from forecasting.config import LEVELS, BacktestConfig, CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.errors import DataError, TooFewBars, UsageError
from forecasting.evaluation.baselines import RandomWalk, make_baselines
from forecasting.evaluation.comparison import score_backtest
from forecasting.evaluation.scores import crps
from forecasting.evaluation.significance import diebold_mariano
from forecasting.evaluation.walkforward import walk_forward
from forecasting.evaluation.workers import Workers
from forecasting.forecasts import RollingForecast
from forecasting.model.forecaster import RNNForecaster

CONFIG = BacktestConfig(test_sessions=6, refit_every=4)


@dataclass
class Normal:
    """Forecast a normal random walk of one width, whatever the series; `spoil` may break an answer."""

    name: str = "normal"
    sigma: float = 0.01
    horizon: int = 2
    levels: tuple[float, ...] = LEVELS
    needs: int = 1
    spoil: object = None
    seen: list = field(default_factory=list)

    def fit(self, series, progress=None):
        self.seen.append(("fit", {s: x.sessions[-1] for s, x in series.items()}))
        return self

    def roll(self, series, first):
        self.seen.append(("roll", first, {s: x.sessions[-1] for s, x in series.items()}))
        spread = self.sigma * np.sqrt(np.arange(1, self.horizon + 1))
        one = spread[:, None] * stats.norm.ppf(np.array(self.levels))
        rolled = {}
        for symbol, x in series.items():
            origins = x.sessions[x.sessions >= first]
            close = x.bars["close"].to_numpy(copy=True)[len(x) - len(origins) :]
            rolled[symbol] = RollingForecast(
                x.instrument, origins, close, self.levels, np.tile(one, (len(origins), 1, 1))
            )
        return self.spoil(rolled) if self.spoil else rolled


@pytest.fixture
def series():
    return {s: random_walk(s, bars=130, seed=i) for i, s in enumerate(["AAA", "BBB"])}


def test_a_forecaster_is_fitted_on_the_past_and_rolled_over_no_later_bar_than_the_folds_last(series):
    forecaster = Normal()
    walk_forward([forecaster], series, CONFIG)
    # the last six sessions of 2018: 21, 24, 26, 27 | 28, 31 December
    day = {d: pd.Timestamp(f"2018-12-{d}") for d in (20, 21, 27, 28, 31)}
    assert forecaster.seen == [
        ("fit", {"AAA": day[20], "BBB": day[20]}),
        ("roll", day[21], {"AAA": day[27], "BBB": day[27]}),
        ("fit", {"AAA": day[27], "BBB": day[27]}),
        ("roll", day[28], {"AAA": day[31], "BBB": day[31]}),
    ]


def test_every_test_session_is_an_origin_once_with_its_own_outcome(series):
    backtest = walk_forward([Normal()], series, CONFIG)
    for symbol, x in series.items():
        rolling = backtest.forecasts["normal"][symbol]
        assert rolling.origins.equals(x.sessions[-6:])
        close = np.log(x.bars["close"].to_numpy())[-6:]
        expected = np.full((6, 2), np.nan)
        expected[:5, 0], expected[:4, 1] = close[1:] - close[:-1], close[2:] - close[:-2]
        assert backtest.outcomes[symbol] == pytest.approx(expected, nan_ok=True, abs=1e-14)


def spoiled(change):
    def spoil(rolled):
        last = rolled["BBB"]
        return rolled | {"BBB": change(last)}

    return spoil


def with_value(value):
    def change(rolling):
        values = rolling.values.copy()
        values[1, 0, 3] = value
        return replace(rolling, values=values)

    return change


def without_the_last_origin(rolling):
    return replace(rolling, origins=rolling.origins[:-1], values=rolling.values[:-1])


def a_day_late(rolling):
    return replace(rolling, origins=rolling.origins + pd.Timedelta(days=1))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (with_value(np.nan), "1 origins with NaN"),
        (with_value(-np.inf), "1 origins with NaN or infinity"),
        (with_value(0.5), "1 origins with crossing quantiles"),
        (without_the_last_origin, "3 origins where 4 were asked for"),
        (a_day_late, "4 origins where 4 were asked for"),
    ],
)
def test_an_answer_that_cannot_be_scored_is_refused_and_its_forecaster_named(series, change, problem):
    bad = Normal("careless", spoil=spoiled(change))
    with pytest.raises(DataError, match=f"careless returned for BBB, 2018-12-21 to 2018-12-27: {problem}"):
        walk_forward([Normal(), bad], series, CONFIG)


def test_a_forecaster_that_leaves_a_symbol_out_is_refused(series):
    bad = Normal("careless", spoil=lambda rolled: {"AAA": rolled["AAA"]})
    with pytest.raises(DataError, match="careless returned AAA where AAA, BBB were asked for"):
        walk_forward([Normal(), bad], series, CONFIG)


def test_a_symbol_without_enough_past_is_left_out_by_name(series):
    short = {"AAA": series["AAA"], "BBB": replace(series["BBB"], bars=series["BBB"].bars.iloc[-50:])}
    backtest = walk_forward([Normal(), RandomWalk("constant", 2)], short, CONFIG)
    assert list(backtest.outcomes) == ["AAA"]
    assert backtest.excluded == {
        "BBB": "BBB has 44 bars before the test starts on 2018-12-21, 102 are needed",
    }


def test_a_symbol_with_a_void_session_in_the_test_or_shortly_before_it_is_left_out_by_name(series):
    broken = {
        "AAA": series["AAA"],
        "BBB": with_void(series["BBB"], "2018-12-26"),
        "CCC": with_void(random_walk("CCC", bars=300, seed=2), "2018-08-01"),
        "DDD": with_void(random_walk("DDD", bars=300, seed=3), "2018-06-01"),
    }
    walked = walk_forward([Normal(), RandomWalk("constant", 2)], broken, CONFIG)
    assert walked.excluded == {
        "BBB": "BBB had a price that was not positive on 2018-12-26, within the test from 2018-12-21 to 2018-12-31, so "
        "no log return exists there",
        "CCC": "CCC has 98 bars since 2018-08-01 (its price was not positive there, so no log return exists) before "
        "the test starts on 2018-12-21, 102 are needed",
    }
    assert list(walked.outcomes) == ["AAA", "DDD"]


def test_the_network_walks_over_a_symbol_whose_void_session_lies_long_before_the_test():
    recipe = Recipe(
        horizon=2,
        network=NetworkConfig(hidden=4),
        training=TrainingConfig(window=40, burn_in=20, epochs=1),
        calibration=CalibrationConfig(sessions=20),
    )
    whole = {s: random_walk(s, bars=500, seed=i) for i, s in enumerate(["AAA", "BBB"])}
    broken = {**whole, "BBB": with_void(whole["BBB"], "2018-03-01")}
    walked = walk_forward([RNNForecaster(recipe), RandomWalk("constant", 2)], broken, CONFIG)
    assert walked.excluded == {}
    assert len(walked.forecasts["network"]["BBB"].origins) == 6


def test_where_no_symbol_has_enough_past_the_walk_is_refused(series):
    with pytest.raises(TooFewBars, match=r"AAA has 124 bars before .* 125 are needed; BBB .*next:"):
        walk_forward([Normal(needs=125)], series, CONFIG)


def test_two_forecasters_of_one_name_are_refused(series):
    with pytest.raises(UsageError, match="each needs its own"):
        walk_forward([Normal(), Normal()], series, CONFIG)


def test_too_short_a_history_is_refused_before_anything_is_fitted(series):
    forecaster = Normal()
    with pytest.raises(TooFewBars):
        walk_forward([forecaster], series, BacktestConfig(test_sessions=130))
    assert forecaster.seen == []


def test_a_symbol_that_stopped_trading_before_the_test_part_is_left_out_by_name(series):
    ended = {**series, "CCC": random_walk("CCC", bars=150, last="2018-11-30")}
    backtest = walk_forward([Normal(), RandomWalk("constant", 2)], ended, CONFIG)
    assert backtest.excluded == {"CCC": "CCC has no bar from 2018-12-21 on, where the test starts"}
    alone = walk_forward([Normal(), RandomWalk("constant", 2)], series, CONFIG)
    pd.testing.assert_frame_equal(score_backtest(backtest).scores, score_backtest(alone).scores)


def test_a_symbol_that_stops_trading_within_the_test_part_is_scored_until_then(series):
    ends = {**series, "CCC": random_walk("CCC", bars=150, last="2018-12-26")}
    backtest = walk_forward([Normal(), RandomWalk("constant", 2)], ends, CONFIG)
    assert backtest.excluded == {}
    assert len(backtest.forecasts["random_walk"]["CCC"].origins) == 3  # 21, 24, 26 December


def test_scores_are_means_over_the_same_matured_rows(series):
    config = BacktestConfig(test_sessions=25, refit_every=25)
    backtest = walk_forward([Normal(sigma=0.01), Normal("wide", sigma=0.03)], series, config)
    scores = score_backtest(backtest, horizons=(1, 2)).scores.set_index("horizon")
    for h in (1, 2):
        losses, hits = {}, []
        for name, sigma in (("normal", 0.01), ("wide", 0.03)):
            quantiles = sigma * np.sqrt(h) * stats.norm.ppf(LEVELS)
            losses[name] = np.array(
                [
                    [crps(quantiles, np.array(np.log(c[t + h] / c[t])), LEVELS) for t in range(105, 130 - h)]
                    for c in (x.bars["close"].to_numpy() for x in series.values())
                ]
            )
        edge = 0.01 * np.sqrt(h) * stats.norm.ppf(0.9)
        for x in series.values():
            c = x.bars["close"].to_numpy()
            hits += [abs(np.log(c[t + h] / c[t])) <= edge for t in range(105, 130 - h)]
        row = scores.loc[h]
        assert row["rows"] == 2 * (25 - h)
        assert row["crps_normal"] == pytest.approx(losses["normal"].mean(), rel=1e-6)
        assert row["crps_wide"] == pytest.approx(losses["wide"].mean(), rel=1e-6)
        assert row["skill_wide"] == pytest.approx(1 - losses["normal"].mean() / losses["wide"].mean(), rel=1e-6)
        by_date = (losses["wide"] - losses["normal"]).mean(axis=0)
        assert row["p_wide"] == pytest.approx(diebold_mariano(by_date, h)[1], rel=1e-5)
        assert row["coverage_80"] == pytest.approx(np.mean(hits))


def test_a_horizon_no_outcome_has_reached_is_left_out(series):
    backtest = walk_forward([Normal(horizon=20)], series, CONFIG)
    assert score_backtest(backtest).scores["horizon"].tolist() == [1, 2, 3, 5]
    with pytest.raises(TooFewBars, match="more --test-sessions"):
        score_backtest(walk_forward([Normal()], series, BacktestConfig(test_sessions=1)))


def test_an_interval_the_levels_do_not_hold_is_left_out(series):
    scores = score_backtest(walk_forward([Normal(levels=(0.1, 0.5, 0.9))], series, CONFIG)).scores
    assert [c for c in scores.columns if c.startswith("coverage")] == ["coverage_80"]


TINY = Recipe(
    horizon=2,
    network=NetworkConfig(hidden=4),
    training=TrainingConfig(window=40, burn_in=20, epochs=1),
    calibration=CalibrationConfig(sessions=20),
)
LONGER = BacktestConfig(test_sessions=30, refit_every=15)


@pytest.fixture(scope="module")
def longer():
    return {s: random_walk(s, bars=300, seed=i) for i, s in enumerate(["AAA", "BBB"])}


@pytest.fixture(scope="module")
def serial(longer):
    return walk_forward([RNNForecaster(TINY), *make_baselines(2, recipe=TINY)], longer, LONGER)


def assert_same(found, expected):
    for name, by_symbol in expected.forecasts.items():
        for symbol, rolling in by_symbol.items():
            assert np.array_equal(found.forecasts[name][symbol].values, rolling.values), name


def test_folds_in_other_processes_give_the_same_forecasts_to_the_last_bit(longer, serial):
    told = []
    found = walk_forward(
        [RNNForecaster(TINY), *make_baselines(2, recipe=TINY)],
        longer,
        LONGER,
        lambda *step: told.append(step),
        Workers(2),
    )
    assert_same(found, serial)
    done = [step for _, step, _ in told]
    assert done == sorted(done)
    assert told[0] == ("backtest", 0, told[0][2])
    assert told[-1][1] == told[-1][2]


def test_folds_on_a_dask_cluster_give_the_same_forecasts_to_the_last_bit(longer, serial):
    from distributed import LocalCluster

    # the dashboard would listen on a fixed port
    with LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        found = walk_forward(
            [RNNForecaster(TINY), *make_baselines(2, recipe=TINY)],
            longer,
            LONGER,
            workers=Workers(backend="dask", scheduler=cluster.scheduler_address),
        )
    assert_same(found, serial)


class Killed(Exception):
    pass


def test_a_walk_that_was_killed_goes_on_without_doing_again_what_was_finished(series, tmp_path):
    class Fatal(Normal):
        def fit(self, series, progress=None):
            if self.spoil is None and len(self.seen) == 2:  # one fold is done: fit and roll
                raise Killed
            return super().fit(series, progress)

    whole = walk_forward([Normal("first"), Normal("second")], series, CONFIG)
    with pytest.raises(Killed):
        walk_forward([Normal("first"), Fatal("second")], series, CONFIG, parts=tmp_path)
    again = Normal("first"), Normal("second")
    told = []
    found = walk_forward(again, series, CONFIG, lambda *step: told.append(step), parts=tmp_path)
    assert_same(found, whole)
    assert [len(forecaster.seen) for forecaster in again] == [0, 2]  # only the second fold of the second
    assert told[0] == ("backtest", 300, 400)
    last = Normal("first"), Normal("second")
    assert_same(walk_forward(last, series, CONFIG, parts=tmp_path), whole)
    assert [len(forecaster.seen) for forecaster in last] == [0, 0]


@pytest.mark.parametrize("damage", ["cut", "emptied", "of other origins"])
def test_a_part_that_is_not_whole_is_done_again(series, tmp_path, damage):
    whole = walk_forward([Normal()], series, CONFIG, parts=tmp_path)
    path = tmp_path / "000-normal.npz"
    content = path.read_bytes()
    if damage == "of other origins":
        (tmp_path / "001-normal.npz").replace(path)
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    forecaster = Normal()
    assert_same(walk_forward([forecaster], series, CONFIG, parts=tmp_path), whole)
    assert forecaster.seen[0][0] == "fit"


def test_a_fold_that_fails_in_another_process_is_told_as_here(series):
    bad = Normal("careless", spoil=Crossing())
    for workers in (Workers(), Workers(2)):
        with pytest.raises(DataError, match="careless returned for BBB, .*: 1 origins with crossing"):
            walk_forward([bad], series, CONFIG, workers=workers)


class Crossing:
    """Break an answer, in whichever process."""

    def __call__(self, rolled):
        return rolled | {"BBB": with_value(0.5)(rolled["BBB"])}


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"backend": "spark"}, "backends are local, dask"),
        ({"jobs": 0}, "at least one process works"),
        ({"backend": "dask"}, "next: --backend dask --scheduler"),
        ({"scheduler": "tcp://127.0.0.1:9"}, "next: --backend dask --scheduler"),
    ],
)
def test_workers_that_make_no_sense_are_refused(settings, rule):
    with pytest.raises(UsageError, match=rule):
        Workers(**settings)


def test_a_cluster_that_does_not_answer_is_named(series, monkeypatch):
    monkeypatch.setattr("forecasting.evaluation.workers._PATIENCE_S", 0.2)
    with pytest.raises(UsageError, match=r"tcp://127.0.0.1:9 does not answer .* next: check its address"):
        walk_forward([Normal()], series, CONFIG, workers=Workers(backend="dask", scheduler="tcp://127.0.0.1:9"))


def test_a_walk_without_refits_is_one_pass_and_equals_forecasting_every_origin_alone(longer):
    forecasters = [RNNForecaster(TINY), *make_baselines(2, recipe=TINY)]
    config = BacktestConfig(test_sessions=12, refit_every=None)
    walked = walk_forward(forecasters, longer, config)
    (fold,) = walked.folds
    for forecaster in forecasters:
        fitted = forecaster.fit(fold.training_part(longer))
        for k, origin in enumerate(longer["AAA"].sessions[-12:]):
            alone = fitted.roll({symbol: s.until(origin) for symbol, s in longer.items()}, origin)
            for symbol, rolling in alone.items():
                many = walked.forecasts[forecaster.name][symbol].values[k]
                assert rolling.values[0] == pytest.approx(many, abs=1e-6), (forecaster.name, origin)
