"""The sections of a backtest's report: each a figure or a table, what it shows and how it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pandas as pd

from forecasting.charts import forecast_figure
from forecasting.evaluation.comparison import Comparison
from forecasting.evaluation.html import captions
from forecasting.evaluation.html.markup import Markup, element, make_table, plot
from forecasting.evaluation.verdicts import SIGNIFICANT, in_words, reference_of
from forecasting.evaluation.walkforward import Backtest
from forecasting.score_charts import (
    breaches_figure,
    coverage_figure,
    pit_figure,
    rises_figure,
    skill_figure,
    skill_grid_figure,
)

BASIS_POINTS = 10_000
UNKNOWN = "\N{EN DASH}"

_CALIBRATED = "_calibrated"
_WEEK = 5  # sessions
_FEW_SYMBOLS = 12  # shown without a click
_HISTORY = 60  # sessions drawn before a fan
_TERCILES = {1: "calm", 2: "middle", 3: "stormy"}
_JUDGED_TAILS = (0.01, 0.05)


class Section(NamedTuple):
    """A part of the page with a heading that can be linked to.

    Parameters
    ----------
    name : of the link
    heading
    body : what stands below the heading
    """

    name: str
    heading: str
    body: Markup


@dataclass(frozen=True)
class Findings:
    """A backtest and its scores, as the sections read them."""

    backtest: Backtest
    comparison: Comparison

    @property
    def name(self) -> str:
        """The forecaster under test."""
        return next(iter(self.backtest.forecasts))

    @property
    def who(self) -> str:
        """What it is called in a sentence."""
        return "the network" if self.name == "network" else self.name

    @property
    def baselines(self) -> list[str]:
        """The others, in their order."""
        return list(self.backtest.forecasts)[1:]

    @property
    def horizons(self) -> list[int]:
        """Sessions ahead that were scored."""
        return [int(h) for h in self.comparison.scores["horizon"]]

    @property
    def few_horizons(self) -> list[int]:
        """The shortest of them, the one nearest to a week, and the longest."""
        horizons = self.horizons
        return sorted({horizons[0], min(horizons, key=lambda h: abs(h - _WEEK)), horizons[-1]})

    @cached_property
    def references(self) -> dict[int, str]:
        """The baseline that it is held against, by horizon; none where there is no baseline."""
        rows = self.comparison.scores.to_dict("records") if self.baselines else []
        return {int(r["horizon"]): reference_of({name: r[f"crps_{name}"] for name in self.baselines}) for r in rows}

    @property
    def reference(self) -> str:
        """What that baseline is called in a sentence, whichever its form."""
        return _plain_words(next(iter(self.references.values()), ""))

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of the comparison; empty where there is none of that name."""
        return self.comparison.tables.get(name, pd.DataFrame())

    def fill(self, caption: str, **others: str) -> str:
        """Return a caption with the names of this backtest in it."""
        for placeholder, value in {"WHO": self.who, "REFERENCE": self.reference, **others}.items():
            caption = caption.replace(placeholder, value)
        return caption


def make_sections(findings: Findings) -> list[Section]:
    """Return the sections of all that was found, as far as the backtest holds it."""
    sections = (
        _skill(findings),
        _coverage(findings),
        _pit(findings),
        _rises(findings),
        _breaches(findings),
        _skill_by(findings, "years", "Skill by year", captions.YEARS),
        _skill_by(findings, "terciles", "Skill in calm and stormy times", captions.TERCILES),
        _weeks(findings),
        _symbols(findings),
    )
    return [section for section in sections if section]


