"""The verbs that bring prices in and report on them."""

import typer

from forecasting.cli.console import exit_if_partly, reported_errors, show_json, shown_progress, typed
from forecasting.cli.inputs import choose_universe, open_workspace, stored_universe
from forecasting.cli.options import (
    Calendar,
    Currency,
    DayFirst,
    Decimal,
    Files,
    Full,
    JsonOption,
    Prices,
    SourceOrFiles,
    Symbols,
    UniverseOption,
    Verbose,
    WorkspaceOption,
)
from forecasting.errors import UsageError


def fetch(
    symbols: Symbols = None,
    universe: UniverseOption = None,
    source: SourceOrFiles = None,
    full: Full = False,
    files: Files = None,
    prices: Prices = None,
    calendar: Calendar = None,
    currency: Currency = None,
    day_first: DayFirst = None,
    decimal: Decimal = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Bring prices in; only missing sessions are asked for."""
    with reported_errors(as_json, verbose, workspace):
        place, chosen = open_workspace(workspace), choose_universe(symbols, universe)
        from forecasting.ingestion.files import FileProvider
        from forecasting.jobs import fetch_prices

        wanted = chosen.symbols if chosen else ()
        provider: str | FileProvider = source or "yahoo"
        of_files = {
            "--prices": prices,
            "--calendar": calendar,
            "--currency": currency,
            "--decimal": decimal,
            "--day-first": day_first,
        }
        if files is None and (lost := [name for name, value in of_files.items() if value is not None]):
            raise UsageError(
                f"{', '.join(lost)} without --files: they tell how files are to be read; next: --files PATH"
            )
        if files is not None and source is not None:
            raise UsageError("--files and --source together: one or the other")
        if files is not None:
            one = wanted[0] if len(wanted) == 1 else None
            provider = FileProvider(
                files, prices, one, currency=currency, calendar=calendar, day_first=day_first, decimal=decimal
            )
        with shown_progress(as_json) as progress:
            report = fetch_prices(place, provider, wanted, progress, full=full)
        from forecasting.cli import render, values

        if as_json:
            show_json(values.fetch_values(report))
        else:
            render.show_fetch(report)
            if report.added or report.quarantined:
                typer.echo(f"next: {typed('quality', workspace)}, which names missing, doubtful and quarantined bars")
        exit_if_partly(report.failures)


def quality(
    symbols: Symbols = None,
    universe: UniverseOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Report quarantined rows and doubtful bars.

    Of all stored symbols by default: missed splits, 100x unit errors, bad ticks, stale runs and gaps, each
    with its likely cause. Nothing is changed.
    """
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        chosen = choose_universe(symbols, universe) or stored_universe(place)
        from forecasting.ingestion.quality import report_quality
        from forecasting.store import PriceStore

        report = report_quality(PriceStore(place.prices), chosen.symbols)
        from forecasting.cli import render, values

        if as_json:
            show_json(values.quality_values(report))
        else:
            render.show_quality(report, workspace)


def status(workspace: WorkspaceOption = None, as_json: JsonOption = False, verbose: Verbose = False) -> None:
    """Show what the workspace holds."""
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.status import read_status

        found = read_status(place)
        from forecasting.cli import render

        if as_json:
            show_json(found)
        else:
            render.show_status(found, workspace)
