"""What became of an evening: the report of a run of the evening job, as JSON for programs and a page for people."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting.errors import in_one_line
from forecasting.evaluation.html.markup import Markup, element, make_document, make_table
from forecasting.journal import parse_instant
from forecasting.logs import StepRecord
from forecasting.workspace import Workspace, read_json, write_atomic, write_json

OUTCOMES = {
    "done": "Done",
    "nothing_new": "Nothing new",
    "partly": "Partly done",
    "failed": "Failed",
}
"""How a run may end, and how a person is told."""

KEPT_REPORTS = 100
"""Dated reports that are kept beside the last one: the newest, of all universes together."""

_MOST_NAMED = 8  # symbols in a summary, sessions in a page's facts
_FEW_CAUSES = 10  # shown without a click
_FORMAT = 1
_LAST = "last-run"


@dataclass(frozen=True)
class EveningReport:
    """A run of the evening job.

    Parameters
    ----------
    universe : name
    started, ended : UTC instants
    outcome : one of `OUTCOMES`
    sessions : origins that the run was for, oldest first, evenings that were caught up included
    steps : in the order in which they ended
    model_id : of the champion after the run; None where there is none
    decision : on training and promotion, and why
    issued, scored : rows that were new in the ledger and in the scores
    failures, stale : by symbol, the cause
    warnings : sentences
    files : paths that were written
    ledger_rows, ledger_head : how long the ledger's chain is, and its last hash
    error : what ended a run that failed, in one line
    """

    universe: str
    started: pd.Timestamp
    ended: pd.Timestamp
    outcome: str
    sessions: tuple[pd.Timestamp, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    model_id: str | None = None
    decision: str = ""
    issued: int = 0
    scored: int = 0
    failures: Mapping[str, str] = field(default_factory=dict)
    stale: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    ledger_rows: int = 0
    ledger_head: str = ""
    error: str | None = None

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome {self.outcome!r}: outcomes are {', '.join(OUTCOMES)}")

    @property
    def exit_code(self) -> int:
        """0 done or nothing new, 1 failed, 3 partly done, or a symbol failed or is stale."""
        if self.outcome == "failed":
            return 1
        return 3 if self.outcome == "partly" or self.failures or self.stale else 0

    @property
    def summary(self) -> str:
        """The outcome in one line; of many symbols it names the first."""
        parts = [OUTCOMES[self.outcome].lower()] + ([self.error] if self.error else [])
        if self.issued or self.scored:
            parts.append(f"{self.issued} forecasts issued, {self.scored} scored")
        for what, causes in _named(self).items():
            more = f" and {len(causes) - _MOST_NAMED} more" if len(causes) > _MOST_NAMED else ""
            parts.append(f"{what}: {', '.join(sorted(causes)[:_MOST_NAMED])}{more}")
        return "; ".join(parts)


def failed_report(universe: str, started: pd.Timestamp, ended: pd.Timestamp, error: Exception) -> EveningReport:
    """Return the report of a run that ended with an error before it could report itself."""
    return EveningReport(universe, started, ended, "failed", error=in_one_line(error))


def _named(report: EveningReport) -> dict[str, Mapping[str, str]]:
    """Return the symbols that something is wrong with, and what went wrong, under a word for it."""
    return {what: causes for what, causes in (("failed", report.failures), ("stale", report.stale)) if causes}


def report_to_json(report: EveningReport) -> dict[str, Any]:
    """Return a report as plain JSON values; `exit_code` is told too."""
    return {
        "format": _FORMAT,
        **asdict(report),
        "started": report.started.isoformat(),
        "ended": report.ended.isoformat(),
        "sessions": [str(session.date()) for session in report.sessions],
        "exit_code": report.exit_code,
    }


def report_from_json(values: Mapping[str, Any]) -> EveningReport:
    """Rebuild a report.

    Raises
    ------
    KeyError, TypeError, ValueError
        The values are not those of a report, or of one of another format.
    """
    told = dict(values)
    del told["exit_code"]
    if (found := told.pop("format")) != _FORMAT:
        raise ValueError(f"a report of format {found}, known is {_FORMAT}")
    return EveningReport(
        **{
            **told,
            "started": parse_instant(told["started"]),
            "ended": parse_instant(told["ended"]),
            "sessions": tuple(pd.Timestamp(day).as_unit("us") for day in told["sessions"]),
            "steps": tuple(StepRecord(**step) for step in told["steps"]),
            "warnings": tuple(told["warnings"]),
            "files": tuple(told["files"]),
        }
    )


def last_report_path(workspace: Workspace) -> Path:
    """Return where the last run's report is, as JSON; the page for people is beside it."""
    return workspace.reports / f"{_LAST}.json"


