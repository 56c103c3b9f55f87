"""The recurrence against a second, plain implementation: NumPy in float64, step by step, forwards and backwards."""

import numpy as np
import pytest
import torch

from forecasting.config import NetworkConfig
from forecasting.errors import UsageError
from forecasting.model.devices import one_thread
from forecasting.model.layers import Recurrent, make_cells, run_cells

CASES = [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")]


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def _sigmoid(a):
    return 1 / (1 + np.exp(-a))


class PlainRNN:
    """h_t = f(W_hh h_{t-1} + W_xh x_t + b_h), and its chain rule by hand."""

    gates = 1

    def __init__(self, nonlinearity):
        self.f, self.slope = {
            "tanh": (np.tanh, lambda h: 1 - h**2),
            "relu": (lambda a: np.maximum(a, 0), lambda h: (h > 0).astype("float64")),
        }[nonlinearity]

    def step(self, w, x, h, c):
        b_h = w["bias_ih"] + w["bias_hh"]
        new = self.f(h @ w["weight_hh"].T + x @ w["weight_ih"].T + b_h)
        return new, None, (x, h, new)

    def back(self, w, kept, dh, dc, g):
        x, h, new = kept
        da = dh * self.slope(new)
        _add(g, da, da, x, h)
        return da @ w["weight_ih"], da @ w["weight_hh"], None


class PlainGRU:
    """Cho et al. (2014), in torch's form: the reset gate acts on W_hn h + b_hn."""

    gates = 3

    def step(self, w, x, h, c):
        a = x @ w["weight_ih"].T + w["bias_ih"]
        b = h @ w["weight_hh"].T + w["bias_hh"]
        (ar, az, an), (br, bz, bn) = np.split(a, 3, -1), np.split(b, 3, -1)
        r, z = _sigmoid(ar + br), _sigmoid(az + bz)
        n = np.tanh(an + r * bn)
        return (1 - z) * n + z * h, None, (x, h, r, z, n, bn)

    def back(self, w, kept, dh, dc, g):
        x, h, r, z, n, bn = kept
        dn = dh * (1 - z) * (1 - n**2)
        dz = dh * (h - n) * z * (1 - z)
        dr = dn * bn * r * (1 - r)
        da, db = np.concatenate([dr, dz, dn], -1), np.concatenate([dr, dz, dn * r], -1)
        _add(g, da, db, x, h)
        return da @ w["weight_ih"], db @ w["weight_hh"] + dh * z, None


class PlainLSTM:
    """Hochreiter and Schmidhuber (1997) with a forget gate."""

    gates = 4

    def step(self, w, x, h, c):
        a = x @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
        i, f, g, o = np.split(a, 4, -1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        new = f * c + i * g
        return o * np.tanh(new), new, (x, h, c, i, f, g, o, new)

    def back(self, w, kept, dh, dc, grads):
        x, h, c, i, f, g, o, new = kept
        tanh = np.tanh(new)
        dc = dc + dh * o * (1 - tanh**2)
        do = dh * tanh * o * (1 - o)
        di, df, dg = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2)
        da = np.concatenate([di, df, dg, do], -1)
        _add(grads, da, da, x, h)
        return da @ w["weight_ih"], da @ w["weight_hh"], dc * f


def _add(g, da, db, x, h):
    """Add one step's share to the gradients of the weights: da at W_xh x + b, db at W_hh h + b."""
    g["weight_ih"] += da.T @ x
    g["weight_hh"] += db.T @ h
    g["bias_ih"] += da.sum(0)
    g["bias_hh"] += db.sum(0)


def plain_layer(cell, w, x, d_out, chunk):
    """Return outputs, gradients of the weights and of the inputs of one layer.

    d_out(outputs) is the gradient at every step's output; none passes from a chunk into the one before.
    """
    n_batch, n_steps, _ = x.shape
    hidden = w["weight_hh"].shape[1]
    h, c = np.zeros((n_batch, hidden)), np.zeros((n_batch, hidden))
    kept, out = [], np.empty((n_batch, n_steps, hidden))
    for t in range(n_steps):
        h, c, at_t = cell.step(w, x[:, t], h, c)
        out[:, t] = h
        kept.append(at_t)
    g = {name: np.zeros_like(value) for name, value in w.items()}
    d_out, dx = d_out(out), np.empty_like(x)
    dh, dc = np.zeros((n_batch, hidden)), np.zeros((n_batch, hidden))
    for t in reversed(range(n_steps)):
        if (t + 1) % chunk == 0:
            dh, dc = np.zeros_like(dh), np.zeros((n_batch, hidden))
        dx[:, t], dh, dc = cell.back(w, kept[t], dh + d_out[:, t], dc, g)
    return out, g, dx


def _plain(cell, nonlinearity):
    return PlainRNN(nonlinearity) if cell == "rnn" else {"gru": PlainGRU, "lstm": PlainLSTM}[cell]()


def _compare(cell, nonlinearity, layers, x, weight, cells, tbptt_steps):
    """Check values and gradients of sum(weight * hidden units) against NumPy, layer by layer."""
    x = x.clone().requires_grad_()
    hidden, _ = run_cells(cells, x, tbptt_steps=tbptt_steps)
    (weight * hidden).sum().backward()
    plain, chunk = _plain(cell, nonlinearity), tbptt_steps or x.shape[1]
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    w = [{n: getattr(cells, f"{n}_l{i}").detach().numpy() for n in names} for i in range(layers)]
    found, inputs = [x.detach().numpy()], []
    for layer in w:
        inputs.append(found[-1])
        found.append(plain_layer(plain, layer, found[-1], np.zeros_like, chunk)[0])
    np.testing.assert_allclose(hidden.detach().numpy(), found[-1], atol=1e-12)
    d_out = weight.numpy()
    for i in reversed(range(layers)):
        _, g, d_out = plain_layer(plain, w[i], inputs[i], lambda _, d=d_out: d, chunk)
        for name in names:
            np.testing.assert_allclose(getattr(cells, f"{name}_l{i}").grad.numpy(), g[name], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(x.grad.numpy(), d_out, rtol=1e-9, atol=1e-11)


def _case(cell, nonlinearity, layers, steps=9):
    torch.manual_seed(1)
    config = NetworkConfig(cell=cell, nonlinearity=nonlinearity, layers=layers, hidden=7)
    x, weight = torch.randn(4, steps, 3, dtype=torch.float64), torch.randn(4, steps, 7, dtype=torch.float64)
    return x, weight, make_cells(config, 3).double()


@pytest.mark.parametrize(("cell", "nonlinearity"), CASES)
@pytest.mark.parametrize("layers", [1, 2])
def test_values_and_full_backpropagation_are_those_of_plain_numpy(cell, nonlinearity, layers):
    x, weight, cells = _case(cell, nonlinearity, layers)
    _compare(cell, nonlinearity, layers, x, weight, cells, None)


@pytest.mark.parametrize(("cell", "nonlinearity"), CASES)
@pytest.mark.parametrize("layers", [1, 2])
def test_truncated_backpropagation_is_that_of_plain_numpy(cell, nonlinearity, layers):
    x, weight, cells = _case(cell, nonlinearity, layers)
    _compare(cell, nonlinearity, layers, x, weight, cells, 4)


def _run(cells, x, tbptt_steps):
    cells.zero_grad()
    hidden, _ = run_cells(cells, x, tbptt_steps=tbptt_steps)
    (hidden**2).sum().backward()
    return hidden.detach(), [p.grad.clone() for p in cells.parameters()]


@pytest.mark.parametrize(("cell", "nonlinearity"), CASES)
def test_truncation_as_long_as_the_sequence_is_full_backpropagation_to_the_last_bit(cell, nonlinearity):
    x, _, cells = _case(cell, nonlinearity, 2)
    (full, gradients), (same, same_gradients) = _run(cells, x, None), _run(cells, x, 9)
    assert torch.equal(full, same)
    assert all(torch.equal(a, b) for a, b in zip(gradients, same_gradients, strict=True))


@pytest.mark.parametrize(("cell", "nonlinearity"), CASES)
def test_truncation_carries_the_state_but_no_gradient(cell, nonlinearity):
    x, _, cells = _case(cell, nonlinearity, 2)
    (full, gradients), (cut, cut_gradients) = _run(cells, x, None), _run(cells, x, 2)
    torch.testing.assert_close(full, cut, rtol=0, atol=1e-13)
    assert not any(torch.allclose(a, b) for a, b in zip(gradients, cut_gradients, strict=True))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "none"])
