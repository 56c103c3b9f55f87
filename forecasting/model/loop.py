"""The training loop that every network goes through: one visible order, the same from forecaster to estimators."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forecasting.config import Progress, no_progress
from forecasting.errors import Diverged
from forecasting.model.adamw import AdamW
from forecasting.model.checkpoints import Checkpoint
from forecasting.model.schedules import rate_at

Batches = Callable[[int], Sequence[np.ndarray]]
"""From the number of an epoch to the numbers of the rows in each of its batches; always the same ones."""


@dataclass(frozen=True)
class Epoch:
    """One pass over the training windows: mean loss, mean gradient norm before clipping, seconds.

    `validation_loss` is that of a validation part, where there is one.
    """

    loss: float
    gradient_norm: float
    seconds: float
    validation_loss: float | None = None


@dataclass(frozen=True)
class LoopConfig:
    """How weights are moved; `forecasting.config.TrainingConfig` has the words.

    `patience` is the number of epochs without a lower validation loss after which training stops.
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    average: float
    clip_norm: float
    schedule: str
    seed: int
    patience: int | None = None


@dataclass
class _Course:
    """Where a training stands after an epoch; all of it is in a checkpoint."""

    epoch: int = 0
    step: int = 0
    history: list[Epoch] = field(default_factory=list)
    best_loss: float = math.inf
    best_epoch: int = 0


def run_epochs(
    network: nn.Module,
    config: LoopConfig,
    batches: Batches,
    loss_of: Callable[[Tensor], Tensor],
    validation_loss: Callable[[nn.Module], Tensor] | None = None,
    noise: torch.Generator | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress = no_progress,
) -> list[Epoch]:
    """Train in place and return the history.

    The network ends with the moving average of its weights: of the last epoch, or with a validation part of the
    epoch whose average had the lowest loss there. No step waits for the device; what it found is read once an epoch.

    Parameters
    ----------
    network : on its device
    config
    batches
    loss_of : loss of the network on a batch of rows, given by their numbers
    validation_loss : loss of a network on rows it is not trained on
    noise : what `loss_of` draws from
    checkpoint : where the state is kept after every epoch, and taken up again
    progress

    Raises
    ------
    Diverged
        The loss or its gradient is no longer a finite number; the network is left with its last good weights.
    """
    device = next(network.parameters()).device
    steps = sum(len(batches(epoch)) for epoch in range(config.epochs))
    weights = list(network.parameters())
    optimizer = AdamW(weights, config.weight_decay)
    averaged = copy.deepcopy(network).eval()
    best = copy.deepcopy(averaged.state_dict())
    course = _Course()
    if checkpoint is not None and (kept := checkpoint.read()) is not None:
        course = _take_up(kept, network, averaged, best, optimizer, noise)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        while course.epoch < config.epochs and not _is_stale(course, config):
            torch.manual_seed(config.seed + course.epoch)  # dropout draws from the global generator
            good, began = copy.deepcopy(averaged.state_dict()), time.perf_counter()
            found: list[Tensor] = []  # loss and gradient norm of each step, still on the device
            network.train()
            for rows in batches(course.epoch):
                rate, beta = rate_at(config.schedule, course.step, steps, config.learning_rate)
                loss = loss_of(torch.from_numpy(rows).to(device))
                optimizer.forget_gradients()
                loss.backward()  # type: ignore[no-untyped-call]  # through all steps of the window
                norm = nn.utils.clip_grad_norm_(weights, config.clip_norm)
                optimizer.step(rate, beta)
                course.step += 1
                _average(averaged, network, min(config.average, course.step / (course.step + 3)))
                found.append(torch.stack([loss.detach(), norm.detach()]))
                progress("train", course.step, steps)
            losses, norms = torch.stack(found).cpu().unbind(1)
            if not (losses + norms).isfinite().all():
                network.load_state_dict(good)
                _refuse(losses, norms, course, steps)
            validation = None
            if validation_loss is not None:
                with torch.no_grad():
                    validation = float(validation_loss(averaged))
            course.epoch += 1
            course.history.append(
                Epoch(float(losses.mean()), float(norms.mean()), time.perf_counter() - began, validation)
            )
            if validation is None or validation < course.best_loss:
                course.best_loss = math.inf if validation is None else validation
                course.best_epoch, best = course.epoch, copy.deepcopy(averaged.state_dict())
            if checkpoint is not None:
                _keep(checkpoint, course, network, averaged, best, optimizer, noise)
    network.load_state_dict(best)
    network.eval()
    if checkpoint is not None:
        checkpoint.remove()
    return course.history


def _is_stale(course: _Course, config: LoopConfig) -> bool:
    return config.patience is not None and course.epoch - course.best_epoch >= config.patience


def _refuse(losses: Tensor, norms: Tensor, course: _Course, steps: int) -> None:
    first = int((~(losses + norms).isfinite()).nonzero()[0])
    raise Diverged(
        f"training diverged at step {course.step - len(losses) + first + 1} of {steps}: the loss is "
        f"{losses[first].item()}, its gradient's norm {norms[first].item()}; the weights are those of epoch "
        f"{course.epoch}; next: another --seed or --cell, or a smaller learning rate",
        tuple(course.history),
    )


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for mean, weight in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)


def _keep(
    checkpoint: Checkpoint,
    course: _Course,
    network: nn.Module,
    averaged: nn.Module,
    best: dict[str, Tensor],
    optimizer: AdamW,
    noise: torch.Generator | None,
) -> None:
    states = {"network": network.state_dict(), "averaged": averaged.state_dict(), "best": best}
    tensors = {f"{which}.{name}": t for which, state in states.items() for name, t in state.items()}
    tensors |= {f"moments.{name}": t for name, t in optimizer.tensors().items()}
    if noise is not None:
        tensors["noise"] = noise.get_state()
    checkpoint.write(tensors, asdict(course))


def _take_up(
    kept: tuple[dict[str, Tensor], dict[str, Any]],
    network: nn.Module,
    averaged: nn.Module,
    best: dict[str, Tensor],
    optimizer: AdamW,
    noise: torch.Generator | None,
) -> _Course:
    tensors, facts = kept

    def part(which: str) -> dict[str, Tensor]:
        return {name.removeprefix(f"{which}."): t for name, t in tensors.items() if name.startswith(f"{which}.")}

    network.load_state_dict(part("network"))
    averaged.load_state_dict(part("averaged"))
    best.update(part("best"))
    optimizer.take_up(part("moments"))
    if noise is not None:
        noise.set_state(tensors["noise"])
    return _Course(**{**facts, "history": [Epoch(**epoch) for epoch in facts["history"]]})