def last_report(workspace: Workspace) -> EveningReport | None:
    """Return the last run's report; None before the first.

    Raises
    ------
    WorkspaceError
        It is damaged.
    """
    try:
        return read_json(last_report_path(workspace), report_from_json)
    except FileNotFoundError:
        return None


def save_report(workspace: Workspace, report: EveningReport) -> Path:
    """Write a report as the last one, and unless nothing was new under the instant it started too: as JSON and a page.

    Of the dated ones the newest `KEPT_REPORTS` stay. Who calls it holds the workspace's lock.

    Returns
    -------
    path of the last run's JSON

    Raises
    ------
    WorkspaceError
        It cannot be written.
    """
    folder, page = workspace.reports, report_page(report)
    dated = [] if report.outcome == "nothing_new" else [f"{report.started:%Y%m%dT%H%M%S}"]
    for name in (*dated, _LAST):
        write_atomic(folder / f"{name}.html", page)
        write_json(folder / f"{name}.json", report_to_json(report))
    for old in sorted(folder.glob("[0-9]*T*.json"))[:-KEPT_REPORTS]:
        with suppress(OSError):
            old.with_suffix(".html").unlink(missing_ok=True)
            old.unlink()
    return last_report_path(workspace)


def report_page(report: EveningReport) -> str:
    """Return a report as a page for people; it needs no other file, and nothing in it is read as HTML."""
    heading = f"{OUTCOMES[report.outcome]}: {report.universe}"
    body = [
        element("p", "Evening run", class_="kind"),
        element("h1", heading),
        _facts(report),
        *_alarms(report),
        element("div", element("p", report.decision or "Nothing was decided on the model."), class_="verdict"),
        *_sections(report),
    ]
    return make_document(f"tickercast, {report.started:%Y-%m-%d}: {heading}", body, figures=False)


def _facts(report: EveningReport) -> Markup:
    days = [str(session.date()) for session in report.sessions]
    more = [f"{len(days) - _MOST_NAMED} before"] if len(days) > _MOST_NAMED else []
    facts = {
        "Sessions": ", ".join(more + days[-_MOST_NAMED:]) or "none",
        "Started": f"{report.started:%Y-%m-%d %H:%M:%S} UTC",
        "Took": f"{(report.ended - report.started).total_seconds():,.0f} s",
        "Model": report.model_id or "none",
        "Forecasts issued": f"{report.issued:,} rows",
        "Forecasts scored": f"{report.scored:,} rows",
        "Ledger": f"{report.ledger_rows:,} rows",
    }
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in facts.items()),
        class_="facts",
    )


def _alarms(report: EveningReport) -> Iterator[Markup]:
    """Yield what a person should know first: an error, symbols left out or stale, and warnings."""
    if report.error:
        yield _alarm("What went wrong", element("p", report.error))
    for what, causes in _named(report).items():
        heading = f"{len(causes)} {'symbol' if len(causes) == 1 else 'symbols'} {what}"
        lines = element("ul", *(element("li", element("b", s), f": {cause}") for s, cause in sorted(causes.items())))
        few = len(causes) <= _FEW_CAUSES
        yield _alarm(heading, lines if few else element("details", element("summary", "which, and why"), lines))
    if report.warnings:
        yield _alarm("Warnings", element("ul", *(element("li", warning) for warning in report.warnings)))


def _alarm(heading: str, content: Markup) -> Markup:
    return element("div", element("h2", heading), content, class_="alarm", role="note")


def _sections(report: EveningReport) -> Iterator[Markup]:
    if report.steps:
        rows = (
            [
                element("b", f"{step.name}, failed", class_="worse") if step.failed else step.name,
                f"{step.seconds:,.1f}",
                ", ".join(f"{count:,} {what}" for what, count in step.counts.items()),
                element("span", step.detail, class_="name"),
            ]
            for step in report.steps
        )
        yield _section("Steps", make_table(["Step", "Seconds", "Counts", "Detail"], rows, left=[2, 3]))
    if report.files:
        yield _section("Files", element("ul", *(element("li", path) for path in report.files)))
    if report.ledger_head:
        words = "The last hash of the ledger's chain. Keep it elsewhere: it shows whether rows were cut off the end."
        yield _section("Ledger", element("p", words), element("pre", report.ledger_head))


def _section(heading: str, *parts: Markup) -> Markup:
    return element("section", element("h2", heading), *parts)
