import ctypes
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from forecasting.model import allocator
from forecasting.model.allocator import keeping_freed_memory
from forecasting.model.devices import one_thread
from forecasting.model.elman import Elman


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def _pair(layers, nonlinearity, dtype, hidden=64):
    torch.manual_seed(0)
    plain = nn.RNN(5, hidden, layers, nonlinearity=nonlinearity, batch_first=True).to(dtype)
    own = Elman(5, hidden, layers, nonlinearity).to(dtype)
    own.load_state_dict(plain.state_dict())
    return plain, own


def _gradients(cells, x, state, weight):
    x, state = x.clone().requires_grad_(), state.clone().requires_grad_()
    hidden, last = cells(x, state)
    ((weight * hidden).mean() + last.mean()).backward()
    return [hidden, last, x.grad, state.grad, *(p.grad for p in cells.parameters())]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-7), (torch.float64, 1e-12)])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("layers", [1, 2])
def test_gradients_are_those_of_torch(layers, nonlinearity, dtype, tolerance):
    plain, own = _pair(layers, nonlinearity, dtype)
    x, weight = torch.randn(32, 60, 5, dtype=dtype), torch.randn(32, 60, 64, dtype=dtype)
    state = torch.rand(layers, 32, 64, dtype=dtype)
    expected, found = _gradients(plain, x, state, weight), _gradients(own, x, state, weight)
    for a, b in zip(expected[2:], found[2:], strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=tolerance)
    for a, b in zip(expected[:2], found[:2], strict=True):
        torch.testing.assert_close(b, a, rtol=tolerance, atol=3 * tolerance)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_gradients_are_those_of_finite_differences(nonlinearity):
    _, own = _pair(2, nonlinearity, torch.float64, hidden=3)
    x, state = torch.randn(2, 4, 5, dtype=torch.float64), torch.rand(2, 2, 3, dtype=torch.float64)
    names = own._flat_weights_names

    def run(x, state, *weights):
        own._flat_weights = list(weights)
        return own(x, state)

    inputs = [t.detach().clone().requires_grad_() for t in (x, state, *(getattr(own, name) for name in names))]
    assert torch.autograd.gradcheck(run, inputs, atol=1e-9, rtol=1e-7)


def test_an_unbroken_pass_and_one_in_two_parts_end_in_the_same_state():
    _, own = _pair(2, "tanh", torch.float64)
    x = torch.randn(3, 20, 5, dtype=torch.float64)
    whole, last = own(x)
    _, state = own(x[:, :8])
    rest, end = own(x[:, 8:], state)
    torch.testing.assert_close(rest, whole[:, 8:], rtol=0, atol=1e-14)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-14)


def test_one_step_is_a_sequence_too():
    plain, own = _pair(1, "tanh", torch.float64)
    x = torch.randn(3, 1, 5, dtype=torch.float64)
    state, weight = torch.zeros(1, 3, 64, dtype=torch.float64), torch.ones(3, 1, 64, dtype=torch.float64)
    for a, b in zip(_gradients(plain, x, state, weight), _gradients(own, x, state, weight), strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-12)


def test_memory_is_kept_where_there_is_glibc_and_nothing_is_touched_elsewhere(monkeypatch):
    with keeping_freed_memory() as kept:
        assert kept == (platform.libc_ver()[0] == "glibc")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", None)  # calling it would raise
    allocator._glibc.cache_clear()
    with keeping_freed_memory() as kept:
        assert kept is False
    allocator._glibc.cache_clear()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator alone")
def test_what_training_kept_goes_back_to_the_system_at_its_end():
    script = """
from pathlib import Path
import numpy as np
from forecasting.model.allocator import keeping_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 1_000_000

with keeping_freed_memory():
    parts = [np.ones(1_000_000) for _ in range(50)]  # 400 MB
    del parts
    print(resident())
print(resident())
"""
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    within, after = map(int, out.split())
    assert within - after > 300
