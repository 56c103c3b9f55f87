import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from forecasting.config import LEVELS, NetworkConfig
from forecasting.model.calibration import apply_offsets
from forecasting.model.forecaster import interpolation_weights
from forecasting.model.heads import Identity, OrderedQuantiles, Sigmoid, Softmax, make_class_head
from forecasting.model.networks import QuantileNetwork

RAW = st.floats(width=32, allow_nan=False)  # infinities too


def _drawn(seed, shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(st.lists(RAW, min_size=len(LEVELS) + 1, max_size=len(LEVELS) + 1))
def test_quantiles_are_finite_and_never_cross_whatever_the_raw_outputs(raw):
    quantiles = OrderedQuantiles(LEVELS)(torch.tensor(raw, dtype=torch.float32))
    assert quantiles.isfinite().all()
    assert (quantiles.diff(dim=-1) >= 0).all()


@given(seed=st.integers(0, 10_000), log_size=st.floats(-3, 30), cell=st.sampled_from(["rnn", "gru", "lstm", "none"]))
def test_forecasts_are_finite_and_never_cross_at_any_horizon_whatever_the_weights(seed, log_size, cell):
    generator = torch.Generator().manual_seed(seed)
    network = QuantileNetwork(NetworkConfig(cell=cell, hidden=4), 3, 6, LEVELS)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(10**log_size * torch.randn(weight.shape, generator=generator))
        knots = network(6 * torch.rand(2, 5, 3, generator=generator))
    assert knots.dtype == torch.float32
    assert knots.isfinite().all()
    assert (knots.diff(dim=-1) >= 0).all()
    # as a forecast goes on: 20 horizons filled in, calibrated with offsets of nothing
    every = np.einsum("hk,btkl->bthl", interpolation_weights(range(1, 21)), knots.numpy().astype("float64"))
    assert (np.diff(apply_offsets(every, np.zeros_like(every)), axis=-1) >= 0).all()


def test_raw_zeros_are_a_student_t_of_unit_variance():
    quantiles = OrderedQuantiles(LEVELS)(torch.zeros(len(LEVELS) + 1)).numpy()
    np.testing.assert_allclose(quantiles, stats.t.ppf(LEVELS, 5) * np.sqrt(3 / 5), atol=1e-5)


def test_an_untrained_network_forecasts_fatter_tails_than_a_normal_of_the_same_quartiles():
    with torch.no_grad():
        quantiles = QuantileNetwork(NetworkConfig(), 3, 6, LEVELS)(torch.randn(2, 5, 3))
    normal = stats.norm.ppf(LEVELS) * float(quantiles[0, 0, 0, LEVELS.index(0.75)]) / stats.norm.ppf(0.75)
    assert (quantiles[..., -1] > 1.15 * normal[-1]).all()
    assert (quantiles[..., 0] < 1.15 * normal[0]).all()
    torch.testing.assert_close(quantiles, -quantiles.flip(-1))


def test_the_quantile_head_is_trained_with_the_pinball_loss():
    head, raw, targets = OrderedQuantiles(LEVELS), _drawn(0, (5, len(LEVELS) + 1)).float(), _drawn(1, (5,)).float()
    expected = [
        np.mean([max(q * (y - v), (q - 1) * (y - v)) for q, v in zip(LEVELS, values, strict=True)])
        for y, values in zip(targets.tolist(), head(raw).tolist(), strict=True)
    ]
    assert float(head.loss(raw, targets)) == pytest.approx(np.mean(expected), rel=1e-6)


def _pinball(quantiles, targets, levels):
    """Return the mean pinball loss as it is defined, over the known targets."""
    error = (targets.unsqueeze(-1) - quantiles)[~targets.isnan()]
    return torch.maximum(levels * error, (levels - 1) * error).mean()


def _raw_and_targets(levels):
    """Return raw outputs (7, 4, 3, L + 1) of all sizes, some beyond what they are clamped to, and targets."""
    raw, targets = _drawn(3, (7, 4, 3, len(levels) + 1)), _drawn(4, (7, 4, 3))
    raw[1] *= 100
    raw[2] *= 1e7
    raw[3, 0, 0], raw[3, 1, 0] = float("inf"), -float("inf")
    raw[4, :, :, 1] = torch.tensor([-11.0, 9.0, 11.0]).double()  # the log scale
    targets[0, :2], targets[2, 0, 0], targets[5] = float("nan"), float("nan"), float("nan")
    return raw, targets


@pytest.mark.parametrize("levels", [LEVELS, (0.1, 0.5, 0.9), (0.5,)])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 1, 2), (1, 3, 0, 2)])
def test_the_loss_of_raw_outputs_and_its_gradient_are_those_of_the_definition(levels, order):
    head, (raw, targets) = OrderedQuantiles(levels).double(), _raw_and_targets(levels)
    # the same values in another order of memory
    raw = raw.permute(order).contiguous().permute(*np.argsort(order)).requires_grad_()
    loss, expected = head.loss(raw, targets), _pinball(head(raw), targets, head.levels)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(3 * loss, raw)
    (by_definition,) = torch.autograd.grad(3 * expected, raw)
    torch.testing.assert_close(gradient, by_definition, rtol=1e-8, atol=1e-15)
    assert (gradient[5] == 0).all()  # no target is known


