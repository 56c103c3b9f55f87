from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import flat_bars, no_quarantine, random_walk, synthetic_series, utc, with_void

from forecasting.bars import PriceSeries, validate_bars
from forecasting.config import CalibrationConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.errors import TooFewBars, UsageError
from forecasting.evaluation.audit.futures import alter_future, restate_store
from forecasting.evaluation.audit.leakage import (
    AuditReport,
    Check,
    audit_fit,
    audit_fold,
    audit_forecasts,
    audit_network,
    audit_store,
)
from forecasting.evaluation.audit.origins import choose_usable, only_fold, spread_instants
from forecasting.evaluation.audit.stages import Block, compare
from forecasting.evaluation.baselines import RandomWalk, make_baselines
from forecasting.evaluation.folds import Fold
from forecasting.events import no_events
from forecasting.instruments import Instrument
from forecasting.model import calibration, features
from forecasting.model.forecaster import RNNForecaster
from forecasting.model.windows import make_training_set, standardize
from forecasting.sessions import are_sessions, session_close
from forecasting.store import PriceStore

FIRST = pd.Timestamp("2012-11-01")
RECIPE = Recipe(
    horizon=3,
    levels=(0.1, 0.5, 0.9),
    network=NetworkConfig(hidden=4),
    training=TrainingConfig(window=30, burn_in=15, epochs=1),
    calibration=CalibrationConfig(sessions=60, rate=0.1),
)


def on_calendar(symbol, calendar, like):
    """The prices of a synthetic symbol on another exchange: only days on which both have a session."""
    bars = synthetic_series(like, "2012-12-31", "2011-06-01").bars
    return PriceSeries(Instrument(symbol, "synthetic", calendar), bars[are_sessions(calendar, bars.index)])


@pytest.fixture(scope="module")
def world():
    """New York, Tokyo (closes before it) and a coin (closes after it)."""
    exchanges = {"NYC": ("XNYS", "SYN1"), "TOKYO": ("XTKS", "SYN2"), "COIN": ("24/7", "SYN3")}
    return {symbol: on_calendar(symbol, *exchange) for symbol, exchange in exchanges.items()}


@pytest.fixture(scope="module")
def new_york(world):
    return {"NYC": world["NYC"], "OTHER": on_calendar("OTHER", "XNYS", "SYN4")}


@pytest.fixture(scope="module")
def fold(world):
    return only_fold(world, FIRST)


def network(world, kind=RNNForecaster):
    return kind(RECIPE).fit(only_fold(world, FIRST).training_part(world))


class FullSampleScaler(RNNForecaster):
    """Its inputs are standardised by the mean and deviation of all there is, as if scaled before the split."""

    def __init__(self, whole):
        super().__init__(RECIPE)
        self.whole = whole

    def training_set(self, series):
        data = super().training_set(series)
        everything = make_training_set(list(self.whole.values()), (1, 2, 3), 30)
        raw = data.inputs * data.std + data.mean
        mean, std = everything.mean, everything.std
        return replace(data, inputs=standardize(raw, mean, std), mean=mean, std=std)


class ShuffledSplit(RNNForecaster):
    """It is trained on windows drawn at random from all there is, some of which are then called the test."""

    def __init__(self, whole):
        super().__init__(RECIPE)
        self.whole = whole

    def training_set(self, series):
        return make_training_set([self.whole[symbol] for symbol in sorted(self.whole)], (1, 2, 3), 30)


class SameDayMarket(RNNForecaster):
    """It reads, beside a symbol's own return, that of a market on the same date."""

    market = "COIN"

    def features(self, series):
        move = np.log(series[self.market].bars["close"]).diff()
        for symbol, f in super().features(series):
            values = f.values.copy()
            values[:, 0] += 50 * move.reindex(series[symbol].sessions[-len(values) :]).fillna(0.0).to_numpy("float32")
            yield symbol, replace(f, values=values)


class SameDayTokyo(SameDayMarket):
    market = "TOKYO"


class Peeking(RandomWalk):
    """Of tomorrow it knows no more than the direction."""

    def roll(self, series, first):
        rolled = super().roll(series, first)
        return {s: replace(r, values=r.values + self._peek(series[s], r)) for s, r in rolled.items()}

    def _peek(self, series, rolling):
        tomorrow = np.sign(series.bars["close"].diff().shift(-1).fillna(0.0)).loc[rolling.origins]
        return 1e-3 * tomorrow.to_numpy()[:, None, None]


def immature(days):
    """Track outcomes so many days before they are known."""

    def track(pool, dates, levels, rate):
        early = [replace(rows, matures=rows.matures - np.timedelta64(days, "D")) for rows in pool]
        return calibration.track_offsets(early, dates, levels, rate)

    return track