def test_sequences_are_returned_whole_or_by_their_last_step_and_blocks_stack(cell):
    torch.manual_seed(0)
    config, x = NetworkConfig(cell=cell, hidden=128), torch.randn(5, 30, 3)
    whole = Recurrent(config, 3)
    assert whole(x).shape == (5, 30, 128)
    last = Recurrent(config, 3, return_sequences=False)
    last.load_state_dict(whole.state_dict())
    assert last(x).shape == (5, 128)
    assert torch.equal(last(x), whole(x)[:, -1])
    stack = torch.nn.Sequential(whole, Recurrent(config, 128, return_sequences=False), torch.nn.Linear(128, 2))
    assert stack(x).shape == (5, 2)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "none"])
def test_dropout_acts_between_layers_and_only_in_training(cell):
    torch.manual_seed(0)
    cells = make_cells(NetworkConfig(cell=cell, hidden=16, layers=2, dropout=0.5), 3)
    x = torch.randn(2, 5, 3)
    assert not torch.equal(run_cells(cells, x)[0], run_cells(cells, x)[0])
    cells.eval()
    assert torch.equal(run_cells(cells, x)[0], run_cells(cells, x)[0])


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_a_dropout_of_everything_or_less_than_nothing_is_refused(dropout):
    with pytest.raises(UsageError, match=r"dropout must lie in \[0, 1\)"):
        NetworkConfig(dropout=dropout)
