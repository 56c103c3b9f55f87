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

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (B, T, F) to quantiles (B, T, K, L) in units of each horizon's volatility scale."""
        return self.quantiles(self._raw(x)).permute(2, 1, 0, 3)

    def loss(self, x: Tensor, targets: Tensor, first: int = 0, tbptt_steps: int | None = None) -> Tensor:
        """Return the mean pinball loss of the quantiles; a target of NaN counts for nothing.

        Parameters
        ----------
        x : (B, T, F)
        targets : (B, T - first, K)
        first : leading steps that carry state but have no target
        tbptt_steps : see `forecasting.model.layers.run_cells`
        """
        return self.quantiles.loss(self._raw(x, first, tbptt_steps), targets.permute(2, 1, 0).contiguous())

    def _raw(self, x: Tensor, first: int = 0, tbptt_steps: int | None = None) -> Tensor:
        """Map (B, T, F) to raw outputs (K, T - first, B, L + 1), those of one output beside each other in memory."""
        steps = x.transpose(0, 1).contiguous()  # (T, B, F): the recurrence's own order, and no copy per step
        h, _ = run_cells(self.recurrence, steps.transpose(0, 1), tbptt_steps=tbptt_steps)  # (B, T, U)
        h = self.dropout(h.transpose(0, 1)[first:])  # (T - first, B, U)
        raw = torch.addmm(self.head.bias[:, None], self.head.weight, h.flatten(0, 1).t())
        raw.addmm_(self.skip.weight, steps[first:].flatten(0, 1).t())  # (K * (L + 1), (T - first) * B)
        return raw.view(self.horizons, self.quantiles.raw, *h.shape[:2]).movedim(1, -1)


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
