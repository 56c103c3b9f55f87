"""The verbs that issue forecasts and show them."""

import sys
from typing import Annotated

import typer

from forecasting.cli.console import exit_if_partly, reported_errors, show_json
from forecasting.cli.inputs import choose_universe, open_workspace
from forecasting.cli.options import (
    JsonOption,
    Live,
    ModelOption,
    Symbols,
    Verbose,
    WorkspaceOption,
)


def forecast(
    symbols: Symbols = None,
    model: ModelOption = None,
    live: Live = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Issue forecasts from the last stored session.

    With the newest champion that was trained on the symbols, into the ledger and the CSVs.
    """
    with reported_errors(as_json, verbose, workspace):
        place, chosen = open_workspace(workspace), choose_universe(symbols, None)
        from forecasting.jobs import issue_forecasts

        report = issue_forecasts(place, chosen.symbols if chosen else (), model, live_only=live)
        from forecasting.cli import render, values

        if as_json:
            show_json(values.issue_values(report))
        else:
            render.show_issue(report)
        exit_if_partly(report.failures or report.stale)


def dashboard(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 8501,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Serve the dashboard on 127.0.0.1 until interrupted."""
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.cli.serving import require_free, serve_dashboard

        require_free(port)
        url = f"http://127.0.0.1:{port}"
        if as_json:
            show_json({"url": url, "workspace": place.root})
        else:
            typer.echo(f"tickercast dashboard of {place.root} on {url} (Ctrl-C ends it)")
        sys.stdout.flush()
        serve_dashboard(place.root, port)
