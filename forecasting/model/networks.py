"""The recurrent network and its ordered quantile head.

    h_t = f(W_hh h_{t-1} + W_xh x_t + b_h),   h_0 = 0,   f = tanh or ReLU
    y_t = g(W_hy h_t + b_y),                  g = ordered quantiles

The network maps sequence to sequence: every step has an output. `forecasting.model.layers` has the recurrence.

B windows, T steps, F inputs, U hidden units, K horizons, L quantile levels.
"""

from collections.abc import Sequence

import torch
from scipy import stats
from torch import Tensor, nn

from forecasting.config import NetworkConfig
from forecasting.model.layers import make_cells, run_cells

_DEGREES = 5  # of freedom of the Student-t prior: daily returns have fat tails
_UNIT = ((_DEGREES - 2) / _DEGREES) ** 0.5  # makes its variance one
_PRIOR_SIZE = float(stats.t.expect(abs, (_DEGREES,))) * _UNIT  # its mean absolute value
_WIDEST = 10.0  # log scale: far beyond any market
_MEDIAN = 0.05  # how far an output of one moves the median, in volatilities


class OrderedQuantiles(nn.Module):
    """g: raw outputs to quantiles that cannot cross, for any weights.

    Upwards and downwards from the median, each quantile is the one before plus e^s times a softplus gap.
    With all raw outputs zero the quantiles are those of a Student-t with unit variance.

    Parameters
    ----------
    levels : L ascending quantile levels, 0.5 in their middle
    """

    gaps: Tensor

    def __init__(self, levels: Sequence[float]) -> None:
        super().__init__()
        prior = torch.tensor(stats.t.ppf(levels, _DEGREES) * _UNIT)
        # softplus(gap) is the prior's gap: its inverse is log(expm1(x))
        self.register_buffer("gaps", torch.log(torch.expm1(prior.diff())).float(), persistent=False)
        self.middle = len(levels) // 2
        self.raw = len(levels) + 1  # median, log scale, L - 1 gaps

    def forward(self, raw: Tensor) -> Tensor:
        """Map (..., L + 1) to quantiles (..., L)."""
        # split, not slices: the gradients of its parts are put together once
        median, log_scale, gaps = torch.split(raw, [1, 1, self.raw - 2], -1)
        scale = torch.exp(log_scale.clamp(-_WIDEST, _WIDEST))  # finite in float32, whatever the weights
        median = _MEDIAN * median * scale
        gaps = scale * nn.functional.softplus(gaps + self.gaps)
        down, up = torch.split(gaps, [self.middle, self.middle], -1)
        above = median + up.cumsum(-1)
        below = median - down.flip(-1).cumsum(-1).flip(-1)
        return torch.cat([below, median, above], -1)


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
        sizes = targets.abs().nanmean(0) / _PRIOR_SIZE
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
