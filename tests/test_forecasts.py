from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import normal_forecast, random_walk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forecasting.config import LEVELS
from forecasting.errors import DataError, UsageError
from forecasting.forecasts import (
    FLAGS,
    RollingForecast,
    explain_flags,
    flags_of,
    mean_of_exp,
    prob_above_zero,
    widening_of,
)

QUANTILES = hnp.arrays("float64", len(LEVELS), elements=st.floats(-0.5, 0.5)).map(np.sort)


def test_the_probability_of_a_rise_is_read_off_the_quantile_function():
    levels = (0.1, 0.5, 0.9)
    values = np.array(
        [
            [-0.02, 0.0, 0.02],  # the median is zero
            [-0.03, 0.01, 0.02],  # zero lies three quarters of the way from 0.1 to 0.5
            [0.01, 0.02, 0.03],  # beyond the lowest level nothing is known
            [-0.03, -0.02, -0.01],
            [0.0, 0.0, 0.0],  # "above" is strict
        ]
    )
    assert prob_above_zero(values, levels) == pytest.approx([0.5, 1 - (0.1 + 0.75 * 0.4), 0.9, 0.1, 0.1], rel=1e-12)


@given(QUANTILES)
def test_a_probability_of_a_rise_stays_within_the_outermost_levels(values):
    prob = float(prob_above_zero(values, LEVELS))
    assert 0.01 - 1e-12 <= prob <= 0.99 + 1e-12


@given(QUANTILES, st.floats(0, 0.5))
def test_shifting_a_forecast_up_never_lowers_the_probability_of_a_rise(values, shift):
    assert prob_above_zero(values + shift, LEVELS) >= prob_above_zero(values, LEVELS) - 1e-12


@given(QUANTILES)
def test_the_probability_of_a_fall_mirrors_that_of_a_rise(values):
    if (values == 0).any():
        return
    mirrored = prob_above_zero(-values[::-1], LEVELS)
    assert mirrored == pytest.approx(1 - prob_above_zero(values, LEVELS), abs=1e-9)


@given(QUANTILES)
def test_the_expected_price_ratio_is_the_mean_over_the_quantile_function(values):
    # numeric integration of exp(Q(u)); Q is linear between the levels and constant beyond them
    u = (np.arange(200_000) + 0.5) / 200_000
    expected = np.exp(np.interp(u, LEVELS, values)).mean()
    assert mean_of_exp(values, LEVELS) == pytest.approx(expected, rel=1e-6)


def test_a_certain_forecast_expects_its_own_price():
    assert mean_of_exp(np.full((2, 11), 0.25), LEVELS) == pytest.approx(np.exp([0.25, 0.25]), rel=1e-15)


def test_prices_are_the_last_close_times_the_exponential_and_never_cross():
    forecast = normal_forecast(horizon=3, last_close=200.0)
    prices = forecast.prices()
    assert prices == pytest.approx(200.0 * np.exp(forecast.values), rel=1e-15)
    assert (prices > 0).all()
    assert (np.diff(prices, axis=1) > 0).all()


def test_an_interval_lies_between_the_two_levels_of_its_coverage():
    forecast = normal_forecast(horizon=2)
    interval = forecast.interval(0.8)
    assert interval["lower"].tolist() == forecast.prices()[:, LEVELS.index(0.1)].tolist()
    assert interval["upper"].tolist() == forecast.prices()[:, LEVELS.index(0.9)].tolist()
    assert interval.index.tolist() == [pd.Timestamp("2019-01-02"), pd.Timestamp("2019-01-03")]


@pytest.mark.parametrize("coverage", [0.0, 0.7, 1.0, 1.2])
def test_an_interval_the_levels_do_not_hold_is_refused_with_those_they_do(coverage):
    with pytest.raises(UsageError, match=r"has the intervals \[0.98, 0.95, 0.9, 0.8, 0.5\]"):
        normal_forecast().interval(coverage)


