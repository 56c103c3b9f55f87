"""How much wider a forecast is for a likely report: the network asked again, as if nothing were known of reports."""

import numpy as np
import torch

from forecasting.model.devices import one_thread
from forecasting.model.features import Features
from forecasting.model.networks import QuantileNetwork

_GROUP = "report_timing"


def report_widening(
    network: QuantileNetwork,
    features: Features,
    inputs: torch.Tensor,
    rows: np.ndarray,
    weights: np.ndarray,
    steps: int,
) -> list[np.ndarray | None]:
    """Return, for N origins of a symbol, by what part intervals are wider than with reports at their mean in training.

    Parameters
    ----------
    network : in evaluation mode
    features : of the symbol
    inputs : float32 (N', F), what the network reads of the symbol's last N' bars: zero is the mean in training
    rows : int (N,), of the origins in the inputs; each with at least `steps` rows up to it
    weights : (H, K), from the network's K horizons to all H
    steps : how many rows up to an origin the network reads

    Returns
    -------
    list of float64 (H,)
        0.1 is 10% wider, on the mean of all central intervals, before calibration; negative is narrower. None where
        nothing is known of reports.
    """
    timing = np.asarray([group == _GROUP for group in features.groups])
    windows = torch.stack([inputs[row + 1 - steps : row + 1] for row in rows])  # (N, T, F)
    unknowing = windows.clone()
    unknowing[:, :, torch.from_numpy(timing)] = 0.0
    with torch.no_grad(), one_thread():
        knots = network(torch.cat([windows, unknowing]))[:, -1].numpy().astype("float64")  # (2 N, K, L)
    middle = knots.shape[-1] // 2
    widths = knots[..., middle + 1 :].sum(-1) - knots[..., :middle].sum(-1)
    knowing, unknown = np.split(widths @ weights.T, 2)
    seen = features.values[-len(inputs) :][np.ix_(rows, timing)]
    known = np.isfinite(seen).any(axis=1)
    return [wider if is_known else None for wider, is_known in zip(knowing / unknown - 1, known, strict=True)]
