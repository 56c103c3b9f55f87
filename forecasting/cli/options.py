"""The options that verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Symbols = Annotated[list[str] | None, typer.Argument(help="Symbols in Yahoo's notation, such as AAPL or ^GSPC.")]


def _folder(text: str) -> Path:
    if not text:  # a variable that is not set; Path("") would be the current folder
        raise typer.BadParameter("an empty name: a workspace is a folder")
    return Path(text)


WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", help="Folder of prices, models and forecasts.", show_default=False, parser=_folder),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show where an error came from.")]
SourceOrFiles = Annotated[
    str | None,
    typer.Option("--source", help="yahoo (the default), sample or synthetic; or --files.", show_default=False),
]
Source = Annotated[str, typer.Option(help="yahoo, sample (embedded S&P 500 and NASDAQ) or synthetic.")]
UniverseOption = Annotated[
    str | None, typer.Option("--universe", help="CSV file with a column `symbol`, or a shipped name such as us20.")
]
OnFailure = Annotated[
    str | None,
    typer.Option(
        metavar="JSON",
        help="Command to run when an evening ends badly: a JSON list of the program and its arguments, no shell.",
    ),
]
Cell = Annotated[str, typer.Option(help="rnn (Elman), gru, lstm, or none: no recurrence, a control.")]
Nonlinearity = Annotated[str, typer.Option(help="tanh or relu, of the rnn cell.")]
Horizon = Annotated[int, typer.Option(help="Sessions ahead, 1 to 60.")]
Window = Annotated[int, typer.Option(help="Sessions in a training window.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training windows.")]
Seed = Annotated[int, typer.Option(help="The same seed, data and machine kind give the same forecast.")]
TrainEvery = Annotated[int, typer.Option(help="Sessions after which a model is trained anew.", min=1)]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="First session, such as 2018-01-02; a year back by default."),
]
To = Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last session; the last stored by default.")]
TestSessions = Annotated[int, typer.Option(help="Sessions at the end that are forecast, from every origin.")]
RefitEvery = Annotated[int, typer.Option(help="Sessions between refits in the test; 0 fits once.")]
TrainSessions = Annotated[
    int | None, typer.Option(help="Fit on the last so many sessions; on all before the test by default.")
]
Embargo = Annotated[int, typer.Option(help="Sessions left out between what is fitted on and the test.")]
BaselinesOption = Annotated[
    str, typer.Option("--baselines", help="standard (seconds), or all: GARCH, GJR-GARCH, boosted trees, ... (minutes).")
]
Jobs = Annotated[
    int | None,
    typer.Option(help="Processes that folds run in; by default one for each core, where that is worth it."),
]
Backend = Annotated[str, typer.Option(help="local, or dask: the workers of a cluster, by --scheduler.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of the cluster's scheduler, such as tcp://HOST:8786.")]
Repeat = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Run a finished backtest again on its prices, and compare to the last bit."),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Model ID; by default the newest champion that was trained on the symbols."),
]
ModelId = Annotated[str, typer.Argument(metavar="ID", help="Model ID; tickercast models list has them.")]
UniverseName = Annotated[
    str | None,
    typer.Option(
        "--universe", help="Name of the universe; by default the only one that it can be.", show_default=False
    ),
]
Reason = Annotated[str, typer.Option(help="Why; is kept in the registry.", show_default=False)]
Live = Annotated[
    bool,
    typer.Option("--live", help="Refuse forecasts whose next session has opened, rather than mark them as replay."),
]
Fetch = Annotated[
    bool,
    typer.Option(
        "--fetch",
        help="Fetch first what is missing of the symbols; what no champion was trained on, the newest forecasts.",
    ),
]
SourceOfNew = Annotated[
    str | None,
    typer.Option(
        "--source",
        help="With --fetch, of symbols that are not stored yet: yahoo, sample or synthetic; by default the source of "
        "all that are stored, else yahoo.",
        show_default=False,
    ),
]
Full = Annotated[
    bool, typer.Option("--full", help="Ask for whole histories again, to find corrections of the distant past.")
]
Files = Annotated[
    Path | None, typer.Option("--files", help="A CSV or Parquet file, or a folder of them, instead of a source.")
]
Prices = Annotated[
    str | None, typer.Option(help="What the files' prices are: traded, split or total (adjusted); never guessed.")
]
Calendar = Annotated[
    str | None,
    typer.Option(help="Exchange calendar of the files, such as XNYS or 24/7; by default by symbol."),
]
Currency = Annotated[
    str | None,
    typer.Option(
        help="Money that the files' prices are in, such as EUR or GBp (pence); USD for US symbols.", show_default=False
    ),
]
DayFirst = Annotated[
    bool | None, typer.Option("--day-first/--month-first", help="How the files mean 02/03/2024.", show_default=False)
]
Decimal = Annotated[str | None, typer.Option(help="Decimal mark of the files, where they leave it open: . or ,")]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Show everything, refuse every action.")]
Public = Annotated[
    bool,
    typer.Option("--public", help="Serve others too: who looks signs in with an address that is listed."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHO",
        help="With --public: an e-mail address that may look, or a file with one on each line; repeatable.",
    ),
]
Operator = Annotated[
    list[str] | None,
    typer.Option(metavar="WHO", help="With --public: an address, or a file of them, that may also act; repeatable."),
]
Secrets = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --public: the secrets.toml that says how people sign in; ~/.streamlit/secrets.toml by default.",
        show_default=False,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="IP address to listen on: 127.0.0.1, or with --public every one of this machine's, unless told otherwise.",
        show_default=False,
    ),
]
