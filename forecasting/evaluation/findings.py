"""What a comparison found, as the report for people and the dashboard show it: from its scores and tables alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from forecasting.evaluation.verdicts import SIGNIFICANT, in_words, plain_name, reference_of

_WEEK = 5  # sessions
_TERCILES = {1: "calm", 2: "middle", 3: "stormy"}
_JUDGED_TAILS = (0.01, 0.05)
_TESTS = ("kupiec", "independence", "conditional")


@dataclass(frozen=True)
class Findings:
    """The scores and the tables of a `Comparison`, and what follows from them.

    Parameters
    ----------
    scores, tables : as in `Comparison`; a table that an older backtest lacks is empty
    """

    scores: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]

    @cached_property
    def name(self) -> str:
        """The forecaster under test."""
        return next(str(c) for c in self.scores if str(c).startswith("crps_")).removeprefix("crps_")

    @property
    def who(self) -> str:
        """What it is called in a sentence."""
        return "the network" if self.name == "network" else self.name

    @cached_property
    def baselines(self) -> list[str]:
        """The others, in their order."""
        return [str(c).removeprefix("skill_") for c in self.scores if str(c).startswith("skill_")]

    @property
    def horizons(self) -> list[int]:
        """Sessions ahead that were scored."""
        return [int(h) for h in self.scores["horizon"]]

    @property
    def few_horizons(self) -> list[int]:
        """The shortest of them, the one nearest to a week, and the longest."""
        horizons = self.horizons
        return sorted({horizons[0], min(horizons, key=lambda h: abs(h - _WEEK)), horizons[-1]})

    @cached_property
    def references(self) -> dict[int, str]:
        """The baseline that it is held against, by horizon; none where there is no baseline."""
        rows = self.scores.to_dict("records") if self.baselines else []
        return {int(r["horizon"]): reference_of({name: r[f"crps_{name}"] for name in self.baselines}) for r in rows}

    @property
    def reference(self) -> str:
        """What that baseline is called in a sentence, whichever its form."""
        return in_words(plain_name(next(iter(self.references.values()), "")))

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of the comparison; empty where there is none of that name."""
        return self.tables.get(name, pd.DataFrame())

    def fill(self, caption: str, **others: str) -> str:
        """Return a caption with the names of this comparison in it."""
        for placeholder, value in {"WHO": self.who, "REFERENCE": self.reference, **others}.items():
            caption = caption.replace(placeholder, value)
        return caption

    def against_baselines(self) -> pd.DataFrame:
        """Return the comparison with every baseline, each in its form with the lower CRPS.

        Returns
        -------
        DataFrame
            By horizon: `baseline` (its label), `form` (`as it is` or `calibrated`), `horizon`, `rows`, `crps` of the
            one under test, `crps_baseline`; `skill`, its 90% interval `low` to `high`, `p`; `mcs` of the baseline.
        """
        found = []
        for scores in self.scores.to_dict("records"):
            better: dict[str, str] = {}
            for name in self.baselines:
                better[plain_name(name)] = min(
                    better.get(plain_name(name), name), name, key=lambda n: float(scores[f"crps_{n}"])
                )
            found += [
                {
                    "baseline": self.label(name),
                    "form": "as it is" if name == plain_name(name) else "calibrated",
                    **{column: scores[column] for column in ("horizon", "rows")},
                    "crps": scores[f"crps_{self.name}"],
                    "crps_baseline": scores[f"crps_{name}"],
                    **{column: scores[f"{column}_{name}"] for column in ("skill", "low", "high", "p", "mcs")},
                }
                for name in better.values()
            ]
        return pd.DataFrame(found)

    @property
    def judge(self) -> str:
        """The label of the baseline that decides."""
        return self.label(next(iter(self.references.values())))

    def label(self, name: str) -> str:
        """Return what a baseline is called in a figure, whichever its form."""
        return in_words(plain_name(name)).removeprefix("a ")

    def skill_by(self, column: str) -> pd.DataFrame:
        """Return the rows of the one under test in a table of groups, against the reference of their horizon.

        Parameters
        ----------
        column : `year`, `tercile` or `symbol`, the table's name and its column

        Returns
        -------
        DataFrame
            The table's columns with `group` (in words), `skill`, its 90% interval `low` to `high`, `p`, and of symbols
            `q`; NaN where the table has none.
        """
        table, parts = self.table(column), []
        for horizon, reference in self.references.items() if len(table) else ():
            own = table[(table["forecaster"] == self.name) & (table["horizon"] == horizon)]
            found = {kind: own.get(f"{kind}_{reference}", float("nan")) for kind in ("skill", "low", "high", "p", "q")}
            parts.append(own.assign(**found))
        if not parts:
            return pd.DataFrame()
        rows = pd.concat(parts).sort_index()  # groups as they stand in the table, horizons within them
        words = _TERCILES if column == "tercile" else {}
        return rows.assign(group=[words.get(group, str(group)) for group in rows[column]])

    def tail_tests(self) -> pd.DataFrame:
        """Return how many symbols each test of value at risk rejects at 5%, by horizon and quantile.

        Returns
        -------
        DataFrame
            `horizon`, `quantile`, `rows` tested, `violations`, `expected`; by test (`kupiec`, `independence`,
            `conditional`) the number of symbols it `rejected_..` of those `tested_..`.
        """
        table = self.table("value_at_risk")
        if not len(table):
            return table
        chosen = table[table["horizon"].isin(self.few_horizons) & table["level"].isin(_JUDGED_TAILS)]
        rows = []
        for (horizon, side, level), found in chosen.groupby(["horizon", "side", "level"]):
            row = {"horizon": horizon, "quantile": level if side == "lower" else 1 - level}
            row |= {column: found[column].sum() for column in ("rows", "violations", "expected")}
            for test in _TESTS:
                row[f"rejected_{test}"] = (found[f"p_{test}"] < SIGNIFICANT).sum()
                row[f"tested_{test}"] = found[f"p_{test}"].notna().sum()
            rows.append(row)
        return pd.DataFrame(rows)
