"""g of y_t = g(W_hy h_t + b_y): what a network's raw outputs mean, and the loss each is trained with.

    g                    trained with
    identity             squared error
    softmax              cross-entropy, of classes
    sigmoid              binary cross-entropy, of two classes
    ordered quantiles    pinball loss

The losses are taken of the raw outputs where g and its loss together are stable, or quicker, and apart are not.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from forecasting.model.losses import cross_entropy, squared_error, two_class_cross_entropy

_DEGREES = 5  # of freedom of the Student-t prior: daily returns have fat tails
_UNIT = ((_DEGREES - 2) / _DEGREES) ** 0.5  # makes its variance one
PRIOR_SIZE = float(stats.t.expect(abs, (_DEGREES,))) * _UNIT
"""Mean absolute value of the prior that an untrained quantile head forecasts."""

_WIDEST = 10.0  # log scale: far beyond any market
_LARGEST = 1e6  # raw outputs beyond it say no more: sums of what they give stay finite in float32
_MEDIAN = 0.05  # how far an output of one moves the median, in volatilities


class Identity(nn.Module):
    """g(a) = a: a number for each of K targets.

    Parameters
    ----------
    targets : K
    """

    def __init__(self, targets: int) -> None:
        super().__init__()
        self.raw = targets

    def forward(self, raw: Tensor) -> Tensor:
        """Return (..., K) as they are."""
        return raw

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error of (..., K) against targets (..., K)."""
        return squared_error(raw, targets)


class Softmax(nn.Module):
    """g(a)_k = e^{a_k} / sum_j e^{a_j}: a probability for each of C classes.

    Parameters
    ----------
    classes : C
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.raw = classes

    def forward(self, raw: Tensor) -> Tensor:
        """Map (..., C) to probabilities (..., C)."""
        return raw.softmax(-1)

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy, in nats, of (..., C) against class numbers (...)."""
        return cross_entropy(raw, targets)


class Sigmoid(nn.Module):
    """g(a) = 1 / (1 + e^{-a}): the probability of the second of two classes, from one raw output."""

    raw = 1

    def forward(self, raw: Tensor) -> Tensor:
        """Map (..., 1) to the probabilities (..., 2) of both classes."""
        return torch.cat([torch.sigmoid(-raw), torch.sigmoid(raw)], -1)

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy, in nats, of (..., 1) against class numbers (...), 0 or 1."""
        return two_class_cross_entropy(raw.squeeze(-1), targets)


class OrderedQuantiles(nn.Module):
    """g: raw outputs to quantiles that cannot cross, for any weights.

    Upwards and downwards from the median, each quantile is the one before plus e^s times a softplus gap.
    With all raw outputs zero the quantiles are those of a Student-t with unit variance.

    Parameters
    ----------
    levels : L ascending quantile levels, 0.5 in their middle
    """

    gaps: Tensor
    levels: Tensor

    def __init__(self, levels: Sequence[float]) -> None:
        super().__init__()
        prior = torch.tensor(stats.t.ppf(levels, _DEGREES) * _UNIT)
        # softplus(gap) is the prior's gap: its inverse is log(expm1(x))
        self.register_buffer("gaps", torch.log(torch.expm1(prior.diff())).float(), persistent=False)
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.float32), persistent=False)
        self.raw = len(levels) + 1  # median, log scale, L - 1 gaps

    def forward(self, raw: Tensor) -> Tensor:
        """Map (..., L + 1) to quantiles (..., L), a view of level-major memory."""
        _, _, quantiles = _spread(_rows(raw), self.gaps)
        return quantiles.movedim(0, -1)

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Return the mean pinball loss of (..., L + 1) against targets (...); NaN counts for nothing.

        Twice this approximates the CRPS (Gneiting and Raftery, 2007). It is quickest where the memory of `raw` is
        (L + 1, ...) or (K, L + 1, ...), so that the values of one output lie beside each other.
        """
        return _PinballLoss.apply(raw, targets, self.gaps, self.levels)  # type: ignore[no-untyped-call]


