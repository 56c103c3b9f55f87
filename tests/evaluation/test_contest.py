import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import synthetic_series

from forecasting.config import BacktestConfig, CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.evaluation import contest
from forecasting.evaluation.contest import contest_recipe, contest_refresh, is_refresh
from forecasting.evaluation.significance import diebold_mariano
from forecasting.model.forecaster import RNNForecaster

RECIPE = Recipe(
    horizon=3,
    network=NetworkConfig(hidden=4),
    training=TrainingConfig(window=60, burn_in=30, epochs=1, batch_size=8),
    calibration=CalibrationConfig(sessions=100),
)
DIVERTED = replace(
    RECIPE, training=replace(RECIPE.training, learning_rate=0.5)
)  # trains itself away from any sane forecast
SPLIT = BacktestConfig(test_sessions=120, refit_every=60)


def day(text):
    return pd.Timestamp(text)


@pytest.fixture(scope="module")
def series():
    return {s: synthetic_series(s, "2018-12-31", "2015-01-02") for s in ("SYN1", "SYN2")}


@pytest.fixture(scope="module")
def champion(series):
    """Fitted half a year before."""
    return RNNForecaster(RECIPE).fit({symbol: s.until(day("2018-06-29")) for symbol, s in series.items()})


@pytest.fixture(scope="module")
def candidate(series):
    return RNNForecaster(RECIPE).fit(series)


@pytest.fixture(scope="module")
def lost(series):
    """What comes of trying the worse recipe."""
    return contest_recipe(RECIPE, DIVERTED, series, split=SPLIT)


def damage(forecaster, factor):
    """Return a forecaster whose weights are off."""
    model = forecaster.model
    network = copy.deepcopy(model.network)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(factor)
    return RNNForecaster(forecaster.recipe, replace(model, network=network))


def test_a_refresh_that_is_as_good_replaces_the_champion(champion, candidate, series):
    decision = contest_refresh(champion, candidate, series)
    assert decision.promote
    numbers = decision.numbers
    assert numbers["contest"] == "refresh"
    # 60 origins, the last of them three sessions before the last one
    assert (numbers["first"], numbers["last"], numbers["sessions"]) == ("2018-10-01", "2018-12-26", 60)
    assert (numbers["symbols"], numbers["horizons"]) == (2, [1, 2, 3])
    assert decision.reason.startswith("refresh: CRPS ")
    assert "on 60 sessions from 2018-10-01 to 2018-12-26, p = " in decision.reason
    assert "unless it is more than 1% higher" in decision.reason


def test_its_numbers_are_those_of_a_second_plain_computation(champion, candidate, series):
    numbers = contest_refresh(champion, candidate, series).numbers
    levels = np.array(RECIPE.levels)
    loss = {}  # (origins, symbols, horizons), twice the mean pinball loss
    for name, forecaster in (("candidate", candidate), ("champion", champion)):
        of_symbols = []
        for symbol, rolling in forecaster.roll(series, day("2018-10-01")).items():
            close = series[symbol].bars["close"].loc["2018-10-01":].to_numpy()
            outcomes = np.stack([np.log(close[h : h + 60] / close[:60]) for h in (1, 2, 3)], axis=1)
            error = outcomes[..., None] - rolling.values[:60]
            of_symbols.append(2 * np.maximum(levels * error, (levels - 1) * error).mean(axis=-1))
        loss[name] = np.stack(of_symbols, axis=1)
    for name, one in loss.items():
        assert numbers[f"crps_{name}"] == pytest.approx(one.mean(axis=(0, 1)))
    ratio = loss["candidate"].mean(axis=(0, 1)) / loss["champion"].mean(axis=(0, 1))
    assert numbers["skill"] == pytest.approx(np.mean(1 - ratio))
    daily = loss["champion"].mean(axis=1) - loss["candidate"].mean(axis=1)
    relative = (daily / loss["champion"].mean(axis=(0, 1))).mean(axis=1)
    assert numbers["p"] == pytest.approx(diebold_mariano(relative, 3)[1])


def test_a_refresh_that_is_more_than_one_percent_worse_is_kept_out(champion, candidate, series):
    decision = contest_refresh(champion, damage(candidate, 3.0), series)
    assert not decision.promote
    assert decision.numbers["skill"] < -0.01
    assert decision.reason.endswith("more than 1% higher, so the champion stays")
    assert contest_refresh(damage(champion, 3.0), candidate, series).promote


@pytest.mark.parametrize(("share", "promoted"), [(1.01, True), (0.99, False)])
def test_the_tolerance_is_the_line(champion, candidate, series, monkeypatch, share, promoted):
    worse = damage(candidate, 3.0)
    lost = -contest_refresh(champion, worse, series).numbers["skill"]
    monkeypatch.setattr(contest, "TOLERANCE", share * lost)
    assert contest_refresh(champion, worse, series).promote is promoted