def _skill(findings: Findings) -> Section | None:
    rows = []
    for scores in findings.comparison.scores.to_dict("records"):
        best: dict[str, str] = {}  # of the two forms of each baseline
        for name in findings.baselines:
            plain = name.removesuffix(_CALIBRATED)
            best[plain] = min(best.get(plain, name), name, key=lambda n: float(scores[f"crps_{n}"]))
        for plain, name in best.items():
            of_one = {kind: scores[f"{kind}_{name}"] for kind in ("skill", "low", "high")}
            rows.append({"baseline": _label(plain), "horizon": scores["horizon"], **of_one})
    if not rows:
        return None
    judge = _label(next(iter(findings.references.values())).removesuffix(_CALIBRATED))
    figure = plot("skill", skill_figure(pd.DataFrame(rows), judge))
    return _section("skill", "Skill by horizon", _words(findings, captions.SKILL), figure)


def _coverage(findings: Findings) -> Section | None:
    if not len(table := findings.table("coverage")):
        return None
    figure = plot("coverage", coverage_figure(table))
    return _section("coverage", "Coverage of the intervals", _words(findings, captions.COVERAGE), figure)


def _pit(findings: Findings) -> Section | None:
    table = findings.table("pit")
    panels = [
        element("div", element("h3", ahead(h)), plot(f"pit-{h}", pit_figure(table[table["horizon"] == h])))
        for h in findings.few_horizons
    ]
    words = _words(findings, captions.PIT)
    return _section("pit", "Where outcomes fell (PIT)", words, element("div", *panels, class_="panels"))


def _rises(findings: Findings) -> Section | None:
    table = findings.table("rises")
    figure = plot("rises", rises_figure(table[table["horizon"].isin(findings.few_horizons)]))
    return _section("rises", "Probability of a rise", _words(findings, captions.RISES), figure)


def _breaches(findings: Findings) -> Section | None:
    if not len(table := findings.table("breaches")):
        return None
    level = float(table["level"].iloc[0])
    fills = {"HORIZON": ahead(int(table["horizon"].iloc[0])), "LOW": percent(level), "HIGH": percent(1 - level)}
    content = [plot("breaches", breaches_figure(table))]
    if len(tests := findings.table("value_at_risk")):
        content += [element("p", findings.fill(captions.TAILS[0]), class_="words"), _tail_tests(findings, tests)]
    words = _words(findings, captions.BREACHES, **fills)
    return _section("breaches", "Value at risk", words, element("div", *content))


def _tail_tests(findings: Findings, tests: pd.DataFrame) -> Markup:
    """Return how many symbols each test rejects, by horizon and quantile."""
    kinds = ("p_kupiec", "p_independence", "p_conditional")
    rows = []
    chosen = tests[tests["horizon"].isin(findings.few_horizons) & tests["level"].isin(_JUDGED_TAILS)]
    for (horizon, side, level), found in chosen.groupby(["horizon", "side", "level"]):
        quantile = level if side == "lower" else 1 - level
        rejected = (_rejected(found[kind]) for kind in kinds)
        counts = (f"{found['violations'].sum():,}", f"{found['expected'].sum():,.1f}")
        rows.append([str(horizon), percent(quantile), f"{found['rows'].sum():,}", *counts, *rejected])
    head = ["Sessions ahead", "Quantile", "Separate rows", "Breaches", "Expected", "Frequency", "Clusters", "Both"]
    return make_table(head, rows, [("", 5), ("Symbols rejected, of those tested", 3)])


def _rejected(p_values: pd.Series) -> str:
    tested = p_values.notna().sum()
    return f"{(p_values < SIGNIFICANT).sum()} of {tested}" if tested else UNKNOWN


def _skill_by(findings: Findings, name: str, heading: str, caption: Sequence[str]) -> Section | None:
    column = {"years": "year", "terciles": "tercile"}[name]
    table = findings.table(column)
    if not len(grid := _own_skill(findings, table)):
        return None
    groups = [_TERCILES.get(int(g), str(g)) if column == "tercile" else str(g) for g in grid[column]]
    figure = plot(name, skill_grid_figure(grid.assign(group=groups)))
    return _section(name, heading, _words(findings, caption), figure)


