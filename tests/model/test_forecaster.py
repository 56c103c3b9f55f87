from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import random_walk, synthetic_series, utc, with_void

from forecasting.bars import PriceSeries
from forecasting.config import NetworkConfig
from forecasting.errors import DataError, Diverged, ModelError, TooFewBars, UsageError
from forecasting.ingestion.synthetic import make_market
from forecasting.instruments import Instrument
from forecasting.model.forecaster import RNNForecaster, interpolation_weights
from forecasting.model.market import FEWEST
from forecasting.sessions import are_sessions, calendar_sessions, session_close

FIRST = pd.Timestamp("2012-01-03")


def test_a_backtest_forecast_equals_the_forecast_of_bars_cut_at_its_origin(fitted, market):
    rolled = fitted.roll(market, FIRST)
    for day in ("2012-01-03", "2012-06-29", "2012-12-31"):
        origin = pd.Timestamp(day)
        cut = fitted.forecast({s: series.until(origin) for s, series in market.items()})
        for symbol in market:
            np.testing.assert_allclose(cut[symbol].values, rolled[symbol].at(origin).values, atol=1e-6)


def test_as_of_sees_only_sessions_closed_by_then(fitted, market):
    close = session_close("XNYS", pd.Timestamp("2012-06-29"))
    assert fitted.forecast(market, close)["SYN1"].origin == pd.Timestamp("2012-06-29")
    assert fitted.forecast(market, close - pd.Timedelta(seconds=1))["SYN1"].origin == pd.Timestamp("2012-06-28")


def test_changing_bars_after_an_origin_changes_no_forecast_from_it(fitted, market):
    origin = pd.Timestamp("2012-06-29")
    rng = np.random.default_rng(0)
    altered = {}
    for symbol, series in market.items():
        bars = series.bars.copy()
        after = bars.index > origin
        bars.loc[after] *= np.exp(rng.normal(0, 0.3, (after.sum(), 1)))
        altered[symbol] = PriceSeries(series.instrument, bars)
    a, b = fitted.roll(market, FIRST), fitted.roll(altered, FIRST)
    for symbol in market:
        chosen = a[symbol].origins <= origin
        np.testing.assert_array_equal(a[symbol].values[chosen], b[symbol].values[chosen])


def test_quantiles_are_ordered_and_prices_positive(fitted, market):
    for rolling in fitted.roll(market, FIRST).values():
        assert (np.diff(rolling.values, axis=-1) >= 0).all()
        assert (rolling.latest().prices() > 0).all()


def test_a_symbol_that_was_not_in_training_is_forecast_like_any_other(fitted, market):
    assert "SYN3" not in fitted.model.universe
    alone = {s: market[s] for s in ("SYN1", "SYN2", "SYN3")}
    assert fitted.forecast(alone)["SYN3"].horizon == 7


def test_asking_for_more_symbols_does_not_change_a_forecast(fitted, market):
    universe = {s: market[s] for s in fitted.model.universe}
    np.testing.assert_allclose(
        fitted.forecast(universe)["SYN1"].values, fitted.forecast(market)["SYN1"].values, atol=1e-12
    )


def test_set_against_a_market_a_forecast_is_the_same_rolled_cut_and_among_more_symbols(small_recipe):
    recipe = replace(small_recipe, training=replace(small_recipe.training, epochs=1))
    everything = {s: synthetic_series(s, "2009-12-31") for s in (f"SYN{i}" for i in range(1, FEWEST + 2))}
    universe = {s: x for s, x in everything.items() if s != "SYN1"}
    fitted = RNNForecaster(recipe).fit({s: x.until(pd.Timestamp("2008-12-31")) for s, x in universe.items()})
    assert np.isfinite(dict(fitted.features(everything))["SYN1"].values[-1]).all()
    assert all(f.has_market for f in fitted.forecast(everything).values())
    rolled = fitted.roll(everything, pd.Timestamp("2009-01-05"))
    origin = pd.Timestamp("2009-06-30")
    cut = fitted.forecast({s: x.until(origin) for s, x in everything.items()})
    days = pd.DatetimeIndex(["2009-04-01", "2009-06-30"])
    several = fitted.forecast_origins(everything, dict.fromkeys(everything, days))
    for symbol in everything:
        np.testing.assert_allclose(cut[symbol].values, rolled[symbol].at(origin).values, atol=1e-6)
        assert [f.origin for f in several[symbol]] == list(days)
        np.testing.assert_array_equal(several[symbol][1].values, rolled[symbol].at(origin).values)
        np.testing.assert_allclose(several[symbol][1].report_widening, cut[symbol].report_widening, atol=1e-6)
    for symbol, forecast in fitted.forecast(universe).items():
        np.testing.assert_allclose(forecast.values, rolled[symbol].latest().values, atol=1e-12)