def test_the_gradient_of_the_loss_is_that_of_finite_differences():
    head, raw, targets = OrderedQuantiles(LEVELS).double(), _drawn(5, (6, len(LEVELS) + 1)), _drawn(6, (6,))
    assert torch.autograd.gradcheck(lambda a: head.loss(a, targets), raw.requires_grad_())


def test_without_a_known_target_there_is_no_loss_and_nothing_to_learn():
    raw = torch.randn(4, len(LEVELS) + 1, requires_grad=True)
    loss = OrderedQuantiles(LEVELS).loss(raw, torch.full((4,), float("nan")))
    loss.backward()
    assert loss.item() == 0
    assert (raw.grad == 0).all()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "none"])
def test_a_network_is_trained_with_the_pinball_loss_of_what_it_forecasts(cell):
    torch.manual_seed(0)
    network = QuantileNetwork(NetworkConfig(cell=cell, hidden=5), 3, 2, LEVELS).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight)
    x, targets = _drawn(7, (4, 9, 3)), _drawn(8, (4, 6, 2))
    targets[0, 4:] = float("nan")
    loss = network.loss(x, targets, first=3)
    expected = _pinball(network(x)[:, 3:], targets, network.quantiles.levels)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    weights = list(network.parameters())
    for found, right in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-12)


def test_the_identity_is_trained_with_the_squared_error():
    raw, targets = _drawn(0, (7, 3)), _drawn(1, (7, 3))
    head = Identity(3)
    assert torch.equal(head(raw), raw)
    assert float(head.loss(raw, targets)) == pytest.approx(((raw - targets) ** 2).mean().item())


@pytest.mark.parametrize("classes", [3, 5])
def test_softmax_and_its_loss_are_those_of_scipy(classes):
    raw, truth = _drawn(classes, (9, 4, classes)), torch.arange(36).reshape(9, 4) % classes
    head = Softmax(classes)
    np.testing.assert_allclose(head(raw), special.softmax(raw.numpy(), axis=-1), rtol=1e-12)
    log_p = special.log_softmax(raw.numpy(), axis=-1)
    expected = -np.take_along_axis(log_p, truth.numpy()[..., None], -1).mean()
    assert float(head.loss(raw, truth)) == pytest.approx(expected, rel=1e-12)


def test_sigmoid_and_its_loss_are_softmax_with_one_of_two_scores_at_zero():
    raw, truth = _drawn(2, (20, 1)), torch.arange(20) % 2
    both = torch.cat([torch.zeros_like(raw), raw], -1)
    torch.testing.assert_close(Sigmoid()(raw), Softmax(2)(both), rtol=1e-12, atol=0)
    torch.testing.assert_close(Sigmoid().loss(raw, truth), Softmax(2).loss(both, truth), rtol=1e-12, atol=0)


@pytest.mark.parametrize("size", [100.0, 1e4, 1e30])
@pytest.mark.parametrize("classes", [2, 3])
def test_cross_entropy_is_exact_and_its_slope_finite_for_scores_that_overflow_an_exponential(classes, size):
    head = make_class_head(classes)
    raw = torch.full((2, head.raw), 0.0)
    raw[:, -1] = size  # certain of the last class
    raw.requires_grad_()
    truth = torch.tensor([classes - 1, 0])  # right once, and wrong once
    loss = head.loss(raw, truth)
    loss.backward()
    assert loss.item() == pytest.approx(size / 2)
    assert raw.grad.isfinite().all()
    assert raw.grad[1, -1] == pytest.approx(0.5)
    assert math.isfinite(head(raw).sum().item())


def test_two_classes_take_one_raw_output_and_more_take_one_each():
    assert make_class_head(2).raw == 1
    assert make_class_head(3).raw == 3
