"""The best and the worst of many forecasts, so that no two of a kind are of the same days."""

import numpy as np


def find_extremes(
    differences: np.ndarray, origins: np.ndarray, horizon: int, count: int
) -> tuple[list[int], list[int]]:
    """Return the positions of the `count` lowest differences and of the `count` highest, the most extreme first.

    Parameters
    ----------
    differences : finite; of equal ones the first counts as the lowest
    origins : datetime64, of each; those of a kind are at least two horizons of days apart, and none is of both kinds
    horizon : sessions ahead
    """
    order = np.argsort(differences, kind="stable")
    apart = np.timedelta64(2 * horizon, "D")
    kinds: tuple[list[int], list[int]] = ([], [])
    for chosen, ranked in zip(kinds, (order, order[::-1]), strict=True):
        ranked = ranked[~np.isin(ranked, kinds[0])]
        while len(ranked) and len(chosen) < count:
            chosen.append(int(ranked[0]))
            ranked = ranked[np.abs(origins[ranked] - origins[ranked[0]]) >= apart]
    return kinds