def test_a_symbol_whose_bars_end_in_the_training_part_has_no_origin(market, fitted):
    until = fitted.model.trained_until
    rolled = fitted.roll({**market, "SYN1": market["SYN1"].until(until)}, until + pd.Timedelta(days=1))
    assert rolled["SYN1"].values.shape == (0, 7, 11)
    assert len(rolled["SYN2"].origins) > 200


def test_training_uses_nothing_from_the_kept_out_sessions(market, small_recipe):
    past = {s: series.until(pd.Timestamp("2010-12-31")) for s, series in market.items()}
    kept_out = past["SYN1"].sessions[-small_recipe.calibration.sessions :]
    altered = {}
    for symbol, series in past.items():
        bars = series.bars.copy()
        bars.loc[kept_out] *= 3.0
        altered[symbol] = PriceSeries(series.instrument, bars)
    a, b = (RNNForecaster(small_recipe).fit(x).model for x in (past, altered))
    assert a.trained_until == past["SYN1"].sessions[-small_recipe.calibration.sessions - 1]
    for p, q in zip(a.network.parameters(), b.network.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach(), q.detach())
    np.testing.assert_array_equal(a.scale.coefficients, b.scale.coefficients)
    np.testing.assert_array_equal(a.mean, b.mean)


def test_what_the_model_was_trained_on_cannot_be_forecast(fitted, market):
    with pytest.raises(UsageError, match="trained on bars up to"):
        fitted.roll(market, fitted.model.trained_until)


@pytest.mark.parametrize(
    "network",
    [
        NetworkConfig(cell="rnn", nonlinearity="relu", hidden=8),
        NetworkConfig(cell="gru", hidden=8),
        NetworkConfig(cell="lstm", hidden=8),
    ],
)
def test_other_cells_fit_and_forecast(network, market, small_recipe):
    recipe = replace(small_recipe, network=network, training=replace(small_recipe.training, epochs=1))
    past = {"SYN1": market["SYN1"].until(pd.Timestamp("2006-12-29"))}
    forecast = RNNForecaster(recipe).fit(past).forecast(past)["SYN1"]
    assert np.isfinite(forecast.values).all()
    assert forecast.interval(0.8)["lower"].lt(forecast.last_close).all()


def test_the_scale_of_the_forecast_follows_the_true_volatility(fitted, market):
    rolling = fitted.roll(market, FIRST)["SYN1"]
    width = np.log(rolling.values[:-1, 0, -2] - rolling.values[:-1, 0, 1])
    truth = np.log(market["SYN1"].bars["volatility"].loc[rolling.origins].to_numpy()[1:])
    assert np.corrcoef(width, truth)[0, 1] > 0.8


def test_too_few_bars_for_a_window_names_the_symbol_and_the_rule(fitted, market):
    short = random_walk("NEW", bars=80, last="2012-12-31")
    with pytest.raises(TooFewBars, match="NEW has 80 bars.*needs 120"):
        fitted.forecast({**market, "NEW": short})


def test_a_forecaster_that_was_not_fitted_says_so(market):
    with pytest.raises(ModelError, match="not been fitted"):
        RNNForecaster().forecast(market, utc("2012-12-31 22:00"))


