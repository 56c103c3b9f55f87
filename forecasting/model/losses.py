"""Training losses. The pinball loss is computed in one with the quantiles, see `forecasting.model.heads`."""

from torch import Tensor, nn


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error of outputs (..., K) against targets (..., K)."""
    return nn.functional.mse_loss(outputs, targets)


def cross_entropy(scores: Tensor, classes: Tensor) -> Tensor:
    """Return -mean log p of the true class, p = softmax(scores), in nats.

    log p is taken as a_k - max - log sum e^{a - max}, never through p: a class that is certain or impossible
    in float32 keeps a finite loss and its gradient.

    Parameters
    ----------
    scores : (..., C), raw outputs
    classes : (...), numbers from 0 to C - 1
    """
    return nn.functional.cross_entropy(scores.flatten(0, -2), classes.flatten())


def two_class_cross_entropy(scores: Tensor, classes: Tensor) -> Tensor:
    """Return -mean log p of the true one of two classes, p = sigmoid(score) of the second, in nats.

    As max(a, 0) - a y + log(1 + e^{-|a|}), which no score overflows.

    Parameters
    ----------
    scores : (...), raw outputs
    classes : (...), 0 or 1
    """
    return nn.functional.binary_cross_entropy_with_logits(scores, classes.to(scores.dtype))
