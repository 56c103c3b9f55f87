import numpy as np
import pytest
import torch
from scipy import stats

from forecasting.config import LEVELS, NetworkConfig
from forecasting.errors import UsageError
from forecasting.model.networks import QuantileNetwork


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_cell_is_the_textbook_recurrence(nonlinearity):
    torch.manual_seed(0)
    network = QuantileNetwork(NetworkConfig(hidden=7, nonlinearity=nonlinearity), 3, 2, LEVELS).double()
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    w = {name: p.detach().numpy() for name, p in network.recurrence.named_parameters()}
    f = np.tanh if nonlinearity == "tanh" else lambda a: np.maximum(a, 0)
    h = np.zeros((2, 7))
    states, _ = network.recurrence(x)
    for t in range(9):
        b_h = w["bias_ih_l0"] + w["bias_hh_l0"]
        h = f(h @ w["weight_hh_l0"].T + x[:, t].numpy() @ w["weight_ih_l0"].T + b_h)
        np.testing.assert_allclose(states[:, t].detach().numpy(), h, atol=1e-12)


def test_untrained_network_has_the_mean_size_of_the_targets():
    network = QuantileNetwork(NetworkConfig(), 3, 2, LEVELS)
    draws = stats.t.rvs(5, size=(200_000, 2), random_state=np.random.default_rng(1)) * np.sqrt(3 / 5)
    network.start_at(torch.from_numpy(draws * [0.5, 2.0]).float())
    with torch.no_grad():
        q90 = network(torch.zeros(1, 1, 3))[0, 0, :, LEVELS.index(0.9)].numpy()
    np.testing.assert_allclose(q90, np.quantile(draws, 0.9, axis=0) * [0.5, 2.0], rtol=0.02)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "none"])
@pytest.mark.parametrize("layers", [1, 2])
def test_every_step_of_a_sequence_has_an_output(cell, layers):
    network = QuantileNetwork(NetworkConfig(cell=cell, layers=layers, hidden=8), 3, 4, LEVELS)
    assert network(torch.randn(5, 6, 3)).shape == (5, 6, 4, len(LEVELS))


def test_without_recurrence_a_step_is_a_dense_layer_of_its_own_inputs():
    torch.manual_seed(0)
    network = QuantileNetwork(NetworkConfig(cell="none", hidden=7), 3, 2, LEVELS).double()
    torch.nn.init.normal_(network.head.weight)
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    weight, bias = (p.detach().numpy() for p in network.recurrence.parameters())
    states, state = network.recurrence(x)
    np.testing.assert_allclose(states.detach().numpy(), np.tanh(x.numpy() @ weight.T + bias), atol=1e-12)
    assert state is None
    with torch.no_grad():
        torch.testing.assert_close(network(x)[:, 4:5], network(x[:, 4:5]), rtol=0, atol=1e-12)


def test_a_network_without_recurrence_has_no_other_nonlinearity():
    with pytest.raises(UsageError, match="only the rnn cell has a choice of nonlinearity"):
        NetworkConfig(cell="none", nonlinearity="relu")


def test_gradients_reach_back_through_the_whole_window():
    torch.manual_seed(0)
    network = QuantileNetwork(NetworkConfig(hidden=16), 3, 1, LEVELS)
    torch.nn.init.normal_(network.head.weight)
    x = torch.randn(1, 30, 3, requires_grad=True)
    network(x)[:, -1].sum().backward()
    assert (x.grad[0].abs().sum(-1) > 0).all()
