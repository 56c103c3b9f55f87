"""g of y_t = g(W_hy h_t + b_y): what a network's raw outputs mean, and the loss each is trained with.

    g                    trained with
    identity             squared error
    softmax              cross-entropy, of classes
    sigmoid              binary cross-entropy, of two classes
    ordered quantiles    pinball loss

The losses are taken of the raw outputs where g and its loss together are stable and apart are not.
"""

from collections.abc import Sequence

import torch
from scipy import stats
from torch import Tensor, nn

from forecasting.model.losses import cross_entropy, pinball_loss, squared_error, two_class_cross_entropy

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
        self.middle = len(levels) // 2
        self.raw = len(levels) + 1  # median, log scale, L - 1 gaps

    def forward(self, raw: Tensor) -> Tensor:
        """Map (..., L + 1) to quantiles (..., L)."""
        # split, not slices: the gradients of its parts are put together once
        median, log_scale, gaps = torch.split(raw.clamp(-_LARGEST, _LARGEST), [1, 1, self.raw - 2], -1)
        scale = torch.exp(log_scale.clamp(-_WIDEST, _WIDEST))
        median = _MEDIAN * median * scale
        gaps = scale * nn.functional.softplus(gaps + self.gaps)
        down, up = torch.split(gaps, [self.middle, self.middle], -1)
        above = median + up.cumsum(-1)
        below = median - down.flip(-1).cumsum(-1).flip(-1)
        return torch.cat([below, median, above], -1)

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Return the mean pinball loss of (..., L + 1) against targets (...); NaN counts for nothing."""
        return pinball_loss(self(raw), targets, self.levels)


Head = Identity | Softmax | Sigmoid | OrderedQuantiles


def make_class_head(classes: int) -> Softmax | Sigmoid:
    """Return the head of a classifier: one raw output for two classes, one a class for more."""
    return Sigmoid() if classes == 2 else Softmax(classes)
