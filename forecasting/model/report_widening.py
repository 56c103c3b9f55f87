"""How much wider a forecast is for a likely report: the network asked again, as if nothing were known of reports."""

from collections.abc import Sequence

import numpy as np
import torch

from forecasting.model.devices import one_thread
from forecasting.model.features import Features
from forecasting.model.networks import QuantileNetwork

_GROUP = "report_timing"


def report_widening(
    network: QuantileNetwork, features: Sequence[Features], windows: torch.Tensor, weights: np.ndarray
) -> list[np.ndarray | None]:
    """Return by what part intervals are wider than with the timing of reports at its mean in training.

    Parameters
    ----------
    network : in evaluation mode
    features : length S, whose last rows are the origins
    windows : float32 (S, T, F), their last T rows, standardised: zero is the mean in training
    weights : (H, K), from the network's K horizons to all H

    Returns
    -------
    list of float64 (H,)
        0.1 is 10% wider, on the mean of all central intervals, before calibration; negative is narrower. None where
        nothing is known of a symbol's reports.
    """
    timing = np.asarray([group == _GROUP for group in features[0].groups])
    unknowing = windows.clone()
    unknowing[:, :, torch.from_numpy(timing)] = 0.0
    with torch.no_grad(), one_thread():
        knots = network(torch.cat([windows, unknowing]))[:, -1].numpy().astype("float64")  # (2 S, K, L)
    middle = knots.shape[-1] // 2
    widths = knots[..., middle + 1 :].sum(-1) - knots[..., :middle].sum(-1)
    knowing, unknown = np.split(widths @ weights.T, 2)
    known = [np.isfinite(f.values[-1, timing]).any() for f in features]
    return [wider if is_known else None for wider, is_known in zip(knowing / unknown - 1, known, strict=True)]
