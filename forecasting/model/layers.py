"""Recurrent layers: the Elman recurrence and its gated forms, over whole sequences or to their last step.

    h_t = f(W_hh h_{t-1} + W_xh x_t + b_h),   h_0 = 0,   f = tanh or ReLU

`cell="rnn"` is exactly this (torch keeps b_h as a sum of two); "gru" and "lstm" are its gated forms. "none"
leaves out W_hh h_{t-1}, so that a step knows its own inputs only: what the recurrence adds is measured against it.

B sequences, T steps, F inputs, U hidden units.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from forecasting.config import NetworkConfig
from forecasting.model.elman import Elman

State = Tensor | tuple[Tensor, ...] | None
"""h of every layer (layers, B, U); h and c of an LSTM; None is all zeros."""


class DenseSteps(nn.Module):
    """h_t = tanh(W_xh x_t + b_h): the Elman network without its recurrence, called as torch's cells are.

    Parameters
    ----------
    inputs : F
    hidden : U
    num_layers : dense layers, one on the other
    dropout : share of hidden units set to zero between layers while training
    """

    def __init__(self, inputs: int, hidden: int, num_layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = list(pairwise([inputs, *[hidden] * num_layers]))
        drops = [dropout] * (num_layers - 1) + [0.0]
        blocks = [
            (nn.Linear(*size), nn.Sequential(nn.Tanh(), nn.Dropout(p))) for size, p in zip(sizes, drops, strict=True)
        ]
        self.layers = nn.Sequential(*(layer for block in blocks for layer in block))

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        """Map (B, T, F) to hidden units (B, T, U), and to no state that a later step would need."""
        return self.layers(x), None


_CELLS: dict[str, Callable[..., nn.Module]] = {"rnn": Elman, "gru": nn.GRU, "lstm": nn.LSTM, "none": DenseSteps}


def make_cells(config: NetworkConfig, inputs: int) -> nn.Module:
    """Return `config.layers` layers of cells that map (B, T, F) and a state to (B, T, U) and the state after it."""
    options: dict[str, Any] = {"batch_first": True} if config.cell in ("gru", "lstm") else {}
    if config.cell == "rnn":
        options["nonlinearity"] = config.nonlinearity
    if config.layers > 1:
        options["dropout"] = config.dropout
    return _CELLS[config.cell](inputs, config.hidden, num_layers=config.layers, **options)


def run_cells(cells: nn.Module, x: Tensor, state: State = None, tbptt_steps: int | None = None) -> tuple[Tensor, State]:
    """Run cells over a sequence; with truncation, no gradient passes from one chunk back into the one before.

    The state is carried across chunks, so the values are the same with truncation as without.

    Parameters
    ----------
    cells : as `make_cells` returns them
    x : (B, T, F)
    state : before the first step
    tbptt_steps : steps of a chunk; None is one chunk, full backpropagation through time

    Returns
    -------
    hidden units (B, T, U) and the state after the last step
    """
    if tbptt_steps is None or tbptt_steps >= x.shape[1]:
        hidden, state = cells(x, state)
        return hidden, state
    chunks = []
    for chunk in torch.split(x, tbptt_steps, dim=1):
        hidden, state = cells(chunk, state)
        state = _detached(state)
        chunks.append(hidden)
    return torch.cat(chunks, dim=1), state


def _detached(state: State) -> State:
    if isinstance(state, tuple):
        return tuple(part.detach() for part in state)
    return None if state is None else state.detach()


class Recurrent(nn.Module):
    """A block of recurrent layers; blocks stack, and a dense head goes on the last.

    Parameters
    ----------
    config
    inputs : F
    return_sequences : the hidden units of every step, or of the last one alone
    tbptt_steps : truncates backpropagation through time, see `run_cells`

    Examples
    --------
    >>> x = torch.zeros(5, 30, 3)
    >>> Recurrent(NetworkConfig(hidden=128), 3)(x).shape
    torch.Size([5, 30, 128])
    >>> Recurrent(NetworkConfig(hidden=128), 3, return_sequences=False)(x).shape
    torch.Size([5, 128])
    """

    def __init__(
        self, config: NetworkConfig, inputs: int, return_sequences: bool = True, tbptt_steps: int | None = None
    ) -> None:
        super().__init__()
        self.cells = make_cells(config, inputs)
        self.return_sequences = return_sequences
        self.tbptt_steps = tbptt_steps

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, F) to (B, T, U), or to (B, U) without `return_sequences`."""
        hidden, _ = run_cells(self.cells, x, tbptt_steps=self.tbptt_steps)
        return hidden if self.return_sequences else hidden[:, -1]
