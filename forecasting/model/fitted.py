"""What fitting leaves behind, and how long the histories must be that it starts from."""

from dataclasses import dataclass, field

import pandas as pd
import torch

from forecasting.config import Recipe
from forecasting.model.features import GROUPS, WARM_UP
from forecasting.model.loop import Epoch
from forecasting.model.networks import QuantileNetwork
from forecasting.model.scale import HarScale


@dataclass(frozen=True)
class FittedModel:
    """What fitting leaves behind, and a bundle stores.

    Parameters
    ----------
    network : in evaluation mode
    mean, std : float32 (F,), of the training inputs
    scale : the volatility scale of each horizon
    universe : symbols handed to `fit`; one too young for a window before `trained_until` taught nothing
    trained_until : the last session any input or target of the training part came from
    first_session, fitted_until : range of the bars that `fit` was handed
    prices_sha256 : of these bars, see `hash_prices`; empty where an earlier tickercast fitted it
    feature_groups
    history : one `Epoch` per pass over the training windows
    """

    network: QuantileNetwork
    mean: torch.Tensor
    std: torch.Tensor
    scale: HarScale
    universe: tuple[str, ...]
    trained_until: pd.Timestamp
    first_session: pd.Timestamp
    fitted_until: pd.Timestamp
    prices_sha256: str
    feature_groups: tuple[str, ...] = tuple(GROUPS)
    history: tuple[Epoch, ...] = field(default=())


def minimum_bars(recipe: Recipe) -> int:
    """Return how many bars a symbol needs to be forecast: the warm-up of its inputs and one window."""
    return WARM_UP + recipe.training.window


def minimum_history(recipe: Recipe) -> int:
    """Return how many bars the longest history of a universe needs before a model can be trained on it."""
    return minimum_bars(recipe) + recipe.horizon + recipe.calibration.sessions
