import numpy as np
import pytest
import torch
from helpers import synthetic_series

from forecasting.errors import TooFewBars
from forecasting.model.features import WARM_UP, make_features
from forecasting.model.scale import fit_scale
from forecasting.model.windows import make_training_set, standardize, window_starts


@pytest.fixture(scope="module")
def universe():
    return [synthetic_series(s, "2010-12-31") for s in ("SYN1", "SYN2")]


def test_targets_are_the_return_over_the_scale_known_at_the_origin(universe):
    data = make_training_set(universe, (1, 5), 60)
    features = make_features(universe)
    scale = fit_scale(features, 5)(features[0])
    close = universe[0].bars["close"].to_numpy()
    t = 700
    expected = np.log(close[t + 5] / close[t]) / scale[t, 4]
    assert float(data.targets[t - WARM_UP, 1]) == pytest.approx(expected, rel=1e-5)


def test_no_target_lies_beyond_the_cut(universe):
    data = make_training_set(universe, (1, 20), 60)
    unknown = np.isnan(data.targets.numpy())
    first = data.lengths[0]
    assert unknown[first - 20 : first, 1].all()
    assert unknown.sum() == 2 * (1 + 20)


def test_inputs_are_standardised_on_the_training_part_and_bounded(universe):
    data = make_training_set(universe, (1,), 60)
    raw = torch.from_numpy(np.concatenate([f.values[WARM_UP:] for f in make_features(universe)]))
    known = ~raw.isnan().all(0)  # two symbols make no market
    np.testing.assert_allclose(data.mean[known], raw.mean(0)[known], atol=1e-5)
    np.testing.assert_allclose(data.std[known], raw.std(0)[known], rtol=1e-4)
    assert (data.inputs[:, ~known] == 0).all()
    inside = ((raw - data.mean) / data.std).abs() < 6
    np.testing.assert_allclose(data.inputs[inside], ((raw - data.mean) / data.std)[inside], atol=1e-5)
    assert float(data.inputs.abs().max()) <= 6
    assert inside[:, known].float().mean() > 0.99


def test_an_input_that_is_not_known_stands_at_its_mean():
    raw = torch.tensor([[1.0, float("nan")], [100.0, 3.0]])
    found = standardize(raw, torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.5]))
    np.testing.assert_array_equal(found, [[0, 0], [6, 2]])


def test_too_short_a_history_names_what_is_needed(universe):
    short = [s.until(s.sessions[100]) for s in universe]
    with pytest.raises(TooFewBars, match="101 bars.*needs 140"):
        make_training_set(short, (1, 20), 60)


def test_windows_stay_within_their_series_and_cover_it():
    rng = np.random.default_rng(0)
    for _ in range(20):
        starts = window_starts((500, 130, 120), 120, 60, rng)
        ends = starts + 120
        series = np.searchsorted([500, 630, 750], starts, side="right")
        assert (series == np.searchsorted([500, 630, 750], ends - 1, side="right")).all()
        assert set(series) == {0, 1, 2}
        assert sorted(np.diff(np.sort(starts[series == 0]))) == [60] * (np.sum(series == 0) - 1)


def test_scale_recovers_a_known_autoregression_and_forgets_shocks(universe):
    features = make_features(universe)
    scale = fit_scale(features, 20)
    today = scale(features[0])[WARM_UP:]
    daily = today / np.sqrt(np.arange(1, 21))
    # the further ahead, the closer to the mean: the spread of the daily scale shrinks with the horizon
    spread = np.log(daily).std(axis=0)
    assert (np.diff(spread) < 0).all()
    truth = np.log(universe[0].bars["volatility"].to_numpy()[WARM_UP + 1 :])
    assert np.corrcoef(np.log(daily[:-1, 0]), truth)[0, 1] > 0.9
