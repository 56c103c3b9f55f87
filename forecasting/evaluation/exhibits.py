"""The figures of a comparison with their words: the report for people and the dashboard show the same ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from forecasting.calibration_charts import breaches_figure, pit_figure, rises_figure
from forecasting.evaluation.findings import Findings
from forecasting.evaluation.html import captions
from forecasting.score_charts import ahead, coverage_figure, percent, skill_figure, skill_grid_figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class Panel(NamedTuple):
    """A figure, under a title where it stands among others.

    Parameters
    ----------
    name : no other figure of the comparison has it
    title
    figure
    """

    name: str
    title: str
    figure: "Figure"


@dataclass(frozen=True)
class Exhibit:
    """Figures of one thing that was found.

    Parameters
    ----------
    name : of a link to it
    heading
    words : paragraphs: what is drawn, and how it is read
    panels
    """

    name: str
    heading: str
    words: tuple[str, ...]
    panels: tuple[Panel, ...]


def make_exhibits(findings: Findings) -> list[Exhibit]:
    """Return the figures of all that was found, as far as the comparison holds it."""
    exhibits = (
        _skill(findings),
        _coverage(findings),
        _pit(findings),
        _rises(findings),
        _breaches(findings),
        _grid(findings, "years", "Skill by year", captions.YEARS),
        _grid(findings, "terciles", "Skill in calm and stormy times", captions.TERCILES),
    )
    return [exhibit for exhibit in exhibits if exhibit]


def _skill(findings: Findings) -> Exhibit | None:
    if not findings.baselines:
        return None
    figure = skill_figure(findings.against_baselines(), findings.judge)
    return _exhibit(findings, "skill", "Skill by horizon", captions.SKILL, figure)


def _coverage(findings: Findings) -> Exhibit | None:
    if not len(table := findings.table("coverage")):
        return None
    return _exhibit(findings, "coverage", "Coverage of the ranges", captions.COVERAGE, coverage_figure(table))


def _pit(findings: Findings) -> Exhibit | None:
    if not len(table := findings.table("pit")):
        return None
    panels = [Panel(f"pit-{h}", ahead(h), pit_figure(table[table["horizon"] == h])) for h in findings.few_horizons]
    words = tuple(map(findings.fill, captions.PIT))
    return Exhibit("pit", "Where outcomes fell (PIT)", words, tuple(panels))


def _rises(findings: Findings) -> Exhibit | None:
    if not len(table := findings.table("rises")):
        return None
    figure = rises_figure(table[table["horizon"].isin(findings.few_horizons)])
    return _exhibit(findings, "rises", "Probability of a rise", captions.RISES, figure)


def _breaches(findings: Findings) -> Exhibit | None:
    if not len(table := findings.table("breaches")):
        return None
    level = float(table["level"].iloc[0])
    fills = {"HORIZON": ahead(int(table["horizon"].iloc[0])), "LOW": percent(level), "HIGH": percent(1 - level)}
    return _exhibit(findings, "breaches", "Value at risk", captions.BREACHES, breaches_figure(table), **fills)


def _grid(findings: Findings, name: str, heading: str, caption: Sequence[str]) -> Exhibit | None:
    if not len(grid := findings.skill_by(name.removesuffix("s"))):
        return None
    return _exhibit(findings, name, heading, caption, skill_grid_figure(grid))


def _exhibit(
    findings: Findings, name: str, heading: str, caption: Sequence[str], figure: "Figure", **fills: str
) -> Exhibit:
    words = tuple(findings.fill(text, **fills) for text in caption)
    return Exhibit(name, heading, words, (Panel(name, "", figure),))
