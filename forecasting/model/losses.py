"""Training losses."""

from torch import Tensor


def pinball_loss(quantiles: Tensor, targets: Tensor, levels: Tensor) -> Tensor:
    """Return the mean pinball loss; twice this approximates the CRPS (Gneiting and Raftery, 2007).

    Parameters
    ----------
    quantiles : (..., L)
    targets : (...); NaN counts for nothing
    levels : (L,)
    """
    error = targets.unsqueeze(-1) - quantiles
    loss = (levels * error).maximum((levels - 1) * error).mean(-1)
    known = ~targets.isnan()
    # where, not a product: NaN times zero is NaN, and its gradient too
    return loss.where(known, 0.0).sum() / known.sum().clamp(min=1)
