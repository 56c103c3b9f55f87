"""Verdicts: whether a forecaster beats doing nothing, and whether that is luck, in the same words everywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from forecasting.errors import DataError

SIGNIFICANT = 0.05
JUDGE = "random_walk_ewma"
"""The baseline a verdict is against, as it is or calibrated as the network is, whichever scored better."""

_CALIBRATED = "_calibrated"
_IN_WORDS = {
    "random_walk": "a random walk with rolling historical quantiles",
    "random_walk_ewma": "a random walk with EWMA volatility",
    "har": "a HAR volatility scale with fixed quantiles",
    "garch": "GARCH(1,1) with t errors",
    "gjr_garch": "GJR-GARCH with t errors",
    "boosted": "gradient-boosted quantiles",
    "no_recurrence": "the network without its recurrence",
}


def plain_name(name: str) -> str:
    """Return the name of a baseline as it is, of it or of its calibrated form."""
    return name.removesuffix(_CALIBRATED)


def in_words(name: str) -> str:
    """Return what a baseline is called in a sentence; a user's own by its name.

    >>> in_words("har_calibrated")
    'a HAR volatility scale with fixed quantiles (calibrated)'
    """
    plain = plain_name(name)
    return _IN_WORDS.get(plain, plain) + (" (calibrated)" if plain != name else "")


def reference_of(crps: Mapping[str, float]) -> str:
    """Return the baseline that a forecaster is held against: `JUDGE`, in whichever of its forms has the lower CRPS.

    Parameters
    ----------
    crps : by baseline; where none of them is a form of the judge, the first one is the reference
    """
    forms = [name for name in crps if plain_name(name) == JUDGE]
    return min(forms, key=crps.__getitem__) if forms else next(iter(crps))


@dataclass(frozen=True)
class Verdict:
    """Whether the network beats doing nothing at a horizon, and whether that is luck.

    Parameters
    ----------
    horizon : sessions ahead
    judge : see `reference_of`
    skill : 1 - ratio of the CRPS to the judge's; positive is better than it
    p_value : two-sided Diebold-Mariano
    strongest : the baseline with the lowest CRPS at this horizon
    strongest_skill, strongest_p : the same against it
    """

    horizon: int
    judge: str
    skill: float
    p_value: float
    strongest: str
    strongest_skill: float
    strongest_p: float

    @property
    def word(self) -> str:
        """`beats`, `ties with` or `loses to`."""
        if not self.p_value < SIGNIFICANT:
            return "ties with"
        return "beats" if self.skill > 0 else "loses to"

    @property
    def sentence(self) -> str:
        """The verdict as a sentence."""
        text = (
            f"{self.horizon} {'session' if self.horizon == 1 else 'sessions'} ahead the network {self.word} "
            f"{in_words(self.judge)}: CRPS {_compared(self.skill)}, p = {self.p_value:.2g}"
        )
        if self.strongest != self.judge:
            text += (
                f"; the strongest baseline is {in_words(self.strongest)}, CRPS {_compared(self.strongest_skill)}, "
                f"p = {self.strongest_p:.2g}"
            )
        return text


def _compared(skill: float) -> str:
    return f"{abs(skill):.1%} {'lower' if skill > 0 else 'higher'}"


def make_verdicts(scores: pd.DataFrame) -> list[Verdict]:
    """Return the verdict at each horizon.

    Parameters
    ----------
    scores : a row per horizon, with `crps_NAME`, `skill_NAME` and `p_NAME` of each baseline, as in `Comparison.scores`

    Raises
    ------
    DataError
        There is no baseline.
    """
    baselines = [c.removeprefix("skill_") for c in scores.columns if c.startswith("skill_")]
    if not baselines:
        raise DataError("scores without a baseline: there is nothing to judge against; next: tickercast backtest")
    verdicts = []
    for row in scores.to_dict("records"):
        crps = {name: row[f"crps_{name}"] for name in baselines}
        judge = reference_of(crps)
        strongest = min(crps, key=crps.__getitem__)
        found = (row[f"{kind}_{name}"] for name in (judge, strongest) for kind in ("skill", "p"))
        skill, p_value, strongest_skill, strongest_p = found
        verdicts.append(Verdict(row["horizon"], judge, skill, p_value, strongest, strongest_skill, strongest_p))
    return verdicts


def make_headline(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what is shown first of a comparison, a row per horizon.

    Parameters
    ----------
    scores : as `Comparison.scores`

    Returns
    -------
    DataFrame
        `horizon`, `rows`; `crps` of the network and `crps_judge`; `skill` against the judge with its 90%
        interval `low` to `high`, `p`, `verdict` (a word); `strongest` (the strongest baseline, in words),
        `skill_strongest`, `p_strongest`; `coverage_50` .. as far as there.
    """
    verdicts = make_verdicts(scores)
    own = next(c for c in scores if c.startswith("crps_"))
    rows = scores.to_dict("records")
    return pd.DataFrame(
        {
            "horizon": [v.horizon for v in verdicts],
            "rows": scores["rows"],
            "crps": scores[own],
            "crps_judge": [row[f"crps_{v.judge}"] for row, v in zip(rows, verdicts, strict=True)],
            "skill": [v.skill for v in verdicts],
            "low": [row[f"low_{v.judge}"] for row, v in zip(rows, verdicts, strict=True)],
            "high": [row[f"high_{v.judge}"] for row, v in zip(rows, verdicts, strict=True)],
            "p": [v.p_value for v in verdicts],
            "verdict": [v.word for v in verdicts],
            "strongest": [in_words(v.strongest) for v in verdicts],
            "skill_strongest": [v.strongest_skill for v in verdicts],
            "p_strongest": [v.strongest_p for v in verdicts],
            **{c: scores[c] for c in scores if c.startswith("coverage_")},
        }
    )


def judge_in_words(verdicts: Sequence[Verdict]) -> str:
    """Return what verdicts are against, whether or not it is calibrated."""
    return in_words(plain_name(verdicts[0].judge))


def sum_up(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts at several horizons as one sentence, and where a baseline other than the judge scored better."""
    by_word: dict[str, list[str]] = {}
    stronger: dict[str, list[str]] = {}
    for verdict in verdicts:
        by_word.setdefault(verdict.word, []).append(str(verdict.horizon))
        if verdict.strongest != verdict.judge and verdict.strongest_skill < 0:
            stronger.setdefault(verdict.strongest, []).append(str(verdict.horizon))
    parts = [f"{word} it at {', '.join(horizons)}" for word, horizons in by_word.items()]
    return f"the network {'; '.join(parts)} sessions ahead (p < {SIGNIFICANT})." + "".join(
        f" At {', '.join(horizons)}, {in_words(name)} scored better than the network."
        for name, horizons in stronger.items()
    )