def _rows(raw: Tensor) -> Tensor:
    """Turn (..., L + 1) into (L + 1, ...), the values of one output beside each other in memory."""
    rows = raw.movedim(-1, 0)
    return rows.contiguous() if raw.stride(-1) == 1 else rows


def _spread(rows: Tensor, prior: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return e^s (...), what the softplus is taken of (L - 1, ...), and the quantiles (L, ...)."""
    bounded = rows.clamp(-_LARGEST, _LARGEST)
    scale = bounded[1].clamp(-_WIDEST, _WIDEST).exp()
    median = bounded[0] * scale * _MEDIAN
    opened = bounded[2:] + prior.view(-1, *[1] * scale.ndim)
    gaps = nn.functional.softplus(opened) * scale
    down, up = torch.split(gaps, [len(gaps) // 2] * 2)
    above = accumulate(up, initial=median)
    below = list(accumulate(reversed(down.unbind()), torch.sub, initial=median))
    return scale, opened, torch.stack([*below[:0:-1], *above])


class _PinballLoss(torch.autograd.Function):
    """The mean pinball loss of raw outputs, with its gradient in closed form.

    With w = 1 / (L x number of known targets), 0 where the target is unknown, and the slopes by the quantiles

        d_l = w ([y < q_l] - level_l)

    the loss is the sum of d_l (q_l - y), and its gradient

        by the median's output    0.05 e^s sum_l d_l
        by the log scale s        sum_l d_l q_l, for all quantiles are multiples of e^s
        by a gap's output a       e^s sigmoid(a + prior) times the sum of d_l over the quantiles beyond the gap,
                                  with its sign turned below the median

    each 0 where the output lies outside what it is clamped to. A sum of slopes over levels is a sum of rows.
    """

    @staticmethod
    def forward(ctx: Any, raw: Tensor, targets: Tensor, prior: Tensor, levels: Tensor) -> Tensor:
        """Map raw outputs (..., L + 1) and targets (...) to the loss, and keep its gradient."""
        rows = _rows(raw)
        # comparisons in place give numbers, not booleans that have yet to become some
        gradient = rows.abs().le_(_LARGEST)
        gradient[1] = rows[1].abs().le_(_WIDEST)
        known, y = ~targets.isnan(), targets.nan_to_num()
        weight = known.to(raw.dtype).div_(known.sum().clamp(min=1) * len(levels))
        scale, opened, quantiles = _spread(rows, prior)
        slopes = quantiles.clone().gt_(y).sub_(levels.view(-1, *[1] * y.ndim)).mul_(weight)
        total, along = slopes.sum(0), quantiles.mul_(slopes).sum(0)
        # each slope becomes the sum of those of the quantiles from it outwards: what lies beyond the gap before it
        middle = len(levels) // 2
        for level in range(1, middle):
            slopes[level] += slopes[level - 1]
        for level in range(len(levels) - 2, middle, -1):
            slopes[level] += slopes[level + 1]
        gradient[0] *= scale * total * _MEDIAN
        gradient[1] *= along
        gradient[2:] *= opened.sigmoid_().mul_(scale)
        gradient[2 : middle + 2] *= slopes[:middle].neg_()
        gradient[middle + 2 :] *= slopes[middle + 1 :]
        ctx.save_for_backward(gradient.movedim(0, -1))
        return along.sum() - (total * y).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient by the raw outputs."""
        (gradient,) = ctx.saved_tensors
        return gradient * d_loss, None, None, None


Head = Identity | Softmax | Sigmoid | OrderedQuantiles


def make_class_head(classes: int) -> Softmax | Sigmoid:
    """Return the head of a classifier: one raw output for two classes, one a class for more."""
    return Sigmoid() if classes == 2 else Softmax(classes)
