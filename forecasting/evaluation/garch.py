"""GARCH(1,1) and GJR-GARCH(1,1) with Student-t shocks: fitted by `arch`, forecast by simulation."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import pandas as pd
from scipy import stats
from scipy.signal import lfilter

from forecasting.bars import PriceSeries
from forecasting.config import LEVELS, Progress, no_progress
from forecasting.evaluation.histories import readable_part, require_fitted, to_rolling
from forecasting.forecasts import RollingForecast

_FEWEST = 250  # bars: fewer do not tell the parameters apart
_CHUNK = 64  # origins simulated at a time: what one holds stays within a few megabytes
_SMALLEST = 1e-6  # percent squared; the variance of a price that does not move
_START = 75  # returns whose weighted squares start the recursion, weights 0.94^t: the rule of `arch`

Mean = Literal["Constant", "Zero"]


class FallbackWarning(UserWarning):
    """A symbol is forecast with typical parameters, because its own could not be fitted."""


@dataclass(frozen=True)
class GarchParameters:
    """Parameters for returns in percent (Bollerslev, 1987; Glosten, Jagannathan and Runkle, 1993).

    Notes
    -----
    r_t = mean + sigma_t z_t, with z_t Student-t of `degrees` of freedom and unit variance, and
    sigma2_{t+1} = omega + (alpha + gamma [z_t < 0]) sigma2_t z_t^2 + beta sigma2_t.
    """

    mean: float
    omega: float
    alpha: float
    gamma: float
    beta: float
    degrees: float

    def next_variance(self, returns: np.ndarray) -> np.ndarray:
        """Return sigma2 of the session after each of the returns (n,), in percent squared."""
        shocks = returns - self.mean
        weights = 0.94 ** np.arange(min(_START, len(shocks)))
        start = weights @ shocks[: len(weights)] ** 2 / weights.sum()
        first = self.omega + (self.alpha + self.gamma / 2 + self.beta) * start
        fed = self.omega + (self.alpha + self.gamma * (shocks < 0)) * shocks**2
        variance, _ = lfilter([1.0], [1.0, -self.beta], fed, zi=[self.beta * first])
        return np.maximum(variance, _SMALLEST)

    def simulate(self, variance: np.ndarray, uniforms: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
        """Return quantiles of the simulated return to each horizon, in percent.

        Parameters
        ----------
        variance : (N,), of the session after each origin
        uniforms : (S, H) within (0, 1), the draws of S paths, which all origins share
        levels : L quantile levels

        Returns
        -------
        float64 array (N, H, L)
        """
        z = stats.t.ppf(uniforms, self.degrees) * np.sqrt((self.degrees - 2) / self.degrees)
        # what a path's variance is multiplied by from one session to the next, omega apart
        growth = self.beta + (self.alpha + self.gamma * (z < 0)) * z**2
        quantiles = np.empty((len(variance), uniforms.shape[1], len(levels)))
        for begin in range(0, len(variance), _CHUNK):
            sigma2 = variance[begin : begin + _CHUNK, None]  # (C, 1), then (C, S)
            total = np.zeros((len(sigma2), len(z)))
            for h in range(z.shape[1]):
                total += self.mean + np.sqrt(sigma2) * z[:, h]
                quantiles[begin : begin + _CHUNK, h] = np.quantile(total, levels, axis=1).T
                sigma2 = self.omega + sigma2 * growth[:, h]
        return quantiles


def typical_parameters(returns: np.ndarray, asymmetric: bool) -> GarchParameters:
    """Return parameters as daily returns have them, at the mean variance of returns in percent."""
    alpha, gamma, beta = (0.02, 0.08, 0.92) if asymmetric else (0.06, 0.0, 0.92)
    variance = max(float(np.mean(returns**2)), _SMALLEST)
    return GarchParameters(0.0, variance * (1 - alpha - gamma / 2 - beta), alpha, gamma, beta, 6.0)


def fit_garch(returns: np.ndarray, asymmetric: bool, mean: Mean = "Zero") -> tuple[GarchParameters, str]:
    """Fit by maximum likelihood, a second time from typical parameters where the first did not converge.

    Parameters
    ----------
    returns : (n,), in percent
    asymmetric : with gamma, which a fall adds
    mean : "Constant" or "Zero"

    Returns
    -------
    The parameters and an empty string; or typical ones, and why there are no others.
    """
    from arch import arch_model

    typical = typical_parameters(returns, asymmetric)
    if np.var(returns) < _SMALLEST:
        return typical, "its price hardly moves"
    model = arch_model(returns, mean=mean, p=1, o=int(asymmetric), q=1, dist="t", rescale=False)
    gamma = [typical.gamma] if asymmetric else []
    again = [*([float(returns.mean())] * (mean == "Constant")), typical.omega, typical.alpha, *gamma, typical.beta, 6.0]
    for start in (None, np.array(again)):
        result = model.fit(disp="off", show_warning=False, starting_values=start)
        found = result.params
        if result.convergence_flag == 0 and np.isfinite(found).all():
            names = ("mu", "omega", "alpha[1]", "gamma[1]", "beta[1]", "nu")
            return GarchParameters(*(float(found.get(name, 0.0)) for name in names)), ""
    return typical, f"the likelihood did not converge (optimiser's flag {result.convergence_flag})"


class Garch:
    """A volatility model of each symbol's own, its parameters fixed from one fit to the next.

    The variance is filtered through all bars to each origin; from there paths are drawn, with the same
    shocks for every origin and symbol (scrambled Sobol points), so that a forecast depends on nothing but
    its symbol's past. A symbol whose fit fails, or that `fit` did not see with enough bars, gets typical
    parameters at its own variance: a `FallbackWarning` names it, and so does `fallbacks`.

    Parameters
    ----------
    horizon : H
    levels : L quantile levels
    asymmetric : GJR-GARCH, where a fall raises the variance more than a rise does
    mean : "Zero" or "Constant" mean return; a symbol's own drift cost CRPS on stocks (at 20 sessions 1% to 2% in
        2014-2015) and gained less than that on two indices (2010-2015)
    paths : number of paths, a power of two
    seed

    Attributes
    ----------
    fallbacks : why symbols have typical parameters, by symbol
    """

    def __init__(
        self,
        horizon: int,
        levels: tuple[float, ...] = LEVELS,
        asymmetric: bool = False,
        mean: Mean = "Zero",
        paths: int = 2048,
        seed: int = 0,
    ) -> None:
        self.name = "gjr_garch" if asymmetric else "garch"
        self.horizon = horizon
        self.levels = levels
        self.asymmetric = asymmetric
        self.mean = mean
        self.paths = paths
        self.seed = seed
        self.fallbacks: dict[str, str] = {}
        self._parameters: dict[str, GarchParameters] | None = None

    @property
    def needs(self) -> int:
        """Bars before the first origin: enough to fit the parameters on."""
        return _FEWEST

    def fit(self, series: Mapping[str, PriceSeries], progress: Progress = no_progress) -> Self:
        """Fit each symbol on the bars after its last void session, where there are `needs` of them."""
        self.fallbacks, self._parameters = {}, {}
        for done, (symbol, s) in enumerate(sorted(series.items())):
            progress("train", done, len(series))
            part = s.parts()[-1]
            if len(part) >= self.needs:
                self._parameters[symbol], reason = fit_garch(_percent(part), self.asymmetric, self.mean)
                if reason:
                    self._fall_back(symbol, reason)
        progress("train", len(series), len(series))
        return self

    def _fall_back(self, symbol: str, reason: str) -> None:
        self.fallbacks[symbol] = reason
        warnings.warn(
            f"{self.name} of {symbol} has typical parameters at its own variance: {reason}", FallbackWarning, 3
        )

    def roll(self, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> dict[str, RollingForecast]:
        """Return, by symbol, the forecasts from every origin at or after `first`.

        Raises
        ------
        ModelError
            It has not been fitted.
        TooFewBars, DataError
            A symbol has fewer bars before `first` than `needs`, or a void session after it.
        """
        fitted = require_fitted(self._parameters, self.name)
        uniforms = self._uniforms()
        rolled = {}
        for symbol, s in series.items():
            part, begin = readable_part(s, first, self.needs, self.name)
            returns = _percent(part)
            parameters = fitted.get(symbol)
            if parameters is None:
                self._fall_back(symbol, f"fit was not given {self.needs} bars of it")
                # of bars that every later origin has seen, so that no forecast depends on where the roll begins
                parameters = typical_parameters(returns[: self.needs - 1], self.asymmetric)
            variance = parameters.next_variance(returns)[begin - 1 :]
            values = parameters.simulate(variance, uniforms, self.levels) / 100
            rolled[symbol] = to_rolling(part, begin, self.levels, values)
        return rolled

    def _uniforms(self) -> np.ndarray:
        """Return the draws (S, H) of all paths: points that fill the unit cube more evenly than random ones."""
        points = stats.qmc.Sobol(self.horizon, seed=self.seed).random(self.paths)
        return np.clip(points, 1e-9, 1 - 1e-9)


def _percent(part: PriceSeries) -> np.ndarray:
    """Return the log returns from bar to bar, in percent: near one, where the likelihood is best behaved."""
    return 100 * np.diff(np.log(part.bars["close"].to_numpy(dtype="float64")))
