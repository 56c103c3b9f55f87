"""The verbs of the command line, in the order of `tickercast --help`.

Heavy packages are imported inside the verbs, so that help answers at once.
"""

import typer

from forecasting.cli import evaluation, evenings, exports, forecasts, ledger, models, prices

app = typer.Typer(
    name="tickercast",
    help="Honest probabilistic stock price forecasts, scored against doing nothing.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 partly done or stale, 4 already running.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _verb, _example in (
    (models.run, "tickercast run AAPL MSFT"),
    (prices.fetch, "tickercast fetch AAPL MSFT VOD.L"),
    (prices.quality, "tickercast quality AAPL"),
    (models.train, "tickercast train AAPL MSFT --cell gru"),
    (evaluation.backtest, "tickercast backtest --test-sessions 504"),
    (evaluation.audit, "tickercast audit AAPL MSFT"),
    (forecasts.forecast, "tickercast forecast AAPL"),
    (exports.export, "tickercast export --to ~/forecasts"),
    (exports.validate, "tickercast validate latest.csv"),
    (ledger.score, "tickercast score --view now"),
    (evenings.retrain, "tickercast retrain --universe us20"),
    (evenings.replay, "tickercast replay --from 2018-01-02 --to 2018-12-31"),
    (evenings.schedule, "tickercast schedule --universe us20"),
    (prices.status, "tickercast status --json"),
    (forecasts.dashboard, "tickercast dashboard --port 8502"),
):
    app.command(epilog=f"Example: {_example}")(_verb)
app.add_typer(models.models, name="models")
app.add_typer(ledger.app, name="ledger")
