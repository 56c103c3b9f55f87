import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forecasting.config import LEVELS, NetworkConfig, TrainingConfig
from forecasting.errors import Diverged, ModelError, UsageError
from forecasting.model.adamw import AdamW
from forecasting.model.devices import choose_device
from forecasting.model.networks import QuantileNetwork
from forecasting.model.scale import HarScale
from forecasting.model.schedules import rate_at
from forecasting.model.training import train_network
from forecasting.model.windows import TrainingSet

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
    train_network(network, data, CONFIG)
    with torch.no_grad():
        trained = network.loss(fresh.inputs[None], fresh.targets[None])
    levels = torch.tensor(LEVELS)
    error = fresh.targets - torch.quantile(fresh.targets, levels)
    return 1 - float(trained / torch.maximum(levels * error, (levels - 1) * error).mean())


def test_training_learns_a_signal_that_needs_memory():
    # knowing the size exactly gains 28% here
    assert _gain(planted=True) > 0.2


def test_training_finds_nothing_where_there_is_nothing():
    assert -0.01 < _gain(planted=False) < 0.005


def test_same_seed_gives_the_same_weights_and_another_seed_others():
    def weights(seed):
        torch.manual_seed(0)
        network = QuantileNetwork(NetworkConfig(hidden=8), 2, 1, LEVELS)
        train_network(network, _data(1, True), TrainingConfig(window=60, burn_in=20, epochs=2, seed=seed))
        return torch.cat([p.detach().ravel() for p in network.parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_training_leaves_the_global_random_state_and_threads_alone():
    network = QuantileNetwork(NetworkConfig(hidden=4), 2, 1, LEVELS)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    train_network(network, _data(1, True), TrainingConfig(window=60, burn_in=20, epochs=1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_history_has_one_entry_per_epoch_and_progress_reaches_its_total():
    seen = []
    network = QuantileNetwork(NetworkConfig(hidden=4), 2, 1, LEVELS)
    history = train_network(
        network,
        _data(1, True),
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
        train_network(network, data, TrainingConfig(window=60, burn_in=20, epochs=5))


def test_divergence_keeps_the_weights_of_the_last_good_epoch():
    config = TrainingConfig(window=60, burn_in=20, epochs=3, batch_size=16)
    data = _data(1, True)
    network = _network()
    expected = _network()
    train_network(expected, data, replace(config, epochs=1, schedule="constant"))

    def spoil(what, done, total):
        if done == total // 3:  # the end of the first epoch
            data.inputs[100:2000] = float("inf")

    with pytest.raises(Diverged, match="the weights are those of epoch 1") as raised:
        train_network(network, data, replace(config, schedule="constant"), spoil)
    assert len(raised.value.history) == 1
    for p, q in zip(network.parameters(), expected.parameters(), strict=True):
        assert torch.equal(p, q)


def _network():
    torch.manual_seed(0)
    return QuantileNetwork(NetworkConfig(hidden=8, layers=2, dropout=0.2), 2, 1, LEVELS)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
from test_training import RESUMED, _data, _network
from forecasting.model.training import train_network

def kill(what, done, total):
    if done == int(total * 0.6):
        assert "torch._dynamo" not in sys.modules, "a second of importing what nothing uses"
        os.kill(os.getpid(), signal.SIGKILL)

train_network(_network(), _data(1, True), RESUMED, kill, Path(sys.argv[2]))
"""
RESUMED = TrainingConfig(window=60, burn_in=20, epochs=4, batch_size=16)


def test_killed_in_the_middle_it_resumes_and_ends_at_the_same_weights_to_the_last_bit(tmp_path):
    path = tmp_path / "training.safetensors"
    here = str(Path(__file__).parent)
    run = subprocess.run([sys.executable, "-c", KILLED, here, str(path)], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert path.exists()
    seen = []
    resumed, unbroken = _network(), _network()
    history = train_network(resumed, _data(1, True), RESUMED, lambda what, done, total: seen.append(done / total), path)
    expected = train_network(unbroken, _data(1, True), RESUMED)
    assert 0.5 < seen[0] < 0.6  # two of four epochs were not trained again
    assert [(e.loss, e.gradient_norm) for e in history] == [(e.loss, e.gradient_norm) for e in expected]
    for p, q in zip(resumed.parameters(), unbroken.parameters(), strict=True):
        assert torch.equal(p, q)
    assert not path.exists()


def test_the_checkpoint_of_another_training_or_a_broken_one_is_not_taken_up(tmp_path):
    path = tmp_path / "training.safetensors"

    def stop(what, done, total):
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_network(_network(), _data(2, True), RESUMED, stop, path)
    expected = _network()
    train_network(expected, _data(1, True), RESUMED)
    for content in (path.read_bytes(), path.read_bytes()[:1000], b""):
        path.write_bytes(content)
        network = _network()
        train_network(network, _data(1, True), RESUMED, checkpoint=path)
        for p, q in zip(network.parameters(), expected.parameters(), strict=True):
            assert torch.equal(p, q)


def test_steps_are_those_of_torchs_adamw_to_the_last_bit():
    generator = torch.Generator().manual_seed(0)
    start, *gradients = (torch.randn(5, 7, generator=generator) for _ in range(21))
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    own, reference = AdamW([ours], 1e-2), torch.optim.AdamW([theirs], weight_decay=1e-2, fused=True)
    for step, gradient in enumerate(gradients):
        rate, beta = rate_at("one_cycle", step, len(gradients), 0.1)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        reference.param_groups[0].update(lr=rate, betas=(beta, 0.999))
        own.step(rate, beta)
        reference.step()
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("steps", [2, 7, 50])
def test_the_one_cycle_schedule_is_torchs(steps):
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for step in range(steps):
        group = optimizer.param_groups[0]
        assert rate_at("one_cycle", step, steps, 3e-3) == pytest.approx((group["lr"], group["betas"][0]), rel=1e-12)
        optimizer.step()
        if step + 1 < steps:
            schedule.step()


def test_other_schedules_fall_to_zero_or_stay():
    assert [rate_at("cosine", step, 4, 1.0)[0] for step in (0, 2)] == pytest.approx([1.0, 0.5])
    assert rate_at("cosine", 4, 4, 1.0)[0] == pytest.approx(0.0)
    assert {rate_at("constant", step, 4, 0.1) for step in range(4)} == {(0.1, 0.9)}


def test_a_device_that_is_not_there_or_not_known_is_refused():
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UsageError, match="devices are auto, cpu, cuda, mps"):
        TrainingConfig(device="abacus")
    absent = next(d for d in ("cuda", "mps") if choose_device("auto").type != d)
    with pytest.raises(UsageError, match=f"{absent}.*finds none.*next:"):
        train_network(_network(), _data(1, True), TrainingConfig(device=absent))