def test_horizons_between_the_knots_are_convex_combinations_of_their_neighbours():
    weights = interpolation_weights(range(1, 21))
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights >= 0).all()
    np.testing.assert_array_equal(weights[[0, 1, 2, 4, 9, 19]], np.eye(6))


def test_the_number_of_threads_changes_no_bit(fitted, market):
    threads = torch.get_num_threads()
    try:
        values = []
        for n in (1, 2):
            torch.set_num_threads(n)
            values.append(fitted.forecast(market)["SYN1"].values)
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*values)


def _with_calendar(series, symbol, calendar):
    """The same prices, moved to another exchange: only days on which both have a session."""
    bars = series.bars[are_sessions(calendar, series.sessions)]
    return PriceSeries(Instrument(symbol, "synthetic", calendar), bars)


@pytest.mark.parametrize(
    ("calendars", "origins"),
    [
        (("XNYS", "XTKS", "24/7"), ("2012-03-07", "2012-06-27", "2012-09-19")),
        # a half day in Wellington closes fifteen minutes before a coin's day before it does
        (("XNZE", "24/7", "24/7"), ("2011-12-30", "2011-12-29", "2011-12-30")),
    ],
)
def test_no_forecast_depends_on_a_bar_that_closes_after_it_was_made_on_any_exchange(
    small_recipe, market, calendars, origins
):
    pool = {s: _with_calendar(market[s], s, calendar) for s, calendar in zip(market, calendars, strict=True)}
    fitted = RNNForecaster(small_recipe).fit({s: x.until(pd.Timestamp("2009-12-30")) for s, x in pool.items()})
    rng = np.random.default_rng(3)
    first = pd.Timestamp("2010-01-04")
    before = fitted.roll(pool, first)
    for symbol, day in zip(market, origins, strict=True):
        origin = pd.Timestamp(day)
        made = session_close(pool[symbol].instrument.calendar, origin)
        altered = {}
        for s, x in pool.items():
            bars = x.bars.copy()
            after = np.array([session_close(x.instrument.calendar, day) > made for day in x.sessions])
            bars.loc[after] *= np.exp(rng.normal(0, 0.3, (after.sum(), 1)))
            altered[s] = PriceSeries(x.instrument, bars)
        again = fitted.roll(altered, first)[symbol].at(origin)
        np.testing.assert_array_equal(again.values, before[symbol].at(origin).values)


def test_a_symbol_outside_the_universe_gets_the_same_forecast_rolled_and_cut_on_its_own_sessions(fitted, market):
    # 2012-05-28 and 2012-07-04 are sessions in Tokyo and holidays in New York
    tokyo = (
        make_market("SYN4").loc[:"2012-12-31"].reindex(calendar_sessions("XTKS")).ffill().loc["2004-02-01":"2012-12-28"]
    )
    everything = {**market, "TOKYO": PriceSeries(Instrument("TOKYO", "synthetic", "XTKS"), tokyo)}
    rolled = fitted.roll(everything, FIRST)["TOKYO"]
    for day in ("2012-05-28", "2012-07-04"):
        origin = pd.Timestamp(day)
        cut = fitted.forecast({s: x.until(origin) for s, x in everything.items()})["TOKYO"]
        assert cut.origin == origin
        np.testing.assert_allclose(cut.values, rolled.at(origin).values, atol=1e-6)


def test_a_day_without_volume_and_a_wild_day_move_a_forecast_within_bounds(fitted, market):
    def width(bars):
        series = {**market, "SYN1": PriceSeries(market["SYN1"].instrument, bars)}
        values = fitted.forecast(series)["SYN1"].values[0]
        return values[-2] - values[1]

    bars = market["SYN1"].bars
    silent, wild = bars.copy(), bars.copy()
    silent.iloc[-1, silent.columns.get_loc("volume")] = 0
    wild.iloc[-1, wild.columns.get_loc("volume")] *= 1e9
    assert width(silent) == pytest.approx(width(bars), rel=0.2)
    assert width(wild) == pytest.approx(width(bars), rel=1.0)


