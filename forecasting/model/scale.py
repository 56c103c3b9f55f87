"""The volatility scale of each horizon: a heterogeneous autoregression of log range variance.

    log mean(g_{t+1} .. g_{t+h}) = c_h + b_h . v_t

v_t are logarithms of exponentially weighted variances from days to a year (Corsi, 2009, with smooth
weights), one pooled least-squares fit per horizon. Volatility returns to its mean, so over a month the
scale is calmer than today's volatility times the square root of the horizon.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.model.features import WARM_UP, Features

_DEPENDENT = 1e-12  # of the largest eigenvalue: below it regressors say the same, as a market that is the symbol itself


@dataclass(frozen=True)
class HarScale:
    """Fitted coefficients (1 + P, H): intercepts first, then one row per regressor."""

    coefficients: np.ndarray

    def __call__(self, features: Features) -> np.ndarray:
        """Return the scale (bars, H): the standard deviation of the log return to each horizon, roughly."""
        horizons = np.arange(1, self.coefficients.shape[1] + 1)
        log_variance = self.coefficients[0] + features.log_variances @ self.coefficients[1:]
        return np.exp(0.5 * log_variance) * np.sqrt(horizons)


def fit_scale(universe: Sequence[Features], horizon: int) -> HarScale:
    """Fit the scale of horizons 1..`horizon` on training histories; every target lies within them.

    By the normal equations of centred regressors: their products are summed once, for horizons differ only in the
    last rows of each history. Where regressors depend on each other, theirs are the smallest coefficients that fit.
    """
    x = np.concatenate([np.insert(f.log_variances[WARM_UP:], 0, 1.0, axis=1) for f in universe])
    center = x[:, 1:].mean(axis=0)
    x[:, 1:] -= center
    products = x.T @ x
    fits = []
    for h in range(1, horizon + 1):
        ahead = [pd.Series(f.range_variance).rolling(h).mean().shift(-h).to_numpy()[WARM_UP:] for f in universe]
        y = np.log(np.concatenate(ahead))
        beyond = x[np.isnan(y)]
        fit = np.linalg.lstsq(products - beyond.T @ beyond, x.T @ np.nan_to_num(y), rcond=_DEPENDENT)[0]
        fit[0] -= center @ fit[1:]
        fits.append(fit)
    return HarScale(np.column_stack(fits))