def centred(moves):
    return {"smooth": pd.Series(moves.r).rolling(5, center=True, min_periods=1).mean() / moves.scale}


def test_a_centred_window_is_found_among_the_features(world, monkeypatch):
    monkeypatch.setitem(features.GROUPS, "centred", centred)
    check = audit_forecasts(network(world), world, FIRST)
    found = check.leak.difference
    assert (found.stage, found.what) == ("features", "smooth")
    # it looks two sessions ahead: of the rows that an origin knows, the last two change
    sessions = world[found.symbol].sessions
    closed = [d for d in sessions if session_close(world[found.symbol].instrument.calendar, d) <= check.leak.instant]
    assert found.session in closed[-2:]
    assert found.before != found.after
    assert f"features of {found.symbol} on {found.session.date()}, smooth: " in check.leak.sentence


def test_a_full_sample_scaler_is_found_among_the_scales(world, fold):
    found = audit_fit(FullSampleScaler, world, fold).leak.difference
    assert (found.stage, found.symbol, found.session) == ("scales", "", None)
    assert found.what == "mean of input 1"


def test_a_shuffled_split_is_found_among_the_windows(world, fold):
    leak = audit_fit(ShuffledSplit, world, fold).leak
    assert leak.difference.stage == "windows"
    assert leak.difference.session >= fold.test_first
    assert leak.how == "removed"


def test_the_same_day_of_an_exchange_that_closes_later_is_found_among_the_features(world):
    leak = audit_forecasts(network(world, SameDayMarket), world, FIRST).leak
    found = leak.difference
    assert (found.stage, found.what) == ("features", "return_1")
    closes = [session_close(world[symbol].instrument.calendar, found.session) for symbol in (found.symbol, "COIN")]
    assert closes[0] <= leak.instant < closes[1]


def test_the_same_day_of_an_exchange_that_has_closed_is_no_leak(world):
    assert audit_forecasts(network(world, SameDayTokyo), world, FIRST).leak is None


def test_outcomes_that_have_not_matured_are_found_in_the_calibration(new_york, monkeypatch):
    fitted = network(new_york)
    monkeypatch.setattr("forecasting.model.forecaster.track_offsets", immature(3))
    found = audit_forecasts(fitted, new_york, FIRST).leak.difference
    assert found.stage == "calibration"
    assert found.what == "1 ahead, level 0.1"


def test_outcomes_known_on_the_same_date_but_later_are_found_in_the_calibration(world, new_york, monkeypatch):
    pools = {"one exchange": new_york, "several": world}
    fitted = {name: network(pool) for name, pool in pools.items()}
    monkeypatch.setattr("forecasting.model.forecaster.track_offsets", immature(1))
    leaks = {name: audit_forecasts(fitted[name], pool, FIRST).leak for name, pool in pools.items()}
    assert leaks["one exchange"] is None
    assert leaks["several"].difference.stage == "calibration"


@pytest.fixture
def store(tmp_path):
    days = synthetic_series("SYN1", "2012-12-31", "2012-01-03").sessions
    closes = np.linspace(10, 20, len(days))
    bars = pd.concat([flat_bars(symbol, days, closes) for symbol in ("AAA", "BBB")])
    store = PriceStore(tmp_path / "prices")
    instruments = [Instrument.from_symbol(symbol) for symbol in ("AAA", "BBB")]
    store.append(instruments, bars, no_events(), no_quarantine(), utc("2013-01-02 12:00"))
    # two closes are corrected a day later
    store.append(instruments, bars.iloc[:2].assign(close=10.0), no_events(), no_quarantine(), utc("2013-01-03 12:00"))
    return store


def test_a_reader_without_as_of_is_found_among_the_prices(store):
    leak = audit_store(store, ["AAA", "BBB"], read=lambda of, _: of.read(["AAA", "BBB"])).leak
    assert (leak.difference.stage, leak.difference.symbol, leak.how) == ("prices", "AAA", "restated")
    assert "when what was known after 2013-01-03 12:00 UTC was restated" in leak.sentence


def test_a_reader_that_forgets_as_of_for_one_symbol_is_found_there(store):
    def read(of, as_of):
        return of.read(["AAA"], as_of) | of.read(["BBB"])

    assert audit_store(store, ["AAA", "BBB"], read).leak.difference.symbol == "BBB"


def test_the_store_reads_as_of_an_instant_whatever_was_known_later(store):
    check = audit_store(store, ["AAA", "BBB"])
    assert check.leak is None
    assert check.values == 2 * 5 * len(store.read()["AAA"])


def test_the_network_as_it_is_has_no_leak(world):
    checks, left_out = audit_network(network(world), world)
    assert [check.leak for check in checks] == [None, None, None]
    assert left_out == {}
    # the origins of several exchanges each have their turn; three copies of each future
    assert [len(check.instants) for check in checks] == [3, 1, 3]
    assert [check.copies for check in checks] == [9, 3, 9]


