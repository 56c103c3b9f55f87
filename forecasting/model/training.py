"""Fit a network by backpropagation through time: every step of a window after its burn-in is supervised."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from forecasting.config import Progress, TrainingConfig, no_progress
from forecasting.errors import ModelError
from forecasting.model.losses import pinball_loss
from forecasting.model.windows import TrainingSet, window_starts


@dataclass(frozen=True)
class Epoch:
    """One pass over the training windows: mean loss, mean gradient norm before clipping, seconds."""

    loss: float
    gradient_norm: float
    seconds: float


def train_network(
    network: nn.Module,
    data: TrainingSet,
    levels: Tensor,
    config: TrainingConfig,
    progress: Progress = no_progress,
) -> list[Epoch]:
    """Train in place and return the history; the network ends with the moving average of its weights.

    Deterministic for a seed, data and kind of machine: one thread, its own random generators.

    Raises
    ------
    ModelError
        The loss is no longer a finite number.
    """
    with one_thread():
        return _train(network, data, levels, config, progress)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: faster for steps this small, and the same sums on every machine of a kind."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _train(
    network: nn.Module, data: TrainingSet, levels: Tensor, config: TrainingConfig, progress: Progress
) -> list[Epoch]:
    rng = np.random.default_rng(config.seed)
    stride = config.window - config.burn_in  # each epoch supervises each step about once
    epochs = [window_starts(data.lengths, config.window, stride, rng) for _ in range(config.epochs)]
    steps = sum(-(-len(starts) // config.batch_size) for starts in epochs)
    noise = torch.Generator().manual_seed(config.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
    averaged = copy.deepcopy(network)
    inputs = data.inputs.unfold(0, config.window, 1).transpose(1, 2)  # views: (N - T + 1, T, F)
    targets = data.targets.unfold(0, config.window, 1).transpose(1, 2)
    history: list[Epoch] = []
    step = 0
    network.train()
    for starts in epochs:
        losses, norms, began = [], [], time.perf_counter()
        for begin in range(0, len(starts), config.batch_size):
            step += 1
            chosen = torch.from_numpy(starts[begin : begin + config.batch_size])
            x, y = inputs[chosen], targets[chosen]  # (B, T, F), (B, T, K)
            x = x + config.input_noise * torch.randn(x.shape, generator=noise)
            loss = pinball_loss(network(x)[:, config.burn_in :], y[:, config.burn_in :], levels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # through all steps of the window
            norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
            if not (torch.isfinite(loss) and torch.isfinite(norm)):
                raise ModelError(
                    f"training diverged at step {step} of {steps}: the loss is {loss.item()}; next: another --seed "
                    "or --cell, or a smaller learning rate"
                )
            optimizer.step()
            schedule.step()
            _average(averaged, network, min(config.average, step / (step + 3)))
            losses.append(loss.item())
            norms.append(norm.item())
            progress("train", step, steps)
        history.append(Epoch(float(np.mean(losses)), float(np.mean(norms)), time.perf_counter() - began))
    network.load_state_dict(averaged.state_dict())
    network.eval()
    return history


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for mean, weight in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
