"""Learning-rate schedules: what the optimiser is set to before each step, from the number of the step alone."""

import math

_RISE = 0.3  # share of the steps in which a one-cycle schedule rises
_START, _END = 1 / 25, 1 / 25e4  # of the peak: its first rate and its last
_BETA = 0.9
_CALM, _SWIFT = 0.95, 0.85  # its momentum where the rate is low, and at the peak


def rate_at(schedule: str, step: int, steps: int, peak: float) -> tuple[float, float]:
    """Return the learning rate and the first-moment decay of AdamW.

    "one_cycle" rises to the peak and falls to almost nothing along half cosines while the momentum goes the other
    way (Smith and Topin, 2018, as torch has it); "cosine" falls from the peak to zero; "constant" stays there.

    Parameters
    ----------
    schedule : one of `forecasting.config.SCHEDULES`
    step : 0 for the first
    steps : of the whole training
    peak : highest rate
    """
    if schedule == "constant":
        return peak, _BETA
    if schedule == "cosine":
        return _between(peak, 0.0, step / steps), _BETA
    start = peak * _START
    turn, last = _RISE * steps - 1, steps - 1
    if step <= turn:
        return _between(start, peak, step / turn), _between(_CALM, _SWIFT, step / turn)
    share = (step - turn) / (last - turn)
    return _between(peak, peak * _END, share), _between(_SWIFT, _CALM, share)


def _between(start: float, end: float, share: float) -> float:
    """Return a point on the half cosine from start to end."""
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)