def _own_skill(findings: Findings, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the one under test with its `skill` and `q` against the reference of their horizon."""
    parts = []
    for horizon, reference in findings.references.items():
        own = table[(table["forecaster"] == findings.name) & (table["horizon"] == horizon)]
        q = own.get(f"q_{reference}", pd.Series(float("nan"), index=own.index))
        parts.append(own.assign(skill=own[f"skill_{reference}"], q=q))
    # groups as they stand in the table, horizons within them
    return pd.concat(parts).sort_index() if parts else pd.DataFrame()


def _weeks(findings: Findings) -> Section | None:
    if not len(table := findings.table("weeks")):
        return None
    panels = []
    for i, week in enumerate(table.to_dict("records"), start=1):
        symbol, origin = str(week["symbol"]), pd.Timestamp(week["origin"])
        forecast = findings.backtest.forecasts[findings.name][symbol].at(origin)
        series = findings.backtest.series[symbol]
        own, other = (f"{week[c] * BASIS_POINTS:,.0f}" for c in ("crps", "crps_reference"))
        panels.append(
            element(
                "div",
                element("h3", f"{str(week['week']).capitalize()}: {symbol} from {origin:%Y-%m-%d}"),
                element("p", f"CRPS {own} basis points; the reference's is {other}.", class_="soft"),
                plot(f"week-{i}", forecast_figure(series, forecast, _HISTORY, show_outcome=True)),
            )
        )
    words = _words(findings, captions.WEEKS, HORIZON=ahead(int(table["horizon"].iloc[0])))
    return _section("weeks", "Best and worst weeks", words, element("div", *panels, class_="panels wide"), below=True)


def _symbols(findings: Findings) -> Section | None:
    own = _own_skill(findings, findings.table("symbol"))
    if not len(own) or own["symbol"].nunique() < 2:
        return None
    found = {
        (str(s), int(h)): (skill, q)
        for s, h, skill, q in own[["symbol", "horizon", "skill", "q"]].itertuples(index=False)
    }

    def cell(symbol: str, horizon: int) -> str:
        skill, q = found.get((symbol, horizon), (float("nan"), float("nan")))
        if pd.isna(skill):
            return UNKNOWN
        return element("b", f"{skill:+.1%}") if q < SIGNIFICANT else f"{skill:+.1%}"

    symbols = dict.fromkeys(symbol for symbol, _ in found)
    rows = [[symbol, *(cell(symbol, h) for h in findings.horizons)] for symbol in symbols]
    heads = ["Symbol", *map(str, findings.horizons)]
    table = make_table(heads, rows, [("", 1), ("Sessions ahead", len(heads) - 1)])
    opened = {"open": ""} if len(rows) <= _FEW_SYMBOLS else {}
    shown = element("details", element("summary", f"{len(rows)} symbols"), table, **opened)
    return _section("symbols", "Symbol by symbol", _words(findings, captions.SYMBOLS), shown)


def _words(findings: Findings, caption: Sequence[str], **fills: str) -> list[Markup]:
    """Return the paragraphs of a caption: what is drawn, and how to read it."""
    return [element("p", findings.fill(text, **fills)) for text in caption]


def _section(name: str, heading: str, words: Sequence[str], content: str, below: bool = False) -> Section:
    beside = element("div", element("h2", heading), *words, class_="words")
    layout = "figure below" if below else "figure"
    return Section(name, heading, element("div", beside, content, class_=layout))


def ahead(horizon: int) -> str:
    """Return a horizon in words."""
    return f"{horizon} {'session' if horizon == 1 else 'sessions'} ahead"


def percent(level: float) -> str:
    """Return a quantile level in percent, with as many digits as it has."""
    return f"{level * 100:.4g}%"


def _plain_words(name: str) -> str:
    return in_words(name.removesuffix(_CALIBRATED))


def _label(name: str) -> str:
    return _plain_words(name).removeprefix("a ")