def test_training_takes_what_a_void_session_parts_as_histories_of_their_own(market, small_recipe):
    recipe = replace(small_recipe, training=replace(small_recipe.training, epochs=1))
    broken = with_void(market["SYN1"], "2007-06-29", "2007-07-02")
    before, between, after = broken.parts()
    assert len(between) == 0
    named = {
        name: replace(part, instrument=Instrument.from_symbol(name)) for name, part in (("A", before), ("B", after))
    }
    whole, apart = (RNNForecaster(recipe).fit(x).model for x in ({"SYN1": broken}, named))
    assert whole.trained_until == apart.trained_until
    for p, q in zip(whole.network.parameters(), apart.network.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach(), q.detach())
    np.testing.assert_array_equal(whole.scale.coefficients, apart.scale.coefficients)


def test_a_forecast_reads_nothing_from_before_a_void_session(fitted, market):
    day = pd.Timestamp("2011-06-29")
    broken = with_void(market["SYN1"], "2011-06-29")
    after = replace(market["SYN1"], bars=market["SYN1"].bars.loc[day + pd.Timedelta(days=1) :])
    for forecast in (lambda s: fitted.roll(s, FIRST), fitted.forecast):
        a, b = (forecast({**market, "SYN1": s})["SYN1"] for s in (broken, after))
        np.testing.assert_array_equal(a.values, b.values)


def test_a_void_session_at_or_after_the_first_origin_is_refused_in_words(fitted, market):
    broken = {**market, "SYN1": with_void(market["SYN1"], "2012-05-01")}
    for first in (FIRST, pd.Timestamp("2012-05-01")):
        with pytest.raises(
            DataError,
            match=r"SYN1 has 167 bars since 2012-05-01 \(its price was not positive there, so no log return exists\), "
            r"a forecast needs 120, and one from .* would read across that session; next: a later date",
        ):
            fitted.roll(broken, first)
    assert len(fitted.roll(broken, pd.Timestamp("2012-12-03"))["SYN1"].origins) == 20


def test_a_forecast_too_soon_after_a_void_session_says_how_many_bars_stand_since(fitted, market):
    broken = {**market, "SYN1": with_void(market["SYN1"], "2012-12-03")}
    with pytest.raises(TooFewBars, match=r"SYN1 has 19 bars since 2012-12-03 \(its price.*so it needs 120; next:"):
        fitted.forecast(broken)
    at_its_end = {**market, "SYN1": with_void(market["SYN1"], "2012-12-31")}
    with pytest.raises(TooFewBars, match="SYN1 has 0 bars since 2012-12-31"):
        fitted.forecast(at_its_end)


def test_a_view_from_before_a_void_session_does_not_know_it(fitted, market):
    broken = {**market, "SYN1": with_void(market["SYN1"], "2012-12-03")}
    as_of = session_close("XNYS", pd.Timestamp("2012-11-30"))
    a, b = (fitted.forecast(s, as_of)["SYN1"] for s in (broken, market))
    assert a.origin == pd.Timestamp("2012-11-30")
    np.testing.assert_array_equal(a.values, b.values)
    with pytest.raises(TooFewBars, match="SYN1 has 0 bars since 2012-12-03"):
        fitted.forecast(broken, session_close("XNYS", pd.Timestamp("2012-12-03")))


def test_a_void_session_is_held_against_its_own_symbol_only(fitted, market):
    ended = market["SYN2"].until(pd.Timestamp("2012-01-31"))
    broken = with_void(market["SYN1"], "2012-05-01")
    after = broken.parts()[-1]
    a, b = (fitted.forecast({"SYN1": s, "SYN2": ended})["SYN1"] for s in (broken, after))
    np.testing.assert_array_equal(a.values, b.values)


