"""The sections of a backtest's report: each a figure or a table, what it shows and how it is read."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from forecasting.charts import forecast_figure
from forecasting.evaluation.exhibits import Exhibit, make_exhibits
from forecasting.evaluation.findings import Findings
from forecasting.evaluation.html import captions
from forecasting.evaluation.html.markup import Markup, element, make_table, plot
from forecasting.evaluation.verdicts import SIGNIFICANT
from forecasting.evaluation.walkforward import Backtest
from forecasting.score_charts import ahead, percent

BASIS_POINTS = 10_000
UNKNOWN = "\N{EN DASH}"

_FEW_SYMBOLS = 12  # shown without a click
_HISTORY = 60  # sessions drawn before a fan


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


def make_sections(findings: Findings, backtest: Backtest) -> list[Section]:
    """Return the sections of all that was found, as far as the backtest holds it."""
    exhibits = (_section_of(exhibit, findings) for exhibit in make_exhibits(findings))
    others = (_weeks(findings, backtest), _symbols(findings))
    return [*exhibits, *(section for section in others if section)]


def _section_of(exhibit: Exhibit, findings: Findings) -> Section:
    if len(exhibit.panels) == 1:
        content = plot(exhibit.panels[0].name, exhibit.panels[0].figure)
    else:
        panels = (element("div", element("h3", p.title), plot(p.name, p.figure)) for p in exhibit.panels)
        content = element("div", *panels, class_="panels")
    if exhibit.name == "breaches":
        content = element("div", content, *_tail_tests(findings))
    return _section(exhibit.name, exhibit.heading, _paragraphs(exhibit.words), content)


def _tail_tests(findings: Findings) -> list[Markup]:
    """Return how many symbols each test rejects, by horizon and quantile, and what that means."""
    rows = []
    for tests in findings.tail_tests().to_dict("records"):
        counts = (f"{tests['rows']:,}", f"{tests['violations']:,}", f"{tests['expected']:,.1f}")
        rejected = (
            f"{tests[f'rejected_{test}']} of {tested}" if (tested := tests[f"tested_{test}"]) else UNKNOWN
            for test in ("kupiec", "independence", "conditional")
        )
        rows.append([str(tests["horizon"]), percent(tests["quantile"]), *counts, *rejected])
    if not rows:
        return []
    head = ["Sessions ahead", "Quantile", "Separate rows", "Breaches", "Expected", "Frequency", "Clusters", "Both"]
    table = make_table(head, rows, [("", 5), ("Symbols rejected, of those tested", 3)])
    return [element("p", findings.fill(captions.TAILS[0]), class_="words"), table]


def _weeks(findings: Findings, backtest: Backtest) -> Section | None:
    if not len(table := findings.table("weeks")):
        return None
    panels = []
    for i, week in enumerate(table.to_dict("records"), start=1):
        symbol, origin = str(week["symbol"]), pd.Timestamp(week["origin"])
        forecast = backtest.forecasts[findings.name][symbol].at(origin)
        series = backtest.series[symbol]
        own, other = (f"{week[c] * BASIS_POINTS:,.0f}" for c in ("crps", "crps_reference"))
        panels.append(
            element(
                "div",
                element("h3", f"{str(week['week']).capitalize()}: {symbol} from {origin:%Y-%m-%d}"),
                element("p", f"CRPS {own} basis points; the reference's is {other}.", class_="soft"),
                plot(f"week-{i}", forecast_figure(series, forecast, _HISTORY, show_outcome=True)),
            )
        )
    horizon = ahead(int(table["horizon"].iloc[0]))
    words = _paragraphs([findings.fill(text, HORIZON=horizon) for text in captions.WEEKS])
    return _section("weeks", "Best and worst weeks", words, element("div", *panels, class_="panels wide"), below=True)


def _symbols(findings: Findings) -> Section | None:
    own = findings.skill_by("symbol")
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
    return _section(
        "symbols", "Symbol by symbol", _paragraphs([findings.fill(text) for text in captions.SYMBOLS]), shown
    )


def _paragraphs(words: Sequence[str]) -> list[Markup]:
    """Return what is drawn, and how to read it."""
    return [element("p", text) for text in words]


def _section(name: str, heading: str, words: Sequence[str], content: str, below: bool = False) -> Section:
    beside = element("div", element("h2", heading), *words, class_="words")
    layout = "figure below" if below else "figure"
    return Section(name, heading, element("div", beside, content, class_=layout))