@pytest.mark.parametrize("number", range(6), ids=[f.name for f in make_baselines(3)])
def test_no_baseline_has_a_leak(world, fold, number):
    def make(_):
        return make_baselines(RECIPE.horizon, RECIPE.levels, recipe=RECIPE)[number]

    check = audit_fit(make, world, fold)
    assert check.leak is None
    assert check.values > 0
    fitted = make(world).fit(fold.training_part(world))
    assert audit_forecasts(fitted, world, FIRST).leak is None


def test_a_forecaster_that_has_nothing_but_forecasts_is_caught_by_these(new_york):
    check = audit_forecasts(Peeking("ewma", 3, RECIPE.levels), new_york, FIRST)
    found = check.leak.difference
    assert (found.stage, found.what) == ("forecasts", "random_walk_ewma, 1 ahead, level 0.1")
    assert session_close("XNYS", found.session) == check.leak.instant


def test_a_fold_that_hands_out_its_test_part_is_found_by_the_walk_and_refused_by_the_network(new_york, monkeypatch):
    fold = only_fold(new_york, FIRST)
    monkeypatch.setattr(Fold, "training_part", lambda fold, series: dict(series))
    found = audit_fold(lambda _: make_baselines(3, RECIPE.levels, recipe=RECIPE)[2:3], new_york, fold).leak.difference
    assert (found.stage, found.what) == ("forecasts", "har, 1 ahead, level 0.1")
    with pytest.raises(UsageError, match="what it has seen it cannot forecast"):
        audit_fit(lambda _: RNNForecaster(RECIPE), new_york, fold)


def test_the_same_seed_finds_the_same(new_york):
    peeking = Peeking("constant", 3, RECIPE.levels)
    one, same, other = (audit_forecasts(peeking, new_york, FIRST, seed=seed).leak for seed in (1, 1, 2))
    assert one == same
    assert other is not None


def test_an_audit_does_not_touch_the_global_generator(new_york):
    before = torch.random.get_rng_state().numpy().copy()
    audit_fit(lambda _: RNNForecaster(RECIPE), new_york, only_fold(new_york, FIRST))
    np.testing.assert_array_equal(torch.random.get_rng_state().numpy(), before)


def test_a_report_names_the_first_leak_of_the_first_check_that_has_one(new_york):
    leak = audit_forecasts(Peeking("constant", 3, RECIPE.levels), new_york, FIRST).leak
    clean, leaking = (Check(name, (FIRST,), 3, 1500, found) for name, found in (("one", None), ("two", leak)))
    report = AuditReport("model x", ("NYC",), (clean, leaking))
    assert report.summary() == f"model x leaks (two): {leak.sentence}"
    assert AuditReport("model x", ("NYC",), (clean, clean)).summary() == (
        "no leak found in model x: 3,000 values under 6 futures are what they were"
    )


@pytest.mark.parametrize("how", ["replaced", "removed", "appended"])
def test_an_altered_future_is_other_after_the_instant_and_the_same_before_on_each_exchange(world, how):
    instant = session_close("XNYS", pd.Timestamp("2012-11-30"))
    altered = alter_future(world, instant, how)
    for symbol, last in (("NYC", "2012-11-30"), ("TOKYO", "2012-11-30"), ("COIN", "2012-11-29")):
        true, other = world[symbol].bars, altered[symbol].bars
        pd.testing.assert_frame_equal(other.loc[:last], true.loc[:last], check_exact=True, check_freq=False)
        later, after = true.loc[true.index > last], other.loc[other.index > last]
        if how == "removed":
            assert after.empty
            continue
        assert after.index[: len(later)].equals(later.index)
        assert (after.iloc[: len(later)].to_numpy() != later.to_numpy()).all()
        validate_bars(other.reset_index().assign(symbol=symbol))
        assert len(after) - len(later) == (60 if how == "appended" else 0)
        assert are_sessions(world[symbol].instrument.calendar, after.index).all()


def test_noise_owes_nothing_to_what_it_replaces(new_york):
    instant = session_close("XNYS", pd.Timestamp("2012-11-30"))
    other = alter_future(new_york, instant, "replaced", seed=2)
    one, again = (alter_future(x, instant, "replaced", seed=1)["NYC"].bars for x in (new_york, other))
    pd.testing.assert_frame_equal(one, again, check_exact=True)


def test_the_two_noises_of_a_future_move_in_opposite_directions(new_york):
    instant = session_close("XNYS", pd.Timestamp("2012-11-30"))
    up, down = (alter_future(new_york, instant, how)["NYC"].bars["close"] for how in ("replaced", "appended"))
    last = up.loc["2012-11-30"]
    up, down = (np.log(closes.loc["2012-12-03":"2012-12-31"] / last) for closes in (up, down))
    np.testing.assert_allclose(up, -down)