def test_without_its_universe_a_forecast_says_that_it_was_made_without_the_market(fitted, market):
    forecast = fitted.forecast({"SYN1": market["SYN1"]})["SYN1"]
    assert not forecast.has_market
    assert forecast.report_widening is None  # reports are seen against the market
    assert forecast.flags() == [("no_market",)] * 7


def test_a_forecast_says_how_much_wider_it_is_because_a_report_is_likely(small_recipe):
    recipe = replace(small_recipe, training=replace(small_recipe.training, epochs=1))
    market = {s: synthetic_series(s, "2008-12-31") for s in (f"SYN{i}" for i in range(FEWEST))}
    fitted = RNNForecaster(recipe).fit(market)
    features = dict(fitted.features(market))
    reports = torch.tensor([group == "report_timing" for group in features["SYN1"].groups])
    names = ("event_quarters_1", "report_age")
    assert [reports[features["SYN1"].names.index(name)].item() for name in names] == [True, True]
    assert not reports[features["SYN1"].names.index("return_1")]

    # as the network reads them, every report input at its mean in training
    values = torch.from_numpy(features["SYN1"].values.copy())
    values[:, reports] = fitted.model.mean[reports]
    unknowing = replace(features["SYN1"], values=values.numpy())
    quantiles = [fitted._scaled(market["SYN1"], f).quantiles[-1] for f in (features["SYN1"], unknowing)]
    knowing, unknown = (q[:, 6:].sum(-1) - q[:, :5].sum(-1) for q in quantiles)
    widening = fitted.forecast(market)["SYN1"].report_widening
    np.testing.assert_allclose(widening, knowing / unknown - 1, atol=1e-6)
    assert np.abs(widening).max() > 1e-4

    with torch.no_grad():
        for parameter in fitted.model.network.parameters():
            if parameter.ndim == 2 and parameter.shape[1] == len(reports):
                parameter[:, reports] = 0.0
    assert np.abs(fitted.forecast(market)["SYN1"].report_widening).max() < 1e-6


def test_training_that_diverges_leaves_a_model_of_its_last_good_epoch(market, small_recipe):
    class Watched(RNNForecaster):
        def training_set(self, series):
            self.data = super().training_set(series)
            return self.data

    watched = Watched(small_recipe)

    def spoil(what, done, total):
        if done == total // 2:  # the end of the first of two epochs
            watched.data.inputs[:] = float("inf")

    with pytest.raises(Diverged, match="the weights are those of epoch 1"):
        watched.fit(market, spoil)
    assert len(watched.model.history) == 1
    assert np.isfinite(watched.forecast(market)["SYN1"].values).all()


def test_a_young_symbol_and_one_that_was_halted_are_forecast_in_a_pool_of_several_calendars(small_recipe):
    market = {s: synthetic_series(s, "2012-12-31") for s in ("SYN1", "SYN2", "SYN3", "SYN4")}
    young, halted = market["SYN2"], market["SYN3"]
    market["SYN2"] = replace(young, bars=young.bars.iloc[-130:])  # an offering last summer
    in_spring = (halted.sessions >= "2012-03-01") & (halted.sessions < "2012-05-01")
    market["SYN3"] = replace(halted, bars=halted.bars[~in_spring])
    always = pd.date_range("2010-01-01", "2012-12-31", name="session").as_unit("us")
    coin = random_walk(bars=len(always), last="2012-12-31")
    market["BTC-USD"] = PriceSeries(Instrument.from_symbol("BTC-USD"), coin.bars.set_index(always))
    fitted = RNNForecaster(small_recipe).fit(market)
    assert fitted.needs <= 130 < fitted.needs + small_recipe.calibration.sessions  # forecast, but taught nothing
    forecasts = fitted.forecast(market)
    assert set(forecasts) == set(market)
    assert all(np.isfinite(f.values).all() and f.origin == pd.Timestamp("2012-12-31") for f in forecasts.values())
    with pytest.raises(TooFewBars, match=r"SYN2 has 40 bars.*needs 120.*next: fetch a longer history"):
        fitted.forecast({**market, "SYN2": replace(young, bars=young.bars.iloc[-40:])})
