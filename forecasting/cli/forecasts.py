"""The verbs that issue forecasts and show them."""

import sys
from typing import Annotated

import typer

from forecasting.cli.console import exit_if_partly, reported_errors, show_json, shown_progress
from forecasting.cli.inputs import choose_universe, open_workspace
from forecasting.cli.options import (
    AddressOption,
    Allow,
    Fetch,
    JsonOption,
    Live,
    ModelOption,
    Operator,
    Public,
    ReadOnly,
    Secrets,
    SourceOfNew,
    Symbols,
    Verbose,
    WorkspaceOption,
)
from forecasting.errors import UsageError


def forecast(
    symbols: Symbols = None,
    model: ModelOption = None,
    live: Live = False,
    fetch: Fetch = False,
    source: SourceOfNew = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Issue forecasts from the last stored session.

    With the newest champion that was trained on the symbols, into the ledger and the CSVs.
    """
    with reported_errors(as_json, verbose, workspace):
        if source and not fetch:
            raise UsageError("--source without --fetch: nothing is fetched; next: add --fetch")
        place, chosen = open_workspace(workspace), choose_universe(symbols, None)
        from forecasting.jobs import issue_forecasts

        wanted = chosen.symbols if chosen else ()
        with shown_progress(as_json) as progress:
            report = issue_forecasts(
                place, wanted, model, live_only=live, fetch=fetch, source=source, progress=progress
            )
        from forecasting.cli import render, values

        if as_json:
            show_json(values.issue_values(report))
        else:
            render.show_issue(report)
        exit_if_partly(report.failures or report.stale)


def dashboard(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8501,
    address: AddressOption = None,
    read_only: ReadOnly = False,
    public: Public = False,
    allow: Allow = None,
    operator: Operator = None,
    secrets: Secrets = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Serve the dashboard until interrupted: on 127.0.0.1, without sign-in.

    With --public others are served too. They sign in, and only who is listed is let in.
    """
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.cli.serving import require_free, require_local, serve_dashboard, url_of
        from forecasting.cli.sign_in import decide_admission

        admission, sign_in = decide_admission(public, read_only, allow or (), operator or (), secrets)
        place_to_listen = address or ("0.0.0.0" if public else "127.0.0.1")  # noqa: S104
        if not public:
            require_local(place_to_listen)
        require_free(place_to_listen, port)
        here = url_of(place_to_listen, port)
        url = sign_in.origin if sign_in else here
        if as_json:
            show_json({"url": url, "listens_on": here, "workspace": place.root})
        else:
            typer.echo(f"tickercast dashboard of {place.root} on {url} (Ctrl-C ends it)")
            if sign_in:
                typer.echo(
                    f"listens on {here}; after sign-in {len(admission.listed)} may look, {len(admission.operators)} act"
                )
        sys.stdout.flush()
        serve_dashboard(place.root, place_to_listen, port, admission, sign_in)
