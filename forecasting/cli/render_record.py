"""What became of evenings and of issued forecasts, as text for people."""

from typing import Any

import pandas as pd
from rich.table import Table

from forecasting.chain import Head
from forecasting.cli.printing import count, make_table, print_parts, print_unbroken, show_files, show_named
from forecasting.evening_report import EveningReport
from forecasting.replaying import ReplayReport
from forecasting.scoring import ScoreReport
from forecasting.track_record import ALL_MODELS

_MOST_MODELS = 3  # of which the track record is printed


def show_evening(report: EveningReport) -> None:
    """Print what became of an evening."""
    days = [str(session.date()) for session in report.sessions]
    print_unbroken(f"{report.ended:%Y-%m-%d %H:%M} UTC, {report.universe}: {report.summary}")
    if days:
        print_parts(f"sessions {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else ""))
    if report.decision:
        print_parts(report.decision)
    show_named("failed", report.failures)
    show_named("stale", report.stale)
    print_parts(*(f"warning: {warning}" for warning in report.warnings))
    show_files(report.files)
    if report.ledger_head:
        print_unbroken(f"ledger head {Head(report.ledger_rows, report.ledger_head)}")


def show_replay(report: ReplayReport, record: pd.DataFrame) -> None:
    """Print what was replayed, by which models, and the track record it adds to."""
    first, last = report.sessions[0].date(), report.sessions[-1].date()
    print_parts(
        f"{report.universe}: {count(len(report.sessions), 'evening')} from {first} to {last}, "
        f"{count(report.rows, 'new row')} in the ledger, all of them replay",
        f"Each from bars cut at its session, as they were known at {report.known_at:%Y-%m-%d %H:%M} UTC: what was "
        "revised in between is not undone.",
    )
    print_unbroken(*(f"{t.session.date()}  {t.model_id} serves: {t.reason.split(';')[0]}" for t in report.trainings))
    print_parts("")
    show_scores(report.scored, record, "first")


def show_scores(report: ScoreReport, record: pd.DataFrame, view: str) -> None:
    """Print what was scored, and the track record by model and horizon, live and replay apart."""
    restated = f", {count(report.restated, 'score')} changed with their prices" if report.restated else ""
    print_parts(f"{count(report.matured, 'forecast')} matured since the last time{restated}")
    known = {"first": "first known", "now": "known now"}[view]
    print_parts(f"track record by prices as {known}" if len(record) else "no forecast has matured yet")
    for mode, of_mode in record.groupby("mode", sort=False):
        by_model = dict(list(of_mode.groupby("model_id")))
        pooled = by_model.pop(ALL_MODELS)
        models = sorted(by_model, key=lambda model_id: by_model[model_id]["first"].max(), reverse=True)
        shown = {f"model {model_id}": by_model[model_id] for model_id in models[:_MOST_MODELS]}
        for name, rows in (shown if len(models) == 1 else {"all models": pooled, **shown}).items():
            span = f"origins {rows['first'].min():%Y-%m-%d} to {rows['last'].max():%Y-%m-%d}"
            print_parts("", f"{str(mode).capitalize()}, {name}: {span}", "", _record_table(rows))
        if (more := len(models) - _MOST_MODELS) > 0:
            print_parts("", f"and {count(more, 'earlier model')}; --model ID shows one, --json all")
    if len(record):
        print_parts(
            "\nGain: CRPS below that of the random walk issued with the forecasts. 80%, 90%: share of outcomes inside "
            "these intervals. In brackets: 90% intervals, from 20 origins on and four times as many as sessions ahead."
        )
    show_named("no prices", dict.fromkeys(report.unpriced, "in the ledger, not in the store; not scored"))
    print_unbroken(f"ledger head {report.head}")


def _record_table(rows: pd.DataFrame) -> Table:
    def with_interval(row: dict[str, Any], name: str, suffix: str, style: str) -> str:
        low, high = row[f"low{suffix}"], row[f"high{suffix}"]
        interval = "too few" if pd.isna(low) else f"{low:{style}}, {high:{style}}"
        return "" if pd.isna(row[name]) else f"{row[name]:{style}} [{interval}]"

    table = make_table(["ahead", "origins", "gain", "p", "80%", "90%"])
    for row in rows.to_dict("records"):
        table.add_row(
            *(str(row[name]) for name in ("horizon", "sessions")),
            with_interval(row, "skill", "", "+.1%"),
            "" if pd.isna(row["p"]) else f"{row['p']:.3f}",
            *(with_interval(row, f"coverage_{percent}", f"_{percent}", ".0%") for percent in (80, 90)),
        )
    return table


def show_verified(head: Head) -> None:
    """Print that the ledger is whole, and its head."""
    print_unbroken(f"{count(head.rows, 'record')}, each as it was issued", f"ledger head {head}")
