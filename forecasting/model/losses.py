"""Training losses."""

import torch
from torch import Tensor


def pinball_loss(quantiles: Tensor, targets: Tensor, levels: Tensor) -> Tensor:
    """Return the mean pinball loss; twice this approximates the CRPS (Gneiting and Raftery, 2007).

    Parameters
    ----------
    quantiles : (..., L)
    targets : (...); NaN counts for nothing
    levels : (L,)
    """
    known = ~targets.isnan()
    error = targets.nan_to_num().unsqueeze(-1) - quantiles
    with torch.no_grad():  # the slope of each term: level above the quantile, level - 1 below, 0 where unknown
        slope = (levels - (error < 0).to(error.dtype)).mul_(known.unsqueeze(-1))
    return (slope * error).sum() / (known.sum().clamp(min=1) * len(levels))
