"""The recurrent networks: a forecast at every step of a sequence, or one answer to a window.

    h_t = f(W_hh h_{t-1} + W_xh x_t + b_h),   h_0 = 0,   f = tanh or ReLU
    y_t = g(W_hy h_t + b_y),                  g = one of `forecasting.model.heads`

`QuantileNetwork` maps sequence to sequence, `WindowNetwork` sequence to one; `forecasting.model.layers` has the
recurrence.

B windows, T steps, F inputs, U hidden units, K horizons, L quantile levels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from forecasting.config import NetworkConfig
from forecasting.model.heads import PRIOR_SIZE, Head, OrderedQuantiles
from forecasting.model.layers import Recurrent, make_cells, run_cells


class QuantileNetwork(nn.Module):
    """A recurrent network with an ordered quantile head at every step.

    Parameters
    ----------
    config
    inputs : F
    horizons : K
    levels : L quantile levels
    """

    def __init__(self, config: NetworkConfig, inputs: int, horizons: int, levels: Sequence[float]) -> None:
        super().__init__()
        self.recurrence = make_cells(config, inputs)
        self.dropout = nn.Dropout(config.dropout)
        self.quantiles = OrderedQuantiles(levels)
        self.horizons = horizons
        outputs = horizons * self.quantiles.raw
        self.head = nn.Linear(config.hidden, outputs)  # W_hy, b_y
        self.skip = nn.Linear(inputs, outputs, bias=False)  # what is linear in x_t need not pass through h_t
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        nn.init.zeros_(self.skip.weight)

    @torch.no_grad()
    def start_at(self, targets: Tensor) -> None:
        """Set the head's biases so that the untrained network has the mean size of targets (N, K)."""
        sizes = targets.abs().nanmean(0) / PRIOR_SIZE
        self.head.bias.view(self.horizons, -1)[:, 1] = sizes.log()

    def forward(self, x: Tensor, first: int = 0, tbptt_steps: int | None = None) -> Tensor:
        """Map inputs to quantiles in units of each horizon's volatility scale.

        Parameters
        ----------
        x : (B, T, F)
        first : leading steps that carry state but have no output
        tbptt_steps : see `forecasting.model.layers.run_cells`

        Returns
        -------
        (B, T - first, K, L), a view of time-major memory
        """
        steps = x.transpose(0, 1).contiguous()  # (T, B, F): the recurrence's own order, and no copy per step
        h, _ = run_cells(self.recurrence, steps.transpose(0, 1), tbptt_steps=tbptt_steps)  # (B, T, U)
        h = self.dropout(h.transpose(0, 1)[first:])  # (T - first, B, U)
        raw = self.head(h) + self.skip(steps[first:])  # (T - first, B, K * (L + 1))
        return self.quantiles(raw.unflatten(-1, (self.horizons, self.quantiles.raw))).transpose(0, 1)


class WindowNetwork(nn.Module):
    """Recurrent layers that read a window, and a dense head on what they know after its last step.

    Parameters
    ----------
    config
    inputs : F
    head : what the raw outputs mean, and their loss
    tbptt_steps : see `forecasting.model.layers.run_cells`
    """

    def __init__(self, config: NetworkConfig, inputs: int, head: Head, tbptt_steps: int | None = None) -> None:
        super().__init__()
        self.recurrence = Recurrent(config, inputs, return_sequences=False, tbptt_steps=tbptt_steps)
        self.dropout = nn.Dropout(config.dropout)
        self.dense = nn.Linear(config.hidden, head.raw)  # W_hy, b_y
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Map windows (B, T, F) to raw outputs (B, R)."""
        return self.dense(self.dropout(self.recurrence(x)))