def test_a_symbol_that_ended_is_continued_only_after_the_instant_and_a_later_void_session_goes():
    ended = random_walk("AAA", last="2018-06-29")
    instant = session_close("XNYS", pd.Timestamp("2018-12-31"))
    more = alter_future({"AAA": ended}, instant, "appended")["AAA"]
    assert more.sessions[len(ended)] == pd.Timestamp("2019-01-02")
    broken = with_void(random_walk("AAA"), "2018-12-04", "2018-12-28")
    instant = session_close("XNYS", pd.Timestamp("2018-12-14"))
    for how in ("replaced", "removed", "appended"):
        assert list(alter_future({"AAA": broken}, instant, how)["AAA"].void) == [pd.Timestamp("2018-12-04")]


def test_a_restated_copy_holds_the_same_until_then_and_other_prices_sessions_and_splits_after(store, tmp_path):
    copy = restate_store(store, ["AAA"], str(tmp_path / "copy"))
    then, now = copy.read(as_of=store.known_until)["AAA"], copy.read()["AAA"]
    pd.testing.assert_frame_equal(then.bars, store.read()["AAA"].bars, check_exact=True)
    assert list(copy.instruments()) == ["AAA"]
    assert now.sessions[-1] == pd.Timestamp("2013-01-02")
    assert 0 < len(then.sessions.difference(now.sessions)) <= len(then) / 10
    shared = then.sessions.intersection(now.sessions)
    assert np.median(now.bars["close"].loc[shared] / then.bars["close"].loc[shared]) == pytest.approx(0.5, rel=0.1)


def test_comparing_takes_the_last_bit_where_it_is_exact_and_a_millionth_where_not():
    days = pd.DatetimeIndex(["2018-12-27", "2018-12-28", "2018-12-31"])
    values = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]])
    nudged = values.copy()
    nudged[1, 0] = np.nextafter(3.0, 4.0)
    one, other = (Block("features", "AAA", "inputs", v, days, (["a", "b"],), "XNYS") for v in (values, nudged))
    assert compare([one], [one]) == (6, None)
    assert compare([one], [other], exact=False)[1] is None
    found = compare([one], [other])[1]
    assert (found.session, found.what, found.before) == (pd.Timestamp("2018-12-28"), "a", 3.0)
    # later rows are not compared, and a row that is missing is a difference
    assert compare([one], [other], session_close("XNYS", days[0])) == (2, None)
    shorter = replace(one, values=values[:2], rows=days[:2])
    assert compare([one], [shorter], session_close("XNYS", days[1]))[1] is None
    gone = compare([one], [shorter])[1]
    assert (gone.session, gone.what) == (days[2], "inputs, a row")
    assert compare([one], [])[1].session == days[0]


def test_the_first_difference_is_that_of_the_earliest_stage():
    late, early = (Block(stage, "AAA", "x", np.zeros(2)) for stage in ("forecasts", "scales"))
    found = compare([late, early], [replace(b, values=np.ones(2)) for b in (late, early)])[1]
    assert found.stage == "scales"


def test_each_exchange_has_its_turn_and_the_last_origin_too(world):
    instants = spread_instants(world, session_close("XNYS", FIRST), 3)
    assert len(instants) == 3
    calendars = [(s.instrument.calendar, s.sessions) for s in world.values()]
    closes = [{session_close(calendar, day) for day in days} for calendar, days in calendars]
    assert all(any(i in of for i in instants) for of in closes)
    alone = spread_instants({"NYC": world["NYC"]}, session_close("XNYS", FIRST), 2)
    assert alone == [session_close("XNYS", pd.Timestamp(d)) for d in ("2012-11-30", "2012-12-31")]


def test_symbols_that_cannot_take_part_are_named(world):
    broken = with_void(world["NYC"], "2012-11-05")
    young = replace(world["TOKYO"], bars=world["TOKYO"].bars.loc["2012-10-01":])
    ended = world["COIN"].until(pd.Timestamp("2012-10-31"))
    series = {"NYC": broken, "TOKYO": young, "COIN": ended, "FINE": world["NYC"]}
    usable, left_out = choose_usable(series, 90, FIRST)
    assert list(usable) == ["FINE"]
    assert "not positive on 2012-11-05" in left_out["NYC"]
    assert "TOKYO has 20 bars before 2012-11-01, 90 are needed" in left_out["TOKYO"]
    assert "COIN has no bar from 2012-11-01 on" in left_out["COIN"]
    with pytest.raises(TooFewBars, match="TOKYO has 20 bars.*; next: "):
        choose_usable({"TOKYO": young}, 90, FIRST)
