import numpy as np
import pytest
import torch

from forecasting.config import LEVELS, NetworkConfig, TrainingConfig
from forecasting.errors import ModelError
from forecasting.model.losses import pinball_loss
from forecasting.model.networks import QuantileNetwork
from forecasting.model.scale import HarScale
from forecasting.model.training import train_network
from forecasting.model.windows import TrainingSet

LEVEL_TENSOR = torch.tensor(LEVELS)
CONFIG = TrainingConfig(window=60, burn_in=20, epochs=25, batch_size=16, input_noise=0.0, learning_rate=1e-2)


def _data(seed, planted):
    """Targets are noise; where planted, their size is what the input was four steps before."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(6000, 2, generator=generator)
    targets = torch.randn(6000, 1, generator=generator)
    if planted:
        targets[4:] *= torch.exp(inputs[:-4, :1])
    return TrainingSet(inputs, targets, (3000, 3000), torch.zeros(2), torch.ones(2), HarScale(np.zeros((1, 1))))


def _gain(planted):
    """Return by how much the trained network beats the best constant quantiles on fresh data."""
    data, fresh = _data(1, planted), _data(2, planted)
    torch.manual_seed(0)
    network = QuantileNetwork(NetworkConfig(hidden=16), 2, 1, LEVELS)
    train_network(network, data, LEVEL_TENSOR, CONFIG)
    constant = torch.quantile(fresh.targets[:, 0], LEVEL_TENSOR)
    with torch.no_grad():
        quantiles = network(fresh.inputs[None])[0]
    trained = pinball_loss(quantiles, fresh.targets, LEVEL_TENSOR)
    return 1 - float(trained / pinball_loss(constant.expand_as(quantiles), fresh.targets, LEVEL_TENSOR))


def test_training_learns_a_signal_that_needs_memory():
    # knowing the size exactly gains 28% here
    assert _gain(planted=True) > 0.2


def test_training_finds_nothing_where_there_is_nothing():
    assert -0.01 < _gain(planted=False) < 0.005


def test_same_seed_gives_the_same_weights_and_another_seed_others():
    def weights(seed):
        torch.manual_seed(0)
        network = QuantileNetwork(NetworkConfig(hidden=8), 2, 1, LEVELS)
        train_network(network, _data(1, True), LEVEL_TENSOR, TrainingConfig(window=60, burn_in=20, epochs=2, seed=seed))
        return torch.cat([p.detach().ravel() for p in network.parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_training_leaves_the_global_random_state_and_threads_alone():
    network = QuantileNetwork(NetworkConfig(hidden=4), 2, 1, LEVELS)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    train_network(network, _data(1, True), LEVEL_TENSOR, TrainingConfig(window=60, burn_in=20, epochs=1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_history_has_one_entry_per_epoch_and_progress_reaches_its_total():
    seen = []
    network = QuantileNetwork(NetworkConfig(hidden=4), 2, 1, LEVELS)
    history = train_network(
        network,
        _data(1, True),
        LEVEL_TENSOR,
        TrainingConfig(window=60, burn_in=20, epochs=3),
        lambda what, done, total: seen.append((what, done, total)),
    )
    assert len(history) == 3
    assert seen[-1][1] == seen[-1][2] == len(seen)
    assert all(np.isfinite([e.loss, e.gradient_norm, e.seconds]).all() for e in history)


def test_divergence_stops_with_a_clear_error():
    data = _data(1, True)
    data.inputs[100] = float("inf")
    network = QuantileNetwork(NetworkConfig(hidden=4), 2, 1, LEVELS)
    with pytest.raises(ModelError, match=r"diverged at step \d+ of \d+.*next:"):
        train_network(network, data, LEVEL_TENSOR, TrainingConfig(window=60, burn_in=20, epochs=5))