def test_a_refresh_is_compared_only_after_the_training_of_both(champion, candidate, series):
    # the later of the two was trained up to 2018-08-07: of the sessions since, the last 3 have no outcome yet
    assert max(champion.model.trained_until, candidate.model.trained_until) == day("2018-08-07")
    many = contest_refresh(champion, candidate, series, sessions=500)
    assert (many.numbers["first"], many.numbers["sessions"]) == ("2018-08-08", 97)
    early = {symbol: s.until(day("2018-09-07")) for symbol, s in series.items()}
    few = contest_refresh(champion, candidate, early)
    assert not few.promote
    assert few.numbers == {}
    assert "19 sessions with known outcomes lie after the training of both models, 20 are needed" in few.reason
    assert few.reason.endswith("the champion stays")


def test_symbols_that_are_too_young_are_left_out_of_a_refresh(champion, candidate, series):
    young = replace(series["SYN2"], bars=series["SYN2"].bars.loc["2018-10-01":])
    assert contest_refresh(champion, candidate, {**series, "SYN2": young}).numbers["symbols"] == 1
    decision = contest_refresh(champion, candidate, {"SYN2": young})
    assert not decision.promote
    assert "not compared" in decision.reason


def test_a_model_that_ties_exactly_is_promoted_as_a_refresh(champion, series):
    decision = contest_refresh(champion, champion, series)
    assert decision.promote
    assert (decision.numbers["skill"], decision.numbers["p"]) == (0.0, 1.0)


def test_only_a_seed_or_a_device_makes_no_new_recipe():
    training = RECIPE.training
    assert is_refresh(RECIPE, RECIPE)
    assert is_refresh(replace(RECIPE, training=replace(training, seed=7, device="auto")), RECIPE)
    for other in (
        replace(RECIPE, horizon=4),
        replace(RECIPE, network=NetworkConfig(hidden=5)),
        replace(RECIPE, training=replace(training, epochs=2)),
        replace(RECIPE, calibration=CalibrationConfig(sessions=99)),
    ):
        assert not is_refresh(other, RECIPE)


def test_a_new_recipe_that_is_better_wins_on_a_block_that_no_other_was_tried_on(series):
    before = day("2017-12-29"), day("2018-07-10")
    decision = contest_recipe(DIVERTED, RECIPE, series, [before], SPLIT)
    assert decision.promote, decision.reason
    numbers = decision.numbers
    assert numbers["p"] < 0.05
    assert numbers["skill"] > 0
    assert numbers["block"] == ["2018-07-11", "2018-12-31"]
    assert (numbers["contest"], numbers["sessions"]) == ("recipe", 117)
    assert decision.reason.startswith("new recipe (learning_rate 0.003 for 0.5): CRPS ")
    assert decision.reason.endswith("p < 0.05, so it is proven")


def test_a_new_recipe_that_does_not_prove_it_is_kept_out(series, lost):
    assert not lost.promote
    assert lost.numbers["p"] < 0.05
    assert lost.reason.endswith("not proven at p < 0.05: the champion stays")
    # the same recipe but for a detail, and a horizon that reaches less far: compared where both forecast
    tie = contest_recipe(RECIPE, replace(RECIPE, horizon=2), series, split=SPLIT)
    assert not tie.promote
    assert tie.numbers["horizons"] == [1, 2]
    assert tie.numbers["p"] >= 0.05


@pytest.mark.parametrize(
    ("first", "last", "fresh"),
    [
        ("2017-12-29", "2018-07-11", "2019-01-02"),  # one session is enough
        ("2018-07-11", "2018-12-31", "2019-06-24"),
        ("2018-09-04", "2018-09-05", "2019-02-28"),
    ],
)
def test_a_block_serves_one_new_recipe(series, monkeypatch, first, last, fresh):
    monkeypatch.setattr(contest, "walk_forward", None)  # would fail: nothing is walked
    before = (day("2016-01-04"), day("2016-12-30"))
    decision = contest_recipe(RECIPE, DIVERTED, series, [before, (day(first), day(last))], SPLIT)
    assert not decision.promote
    assert decision.numbers == {}
    assert f"another one was on sessions up to {last}" in decision.reason
    assert f"a fresh one exists from {fresh} on" in decision.reason


def test_a_recipe_that_cannot_be_tested_uses_no_block_up(series):
    short = {symbol: s.until(day("2015-12-31")) for symbol, s in series.items()}
    decision = contest_recipe(RECIPE, DIVERTED, short, split=SPLIT)
    assert not decision.promote
    assert decision.numbers == {}
    assert "not tested: " in decision.reason
    assert "next:" not in decision.reason
    levels = replace(RECIPE, levels=(0.1, 0.5, 0.9))
    assert "depends on the quantile levels" in contest_recipe(RECIPE, levels, series, split=SPLIT).reason


def test_killed_a_contest_goes_on_with_what_it_has_done(series, lost, tmp_path):
    class Killed(BaseException):
        pass

    def kill(_what, done, total):
        if done / total > 0.6:
            raise Killed

    with pytest.raises(Killed):
        contest_recipe(RECIPE, DIVERTED, series, split=SPLIT, progress=kill, parts=tmp_path)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == 2
    heard = []
    resumed = contest_recipe(
        RECIPE, DIVERTED, series, split=SPLIT, progress=lambda *call: heard.append(call), parts=tmp_path
    )
    assert heard[0] == ("contest", 200, 400)
    assert heard[-1] == ("contest", 400, 400)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in kept} == kept
    assert resumed == lost
