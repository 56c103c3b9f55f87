"""Fit a network by backpropagation through time: every step of a window after its burn-in is supervised."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from forecasting.config import Progress, TrainingConfig, no_progress
from forecasting.model.allocator import keeping_freed_memory
from forecasting.model.checkpoints import Checkpoint, fingerprint
from forecasting.model.devices import choose_device, one_thread
from forecasting.model.loop import Epoch, LoopConfig, run_epochs
from forecasting.model.networks import QuantileNetwork
from forecasting.model.windows import TrainingSet, window_starts


def train_network(
    network: QuantileNetwork,
    data: TrainingSet,
    config: TrainingConfig,
    progress: Progress = no_progress,
    checkpoint: Path | None = None,
) -> list[Epoch]:
    """Train in place and return the history; the network ends on the CPU with the moving average of its weights.

    Deterministic for a seed, data and kind of machine: one thread, its own random generators. The data stays on
    the device that `config` names.

    Parameters
    ----------
    network
    data
    config
    progress
    checkpoint : a file; killed and called again with the same arguments, training goes on after the last epoch
        that was finished and ends with the same weights, to the last bit, as one that was never killed

    Raises
    ------
    Diverged
        The loss is no longer a finite number; the network has its last good weights.
    UsageError
        There is no such device.
    """
    device = choose_device(config.device)
    kept = None
    if checkpoint is not None:
        tensors = [data.inputs, data.targets, *network.parameters(), *network.buffers()]
        kept = Checkpoint(checkpoint, fingerprint((config, data.lengths), tensors))
    try:
        with one_thread(), keeping_freed_memory():
            return _train(network.to(device), data, config, progress, kept)
    finally:
        network.cpu()


def _train(
    network: QuantileNetwork,
    data: TrainingSet,
    config: TrainingConfig,
    progress: Progress,
    checkpoint: Checkpoint | None,
) -> list[Epoch]:
    rng = np.random.default_rng(config.seed)
    stride = config.window - config.burn_in  # each epoch supervises each step about once
    epochs = [window_starts(data.lengths, config.window, stride, rng) for _ in range(config.epochs)]
    batches = [np.split(starts, range(config.batch_size, len(starts), config.batch_size)) for starts in epochs]
    device = network.head.weight.device
    noise = torch.Generator(device).manual_seed(config.seed)
    # views: (N - T + 1, T, F) and (N - T + 1, T, K)
    inputs = data.inputs.to(device).unfold(0, config.window, 1).transpose(1, 2)
    targets = data.targets.to(device).unfold(0, config.window, 1).transpose(1, 2)

    def loss_of(chosen: Tensor) -> Tensor:
        x, y = inputs[chosen], targets[chosen]  # (B, T, F), (B, T, K)
        x.add_(torch.randn(x.shape, generator=noise, device=x.device), alpha=config.input_noise)  # x is a copy
        return network.loss(x, y[:, config.burn_in :], config.burn_in, config.tbptt_steps)

    loop = LoopConfig(
        config.epochs,
        config.learning_rate,
        config.weight_decay,
        config.average,
        config.clip_norm,
        config.schedule,
        config.seed,
    )
    return run_epochs(
        network, loop, batches.__getitem__, loss_of, noise=noise, checkpoint=checkpoint, progress=progress
    )
