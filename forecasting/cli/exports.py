"""The verbs that write what the workspace holds as CSV, and check such files."""

from pathlib import Path
from typing import Annotated

import typer

from forecasting.cli.console import reported_errors, say, show_json
from forecasting.cli.inputs import choose_universe, open_workspace, read_day
from forecasting.cli.options import JsonOption, ModelOption, Symbols, Verbose, WorkspaceOption
from forecasting.errors import UsageError

_OPTIONS = {
    "forecasts": ("--model", "--origin"),
    "scores": ("--model",),
    "backtests": ("--backtest",),
    "prices": ("symbols", "--basis"),
}


def export(
    symbols: Symbols = None,
    what: Annotated[str, typer.Option(help=f"What to write: {', '.join(_OPTIONS)}.")] = "forecasts",
    to: Annotated[Path | None, typer.Option(help="Folder to write to; the workspace's exports by default.")] = None,
    model: ModelOption = None,
    origin: Annotated[
        str | None, typer.Option(help="Forecasts as they were after the issue from this session, such as 2019-01-02.")
    ] = None,
    backtest: Annotated[str | None, typer.Option(metavar="ID", help="Backtest; by default the newest.")] = None,
    basis: Annotated[
        str | None,
        typer.Option(help="Prices as traded, or adjusted: split (the default) or total.", show_default=False),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Write forecasts, scores, a backtest or prices as CSV.

    Forecasts long and wide: the newest that a model has issued. Scores with the track record they make. Prices of all
    symbols, or of those named. The JSON Schema of each file is put beside it.
    """
    given = {"symbols": symbols, "--model": model, "--origin": origin, "--backtest": backtest, "--basis": basis}
    with reported_errors(as_json, verbose, workspace):
        if what not in _OPTIONS:
            known = ", ".join(_OPTIONS)
            raise UsageError(f"--what {what[:40]!r}: what can be exported: {known}; next: --what forecasts")
        if lost := [name for name, value in given.items() if value and name not in _OPTIONS[what]]:
            wanted = next(kind for kind, names in _OPTIONS.items() if lost[0] in names)
            raise UsageError(f"{', '.join(lost)} without use for --what {what}; next: --what {wanted}")
        place, chosen = open_workspace(workspace), choose_universe(symbols, None)
        day = read_day("--origin", origin)
        from forecasting.exports import publishing

        if what == "forecasts":
            files = publishing.export_issued(place, model, to, day)
        elif what == "scores":
            files = publishing.export_scores(place, model, to)
        elif what == "backtests":
            files = publishing.export_backtest(place, backtest, to)
        else:
            files = publishing.export_prices(place, chosen.symbols if chosen else None, basis or "split", to)
        from forecasting.cli.printing import show_files

        if as_json:
            show_json({"files": [str(path) for path in files]})
        else:
            show_files(files)


def validate(
    file: Annotated[Path, typer.Argument(help="A CSV file, perhaps by gzip, or the name of an export.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Check an exported CSV file against its schema.

    Each cell, and what rows say together: keys, complete and ordered quantiles, sessions, currencies. The first
    problems are named by row and column, the others counted. Ends with 1 where there are any.
    """
    with reported_errors(as_json, verbose, workspace):
        exported = file if file.exists() else open_workspace(workspace).exports / file
        from forecasting.exports.validation import check_file

        report = check_file(exported if exported.exists() else file)
        from forecasting.cli import render, values

        if as_json:
            show_json(values.check_values(report))
        else:
            render.show_check(report)
        if not report.valid:
            say(f"tickercast: {report.path} breaks its schema {report.schema}; next: the file as it was written")
            raise typer.Exit(1)