def test_a_frame_has_a_row_per_target_session():
    frame = normal_forecast(horizon=3).frame()
    assert frame.index.tolist() == [pd.Timestamp(d) for d in ("2019-01-02", "2019-01-03", "2019-01-04")]
    assert frame["horizon"].tolist() == [1, 2, 3]
    assert frame["prob_up"].tolist() == pytest.approx([0.5] * 3)
    assert frame[0.5].tolist() == pytest.approx([123.45] * 3)
    assert list(frame.columns)[4:] == list(LEVELS)
    assert (frame["expected"] > frame[0.5]).all()  # the mean of exp lies above exp of the mean


def test_a_rolling_forecast_gives_back_each_origin_and_names_its_range_for_another():
    series = random_walk(bars=4, last="2018-12-31")  # 26, 27, 28, 31 December
    values = np.arange(4 * 2 * 3).reshape(4, 2, 3) / 100
    rolling = RollingForecast(
        series.instrument, series.sessions, series.bars["close"].to_numpy(), (0.1, 0.5, 0.9), values
    )
    forecast = rolling.at(pd.Timestamp("2018-12-28"))
    assert forecast.values.tolist() == values[2].tolist()
    assert forecast.last_close == series.bars["close"].iloc[2]
    assert forecast.target_sessions.tolist() == [pd.Timestamp("2018-12-31"), pd.Timestamp("2019-01-02")]
    assert rolling.latest().origin == pd.Timestamp("2018-12-31")
    with pytest.raises(DataError, match="no forecast from 2018-12-25: the origins run from 2018-12-26 to 2018-12-31"):
        rolling.at(pd.Timestamp("2018-12-25"))


def test_a_report_is_likely_from_a_tenth_of_extra_width_on_at_each_horizon_by_itself():
    forecast = replace(normal_forecast(horizon=3), report_widening=np.array([0.0999, 0.1, 0.3]), has_market=False)
    assert forecast.flags() == [("no_market",), ("report_likely", "no_market"), ("report_likely", "no_market")]
    assert normal_forecast(horizon=2).flags() == [(), ()]
    assert {flag for flags in forecast.flags() for flag in flags} <= FLAGS.keys()


REPORT = "wider, because a quarterly report is likely up to there, by up to"


@pytest.mark.parametrize(
    ("widening", "has_market", "sentence"),
    [
        ([0.0, 0.12, 0.34], True, f"From 2019-01-03 on: {REPORT} 34%."),
        ([0.0, 0.12, 0.09], True, f"2019-01-03: {REPORT} 12%."),
        ([0.2, 0.12, 0.09], True, f"2019-01-02 to 2019-01-03: {REPORT} 20%."),
        ([0.1, 0.2, 0.3], True, f"W{REPORT[1:]} 30%."),
        ([0.0, 0.0, 0.0], False, f"M{FLAGS['no_market'][1:]}."),
        ([0.0, 0.0, 0.0], True, None),
    ],
)
def test_what_a_forecast_says_of_itself_is_one_sentence_each(widening, has_market, sentence):
    forecast = replace(normal_forecast(horizon=3), report_widening=np.array(widening), has_market=has_market)
    said = explain_flags(forecast.flags(), forecast.target_sessions, forecast.report_widening)
    assert list(said.values()) == ([sentence] if sentence else [])
    assert list(said) == [name for name in FLAGS if any(name in flags for flags in forecast.flags())]


def test_flags_of_ledger_rows_are_those_of_their_issue_and_none_where_there_was_no_such_column():
    flags = [np.array(["stale", "no_market"], dtype=object), None, []]
    rows = pd.DataFrame({"flags": flags, "report_widening": [0.1, None, 0.2]})
    assert flags_of(rows) == [("stale", "no_market"), (), ()]
    np.testing.assert_array_equal(widening_of(rows), [0.1, np.nan, 0.2])
    assert flags_of(rows[[]]) == [(), (), ()]
    assert np.isnan(widening_of(rows[[]])).all()
    assert flags_of(rows.iloc[:0]) == []
