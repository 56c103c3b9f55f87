"""The verbs that hold issued forecasts to account: score what matured, verify that none was changed."""

import re
from typing import Annotated

import typer

from forecasting.cli.console import exit_if_partly, reported_errors, show_json
from forecasting.cli.inputs import open_workspace
from forecasting.cli.options import JsonOption, Verbose, WorkspaceOption
from forecasting.errors import UsageError

app = typer.Typer(help="The record of every forecast issued.", no_args_is_help=True, rich_markup_mode=None)


def score(
    model: Annotated[
        str | None, typer.Option("--model", help="Show the record of this model; by default of all.")
    ] = None,
    view: Annotated[str, typer.Option(help="first (prices as first known) or now (as known now).")] = "first",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Score what has matured, and show the track record.

    Gain over the random walk that was issued with each forecast, and coverage; live and replay apart.
    """
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.outcomes import VIEWS

        if view not in VIEWS:
            raise UsageError(f"view {view!r}: prices are viewed as {' or '.join(VIEWS)}; next: --view first")
        from forecasting.jobs import score_matured
        from forecasting.scoring import Scores
        from forecasting.track_record import read_track_record

        report = score_matured(place)
        record = read_track_record(Scores(place.scores), view, model)
        from forecasting.cli import render_record, values

        if as_json:
            show_json(values.score_values(report, record))
        else:
            render_record.show_scores(report, record, view)
        exit_if_partly(report.unpriced)


@app.command(epilog="Example: tickercast ledger verify")
def verify(
    head: Annotated[
        list[str] | None,
        typer.Option("--head", metavar="ROWS:HASH", help="A head that an earlier report named; may be repeated."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Check that all forecasts stand as they were issued."""
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.chain import Head
        from forecasting.ledger import Ledger

        known = []
        for text in head or ():
            if not (parts := re.fullmatch(r"(\d+):([0-9a-f]{64})", text)):
                raise UsageError(f"head {text[:40]!r}: a head is ROWS:HASH, as reports name it")
            known.append(Head(int(parts[1]), parts[2]))
        ledger = Ledger(place.ledger)
        ledger.verify(known)
        found = ledger.head()
        from forecasting.cli import render_record, values

        if as_json:
            show_json({"ledger_head": values.head_values(found)})
        else:
            render_record.show_verified(found)
