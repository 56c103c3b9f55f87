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
from sklearn.linear_model import LinearRegression

from forecasting.model.features import WARM_UP, Features


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
    """Fit the scale of horizons 1..`horizon` on training histories; every target lies within them."""
    regressors = np.concatenate([f.log_variances[WARM_UP:] for f in universe])
    fits = []
    for h in range(1, horizon + 1):
        ahead = [pd.Series(f.range_variance).rolling(h).mean().shift(-h).to_numpy()[WARM_UP:] for f in universe]
        log_mean = np.log(np.concatenate(ahead))
        known = np.isfinite(log_mean)
        fits.append(LinearRegression().fit(regressors[known], log_mean[known]))
    return HarScale(np.column_stack([np.append(fit.intercept_, fit.coef_) for fit in fits]))
