import numpy as np
import pandas as pd
import pytest
from helpers import sessions_until

from forecasting.model.report_timing import report_timing

N, FIRST = 1000, 40
SESSIONS = sessions_until("2018-12-31", N)


@pytest.fixture(scope="module")
def planted():
    """Every thirteenth week, on the same weekday, volatility and volume are large."""
    rng = np.random.default_rng(0)
    jump, surprise = rng.normal(0, 0.1, (2, N))
    reports = SESSIONS.get_indexer(SESSIONS[FIRST] + pd.to_timedelta(np.arange(0, 1500, 91), "D"))
    reports = reports[reports >= 0]
    jump[reports] += 1.5
    surprise[reports] += 1.0
    return jump, surprise, reports


def test_inputs_rise_before_the_next_report_and_not_between(planted):
    jump, surprise, reports = planted
    timing = report_timing(jump, surprise, SESSIONS)
    late = reports[reports > 500]
    for name in ("event_quarters_1", "event_years_1"):
        eves, others = timing[name][late - 1], timing[name][late - 30]
        assert np.median(eves) > np.quantile(timing[name][500:], 0.95) > others.max()
    assert np.median(timing["event_quarters_20"][late - 10]) > 5 * timing["event_quarters_20"][late - 30].max()
    before, following = reports[-2:]
    assert timing["report_age"][following - 1] == pytest.approx((following - 1 - before) / 63)
    assert timing["report_strength"][following - 1] == pytest.approx(jump[before] + surprise[before])


def test_what_was_seen_before_is_the_mean_over_sessions_and_quarters(planted):
    jump, surprise, _ = planted
    t, h = 900, 3
    both = jump + surprise
    tops = [max(both[i], 0) * (both[i] == both[max(0, i - 20) : i + 21].max()) for i in range(N)]
    event = np.convolve(tops, np.exp(-(np.array([4, 1, 0, 1, 4]) / 0.49) / 2), mode="same")
    timing = report_timing(jump, surprise, SESSIONS)
    for lags, weeks in (("quarters", (13, 26, 39, 52)), ("years", (52, 104, 156))):
        rows = [SESSIONS.searchsorted(SESSIONS[t] - pd.Timedelta(weeks=w), side="right") - 1 for w in weeks]
        seen = [i + k for i in rows for k in range(1, h + 1)]
        assert timing[f"event_{lags}_{h}"][t] == pytest.approx(event[seen].mean())


def test_a_row_knows_no_later_row(planted):
    jump, surprise, _ = planted
    whole = report_timing(jump, surprise, SESSIONS)
    for cut in (500, 700, 701):
        for name, values in report_timing(jump[:cut], surprise[:cut], SESSIONS[:cut]).items():
            np.testing.assert_array_equal(whole[name][:cut], values)


def test_after_a_halt_of_months_a_row_still_knows_no_later_row():
    jump, surprise = np.random.default_rng(1).normal(0, 1, (2, N - 55))
    sessions = SESSIONS[:600].append(SESSIONS[655:])  # thirteen weeks before lie few bars back
    whole = report_timing(jump, surprise, sessions)
    for cut in range(600, 630, 3):
        for name, values in report_timing(jump[:cut], surprise[:cut], sessions[:cut]).items():
            np.testing.assert_array_equal(whole[name][:cut], values)


def test_where_nothing_is_known_nothing_is_told():
    nothing = report_timing(np.full(300, np.nan), np.full(300, np.nan), SESSIONS[:300])
    assert all(np.isnan(values).all() for values in nothing.values())
