import numpy as np
import pandas as pd

from forecasting.config import LEVELS
from forecasting.model.calibration import OutOfTraining, apply_offsets, track_offsets


def _rows(outcomes, quantiles, matures, first="2018-01-01"):
    origins = pd.date_range(first, periods=len(outcomes), freq="D").as_unit("us")
    return OutOfTraining(origins, np.ones(outcomes.shape), quantiles, outcomes, matures)


def _daily(outcomes, levels, first="2018-01-01"):
    """One horizon, each outcome known on the day after its origin, quantiles all zero."""
    origins = pd.date_range(first, periods=len(outcomes), freq="D").as_unit("us")
    matures = (origins + pd.Timedelta(days=1)).to_numpy(copy=True)[:, None]
    return _rows(outcomes[:, None], np.zeros((len(outcomes), 1, len(levels))), matures, first)


def _track(pool, levels, rate):
    return track_offsets(pool, pool[0].origins, levels, rate)


def test_an_outcome_moves_only_the_offsets_of_strictly_later_dates():
    levels = np.array([0.1, 0.5, 0.9])
    offsets = _track([_daily(np.array([5.0, -5.0, 5.0, 5.0]), levels)], levels, 1.0)
    # the first outcome is known on 2018-01-02, so 2018-01-03 is the first date it may move
    np.testing.assert_allclose(offsets[:2], 0)
    np.testing.assert_allclose(offsets[2, 0], levels)  # above every quantile: up by the level
    np.testing.assert_allclose(offsets[3, 0], levels + levels - 1)  # then below every quantile


def test_unknown_outcomes_move_nothing():
    levels = np.array([0.1, 0.5, 0.9])
    rows = _daily(np.array([5.0, np.nan, np.nan]), levels)
    rows.matures[1:] = np.datetime64("NaT")
    offsets = _track([rows], levels, 1.0)
    np.testing.assert_allclose(offsets[2, 0], levels)


def test_changing_outcomes_changes_no_earlier_offset():
    levels = np.array(LEVELS)
    rng = np.random.default_rng(0)
    outcomes = rng.normal(size=300)
    changed = outcomes.copy()
    changed[200:] += 10
    a = _track([_daily(outcomes, levels)], levels, 0.05)
    b = _track([_daily(changed, levels)], levels, 0.05)
    np.testing.assert_array_equal(a[:202], b[:202])
    assert not np.array_equal(a[202:], b[202:])


def test_coverage_of_a_far_too_narrow_forecast_reaches_its_level():
    levels = np.array(LEVELS)
    rng = np.random.default_rng(1)
    outcomes = rng.normal(size=6000)
    rows = _daily(outcomes, levels)
    offsets = _track([rows], levels, 0.05)
    corrected = apply_offsets(rows.quantiles, offsets)[3000:, 0]
    below = (outcomes[3000:, None] <= corrected).mean(axis=0)
    np.testing.assert_allclose(below, levels, atol=0.02)


def test_symbols_are_pooled_by_their_mean():
    levels = np.array([0.1, 0.5, 0.9])
    up, down = _daily(np.array([5.0, 5.0, 5.0]), levels), _daily(np.array([-5.0, -5.0, -5.0]), levels)
    offsets = _track([up, down], levels, 1.0)
    np.testing.assert_allclose(offsets[2, 0], (levels + levels - 1) / 2)


def test_corrected_quantiles_are_ordered_and_their_intervals_nested():
    rng = np.random.default_rng(2)
    quantiles = np.sort(rng.normal(size=(50, 20, len(LEVELS))), axis=-1)
    corrected = apply_offsets(quantiles, rng.normal(scale=2, size=quantiles.shape))
    assert (np.diff(corrected, axis=-1) >= 0).all()


def test_ordered_corrections_are_left_as_they_are():
    quantiles = np.array([-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(apply_offsets(quantiles, np.array([-0.5, 0.1, 0.5])), [-1.5, 0.1, 1.5])


def test_dates_between_and_after_those_of_the_pool_have_what_was_known_by_then():
    levels = np.array([0.1, 0.5, 0.9])
    pool = [_daily(np.array([5.0, 5.0]), levels)]  # known on 2 and 3 January
    dates = pd.DatetimeIndex(["2018-01-02", "2018-01-03", "2018-01-04", "2018-06-01"])
    offsets = track_offsets(pool, dates, levels, 1.0)[:, 0]
    np.testing.assert_allclose(offsets, [0 * levels, levels, 2 * levels, 2 * levels])
