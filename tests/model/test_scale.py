import numpy as np
import pandas as pd
import pytest
from helpers import synthetic_series
from sklearn.linear_model import LinearRegression

from forecasting.model.features import WARM_UP, make_features
from forecasting.model.market import FEWEST
from forecasting.model.scale import fit_scale

HORIZON = 7


@pytest.mark.parametrize("symbols", [1, FEWEST])
def test_the_scale_is_the_pooled_least_squares_fit_of_each_horizons_mean_variance(symbols):
    # of histories that end on different days; one alone has no market, so that half its regressors repeat the others
    ends = pd.to_datetime(["2006-12-29", "2005-12-30"])
    features = make_features([synthetic_series(f"SYN{i + 1}", ends[i % 2]) for i in range(symbols)])
    scale = fit_scale(features, HORIZON)
    for h in range(1, HORIZON + 1):
        pairs = [
            (f.log_variances[t], np.log(f.range_variance[t + 1 : t + 1 + h].mean()))
            for f in features
            for t in range(WARM_UP, len(f.range_variance) - h)
        ]
        x, y = map(np.array, zip(*pairs, strict=True))
        expected = LinearRegression().fit(x, y).predict(x)
        found = scale.coefficients[0, h - 1] + x @ scale.coefficients[1:, h - 1]
        np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(scale.coefficients[1:]).max() < 10  # regressors that repeat each other do not fight
