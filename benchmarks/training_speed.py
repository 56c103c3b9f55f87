"""How fast training runs, as ratios inside one run on one thread; no data is needed.

    python benchmarks/training_speed.py

For each cell the whole training loop (`train_network`: input noise, clipping, schedule, moving average of the weights)
against a bare loop of torch's own nn.RNN, nn.GRU or nn.LSTM over the same tensors: index a batch, forward, head at
the supervised steps, the pinball loss as it is defined, backward, clip, AdamW. "same loss" is that loop with this
package's head and loss in one, gradient in closed form, of the same values. The bare loop runs in processes of its
own, which have the system's memory settings; once more for the recurrence alone. Then supervised targets per second of
a target at every step after the burn-in, against one target per window. Seconds are the process's own on the
processor, so that neighbours count for little.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from forecasting.config import LEVELS, NetworkConfig, TrainingConfig
from forecasting.model.allocator import keeping_freed_memory
from forecasting.model.heads import OrderedQuantiles
from forecasting.model.layers import make_cells
from forecasting.model.networks import QuantileNetwork
from forecasting.model.scale import HarScale
from forecasting.model.training import train_network
from forecasting.model.windows import TrainingSet, window_starts

INPUTS, HORIZONS, LENGTHS = 17, 6, (1500,) * 40
SHORT = (500,)  # with one target per window there is a window for every step
CONFIG = TrainingConfig(epochs=1)
Loss = Callable[[OrderedQuantiles, torch.Tensor, torch.Tensor], torch.Tensor]
BARE = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def make_data(lengths: tuple[int, ...] = LENGTHS) -> TrainingSet:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(sum(lengths), INPUTS, generator=generator)
    targets = torch.randn(sum(lengths), HORIZONS, generator=generator)
    return TrainingSet(
        inputs, targets, lengths, torch.zeros(INPUTS), torch.ones(INPUTS), HarScale(np.zeros((1, HORIZONS)))
    )


def starts_of(config: TrainingConfig, lengths: tuple[int, ...] = LENGTHS) -> np.ndarray:
    """Return the windows that the first epoch of `train_network` goes through."""
    stride = config.window - config.burn_in
    return window_starts(lengths, config.window, stride, np.random.default_rng(config.seed))


def own_seconds(cell: str, config: TrainingConfig, lengths: tuple[int, ...] = LENGTHS) -> float:
    torch.manual_seed(0)
    network = QuantileNetwork(NetworkConfig(cell=cell), INPUTS, HORIZONS, LEVELS)
    data, began = make_data(lengths), time.process_time()
    train_network(network, data, config)
    return time.process_time() - began


def plain_loss(head: OrderedQuantiles, raw: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    error = targets.unsqueeze(-1) - head(raw)
    return torch.maximum(head.levels * error, (head.levels - 1) * error).mean()


def bare_seconds(cell: str, loss: Loss = plain_loss) -> float:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data, hidden = make_data(), NetworkConfig().hidden
    recurrence, quantiles = BARE[cell](INPUTS, hidden, batch_first=True), OrderedQuantiles(LEVELS)
    head = nn.Linear(hidden, HORIZONS * quantiles.raw)
    weights = [*recurrence.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1e-3)
    inputs = data.inputs.unfold(0, CONFIG.window, 1).transpose(1, 2)
    targets = data.targets.unfold(0, CONFIG.window, 1).transpose(1, 2)
    starts = torch.from_numpy(starts_of(CONFIG))
    began = time.process_time()
    for chosen in starts.split(CONFIG.batch_size):
        x, y = inputs[chosen], targets[chosen][:, CONFIG.burn_in :]
        h, _ = recurrence(x)
        raw = head(h[:, CONFIG.burn_in :]).unflatten(-1, (HORIZONS, quantiles.raw))
        optimizer.zero_grad()
        loss(quantiles, raw, y).backward()
        nn.utils.clip_grad_norm_(weights, CONFIG.clip_norm)
        optimizer.step()
    return time.process_time() - began


def recurrence_seconds(loop: str, cell: str) -> float:
    """Return the time of the recurrence alone, forwards and back, over batches of windows."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x, hidden = torch.randn(CONFIG.batch_size, CONFIG.window, INPUTS), NetworkConfig().hidden
    cells = BARE[cell](INPUTS, hidden, batch_first=True)
    if loop == "own":
        cells = make_cells(NetworkConfig(cell=cell), INPUTS)
    with keeping_freed_memory() if loop == "own" else nullcontext():
        began = time.process_time()
        for _ in range(15):
            cells.zero_grad()
            cells(x)[0].mean().backward()
        return time.process_time() - began


def measure(*what: str) -> float:
    """Return the seconds that this script prints in a process of its own."""
    out = subprocess.run([sys.executable, __file__, *what], check=True, capture_output=True, text=True)
    return float(out.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="each is measured so often, in turn; the best counts")
    parser.add_argument("--one", nargs=2, metavar=("LOOP", "CELL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        loop, cell = arguments.one
        runs: dict[str, Callable[[], float]] = {
            "bare": lambda: bare_seconds(cell),
            "bare-same-loss": lambda: bare_seconds(cell, OrderedQuantiles.loss),
            "own": lambda: own_seconds(cell, CONFIG),
            "bare-recurrence": lambda: recurrence_seconds("bare", cell),
            "own-recurrence": lambda: recurrence_seconds("own", cell),
        }
        print(min(runs[loop]() for _ in range(2)))  # twice: the first pass warms up
        return
    windows = len(starts_of(CONFIG))
    print(f"{windows} windows of {CONFIG.window} steps, batches of {CONFIG.batch_size}, {NetworkConfig().hidden} units")
    tables = {
        "whole loop": ("bare", "own", windows),
        "same loss": ("bare-same-loss", "own", windows),
        "recurrence": ("bare-recurrence", "own-recurrence", 15 * CONFIG.batch_size),
    }
    for what, (bare, own, size) in tables.items():
        print(f"{what:10s} {'bare, windows/s':>16s} {'ours, windows/s':>16s} {'ratio':>6s}")
        for cell in BARE:
            rates = {bare: 0.0, own: 0.0}
            for _ in range(arguments.rounds):
                for loop in rates:
                    rates[loop] = max(rates[loop], size / measure("--one", loop, cell))
            print(f"{cell:10s} {rates[bare]:16.0f} {rates[own]:16.0f} {rates[own] / rates[bare]:6.2f}", flush=True)
    print(f"{'targets':10s} {'one, targets/s':>16s} {'every, targets/s':>16s} {'ratio':>6s}")
    for cell in BARE:
        per_second = []
        for lengths, config in ((SHORT, replace(CONFIG, burn_in=CONFIG.window - 1)), (LENGTHS, CONFIG)):
            seconds = min(own_seconds(cell, config, lengths) for _ in range(arguments.rounds))
            supervised = (config.window - config.burn_in) * len(starts_of(config, lengths))
            per_second.append(HORIZONS * supervised / seconds)
        print(
            f"{cell:10s} {per_second[0]:16.0f} {per_second[1]:16.0f} {per_second[1] / per_second[0]:6.1f}", flush=True
        )


if __name__ == "__main__":
    main()
