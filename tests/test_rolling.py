import numpy as np
import pandas as pd
import pytest
from helpers import sessions_until
from scipy import stats
from test_track_record import scores_of

from forecasting.evaluation.significance import long_run_mean
from forecasting.rolling import WINDOW, rolling_coverage, skill_to_date
from forecasting.track_record import make_track_record

Z_80 = stats.norm.isf(0.1)


def calibrated(rng, sessions, horizon, symbols, together):
    """Return the hits of exact 80% intervals for sums of normal log returns that share a market."""
    days = sessions + horizon - 1
    market, own = rng.normal(size=days), rng.normal(size=(symbols, days))
    returns = np.sqrt(together) * market + np.sqrt(1 - together) * own
    sums = np.lib.stride_tricks.sliding_window_view(returns, horizon, axis=1).sum(axis=2) / np.sqrt(horizon)
    origins = sessions_until("2018-12-31", sessions)
    return pd.DataFrame(
        {"origin": np.tile(origins, symbols), "horizon": horizon, "hit_80": (np.abs(sums) < Z_80).ravel()}
    )


@pytest.mark.parametrize(
    ("horizon", "symbols", "together"), [(1, 1, 0.0), (1, 20, 0.4), (5, 1, 0.0), (5, 20, 0.4), (20, 20, 0.4)]
)
def test_calibrated_forecasts_leave_the_band_of_chance_one_time_in_ten(horizon, symbols, together):
    rng, left = np.random.default_rng(horizon), []
    for _ in range(120):
        rolling = rolling_coverage(calibrated(rng, 250, horizon, symbols, together), 0.8)
        left.append(((rolling["covered"] < rolling["low"]) | (rolling["covered"] > rolling["high"])).mean())
    assert 0.05 < np.mean(left) < 0.14


def test_a_binomial_band_of_all_rows_would_be_left_by_half_of_calibrated_forecasts():
    rng, inside, binomial = np.random.default_rng(0), [], []
    for _ in range(60):
        rolling = rolling_coverage(calibrated(rng, 250, 5, 20, 0.4), 0.8)
        reach = 1.645 * np.sqrt(0.8 * 0.2 / (20 * rolling["sessions"]))
        binomial.append((np.abs(rolling["covered"] - 0.8) > reach).mean())
        inside.append(rolling["covered"].between(rolling["low"], rolling["high"]).mean())
    assert np.mean(binomial) > 0.5
    assert np.mean(inside) > 0.86


def test_intervals_that_are_too_narrow_fall_out_of_the_band():
    scores = calibrated(np.random.default_rng(1), 250, 1, 5, 0.2)
    missed = np.random.default_rng(2).uniform(size=len(scores)) < 0.2
    rolling = rolling_coverage(scores.assign(hit_80=scores["hit_80"] & ~missed), 0.8)
    assert (rolling["covered"] < rolling["low"]).mean() > 0.8


def test_a_window_holds_the_last_origins_each_counting_once():
    scores = scores_of(100, symbols="AAA BBB CCC", horizon=2)
    scores = scores[(scores["symbol"] == "AAA") | (scores["origin"] > scores["origin"].iloc[90])]
    rolling = rolling_coverage(scores, 0.9)
    daily = [float(np.mean(day.to_numpy(bool))) for _, day in scores.groupby("origin")["hit_90"]]
    assert rolling["origin"].tolist() == sorted(scores["origin"].unique())[19:]
    assert rolling["sessions"].tolist() == [min(n, WINDOW) for n in range(20, 101)]
    np.testing.assert_allclose(rolling["covered"], [np.mean(daily[max(n - WINDOW, 0) : n]) for n in range(20, 101)])
    _, error, freedom = long_run_mean(np.array(daily), 2)
    reach = stats.t.ppf(0.95, freedom) * error * 10 / np.sqrt(rolling["sessions"])
    np.testing.assert_allclose(rolling["low"], 0.9 - reach)
    np.testing.assert_allclose(rolling["high"], np.minimum(0.9 + reach, 1))


def test_too_few_origins_have_no_band_and_fewer_still_no_coverage():
    assert rolling_coverage(scores_of(19), 0.8).empty
    assert rolling_coverage(scores_of(19).iloc[:0], 0.8).empty
    rolling = rolling_coverage(scores_of(79, horizon=20), 0.8)
    assert len(rolling) == 60
    assert rolling["covered"].notna().all()
    assert rolling[["low", "high"]].isna().all(axis=None)
    assert rolling_coverage(scores_of(40, hit_95=None), 0.95).empty


def test_the_skill_to_date_ends_with_that_of_the_record():
    scores = pd.concat([scores_of(60, horizon=1, gain=0.05), scores_of(30, horizon=5, seed=1)])
    skill = skill_to_date(scores, [1, 5, 10])
    assert skill.groupby("horizon").size().to_dict() == {1: 41, 5: 11}
    record = make_track_record(scores, [1, 5]).drop_duplicates("horizon").set_index("horizon")
    last = skill.groupby("horizon").last()
    np.testing.assert_allclose(last["skill"], record["skill"])
    assert last["origin"].tolist() == record["last"].tolist()
    early = scores[scores["horizon"] == 1]
    early = early[early["origin"] <= sorted(early["origin"].unique())[24]]
    daily = early.groupby("origin")[["crps", "crps_random_walk"]].mean().mean()
    assert skill["skill"].iloc[5] == pytest.approx(1 - daily["crps"] / daily["crps_random_walk"])


def test_forecasts_without_a_random_walk_do_not_count_for_skill():
    scores = scores_of(60)
    old = scores["origin"] < scores["origin"].iloc[40]
    unknown = scores.assign(crps_random_walk=scores["crps_random_walk"].where(~old))
    pd.testing.assert_frame_equal(skill_to_date(unknown, [1]), skill_to_date(scores[~old], [1]))
    assert skill_to_date(scores.assign(crps_random_walk=np.nan), [1]).empty
