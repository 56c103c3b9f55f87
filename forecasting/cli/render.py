"""Results as text for people."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from forecasting.chain import Head
from forecasting.cli.console import typed
from forecasting.config import report_horizons
from forecasting.currencies import currency_text
from forecasting.evaluation.audit.leakage import AuditReport
from forecasting.evaluation.report import BacktestReport
from forecasting.evaluation.verdicts import make_headline
from forecasting.forecasts import Forecast
from forecasting.ingestion.quality import QualityReport
from forecasting.instruments import EMBEDDED_SOURCES
from forecasting.jobs import RunReport
from forecasting.scoring import ScoreReport
from forecasting.steps import FetchReport, ForecastReport
from forecasting.track_record import ALL_MODELS

_BASIS_POINTS = 1e4
_MOST_FINDINGS = 10  # shown of a symbol
_MOST_MODELS = 3  # of which the track record is printed
_MOST_SYMBOLS = 10  # named of those in one currency


def _print(*parts: Any) -> None:
    console = Console(highlight=False, markup=False)
    for part in parts:
        console.print(part)


def _print_unbroken(*lines: str) -> None:
    """Print lines that hold paths or commands, which are never broken in two."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in lines:
        console.print(line)


def _table(columns: Iterable[str]) -> Table:
    """Return an empty table of right-aligned columns; keep all of them together within 80 characters."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def show_fetch(report: FetchReport) -> None:
    """Print what a fetch added and changed."""
    _print(
        f"{_count(report.added, 'bar')} added or corrected for {_count(len(report.symbols), 'symbol')}; "
        f"{_count(report.quarantined, 'row')} quarantined"
    )
    if report.current:
        _print(f"up to date, no session has completed since: {', '.join(report.current)}")
    _show_named("restated", report.restated)
    _show_named("not fetched", {symbol: failed.cause for symbol, failed in report.failures.items()})


def show_backtest(report: BacktestReport) -> None:
    """Print the comparison by horizon, the strongest baselines, the verdict and what is suspicious."""
    symbols = f"{', '.join(report.universe[:4])}{' …' if len(report.universe) > 4 else ''}"
    table = _table(["ahead", "network", "RW EWMA", "gain", "90% interval", "p", "80%", "90%", "verdict"])
    strongest = _table(["ahead", "gain", "p"])
    strongest.add_column("on the strongest baseline")
    for row in make_headline(report.scores).to_dict("records"):
        ahead = str(row["horizon"])
        table.add_row(
            ahead,
            *(f"{row[crps] * _BASIS_POINTS:.2f}" for crps in ("crps", "crps_judge")),
            f"{row['skill']:+.1%}",
            f"{row['low']:+.1%} to {row['high']:+.1%}",
            f"{row['p']:.3f}",
            *(f"{row[f'coverage_{percent}']:.1%}" for percent in (80, 90)),
            row["verdict"],
        )
        strongest.add_row(ahead, f"{row['skill_strongest']:+.1%}", f"{row['p_strongest']:.3f}", row["strongest"])
    _print(
        f"Walk-forward test of {symbols}: every origin, {report.test_first} to {report.test_last}",
        "CRPS in basis points of log return, lower is better. RW EWMA: a random walk with EWMA volatility, as it is or "
        "calibrated, whichever is better. Gain: CRPS below it. 80%, 90%: the share of outcomes inside these "
        "intervals.\n",
        table,
        "",
        strongest,
        "\n" + report.summary(),
        *report.alarms,
    )


def show_audit(report: AuditReport) -> None:
    """Print what an audit altered and compared, and whether it found a leak."""
    symbols = f"{', '.join(report.symbols[:4])}{' …' if len(report.symbols) > 4 else ''}"
    table = _table(["origins", "futures", "values compared", "leak"])
    table.add_column("checked")
    for check in report.checks:
        found = check.leak.difference.stage if check.leak else "none"
        table.add_row(str(len(check.instants)), str(check.copies), f"{check.values:,}", found, check.name)
    _print(
        f"Audit of {report.subject} on {symbols}",
        "What closes after an origin, or was known later, is replaced by noise, removed, and continued by more "
        "noise; nothing up to the origin may change.\n",
        table,
        "",
    )
    _show_named("left out", report.left_out)
    if report.leak is None:
        _print(report.summary())


def show_forecasts(forecasts: Mapping[str, Forecast]) -> None:
    """Print price quantiles at the report horizons, a table per symbol."""
    levels = (0.05, 0.1, 0.5, 0.9, 0.95)
    for symbol, forecast in sorted(forecasts.items()):
        table = _table(["ahead", "session", *(f"{level:.0%}" for level in levels), "P(up)"])
        for target, row in forecast.frame().iterrows():
            if row["horizon"] in report_horizons(forecast.horizon):
                day = f"{target.date()}{'*' if row['estimated'] else ''}"
                prices = (f"{row[level]:,.2f}" if level in row else "" for level in levels)
                table.add_row(str(row["horizon"]), day, *prices, f"{row['prob_up']:.0%}")
        _print(
            f"\n{symbol}: last close {forecast.last_close:,.2f} {forecast.instrument.currency_in_words} on "
            f"{forecast.origin.date()}; price quantiles"
            + (" (* the session is estimated)" if forecast.estimated.any() else ""),
            table,
        )


def show_issue(report: ForecastReport) -> None:
    """Print what was issued and where it was written."""
    show_forecasts(report.forecasts)
    _print(f"{report.rows} new rows in the ledger by model {report.model_id}")
    _print_unbroken(f"ledger head {report.head}")
    _show_named("left out", report.failures)
    _show_named("stale", report.stale)
    show_files(report.files)


def show_scores(report: ScoreReport, record: pd.DataFrame, view: str) -> None:
    """Print what was scored, and the track record by model and horizon, live and replay apart."""
    restated = f", {_count(report.restated, 'score')} changed with their prices" if report.restated else ""
    _print(f"{_count(report.matured, 'forecast')} matured since the last time{restated}")
    known = {"first": "first known", "now": "known now"}[view]
    _print(f"track record by prices as {known}" if len(record) else "no forecast has matured yet")
    for mode, of_mode in record.groupby("mode", sort=False):
        by_model = dict(list(of_mode.groupby("model_id")))
        pooled = by_model.pop(ALL_MODELS)
        models = sorted(by_model, key=lambda model_id: by_model[model_id]["first"].max(), reverse=True)
        shown = {f"model {model_id}": by_model[model_id] for model_id in models[:_MOST_MODELS]}
        for name, rows in (shown if len(models) == 1 else {"all models": pooled, **shown}).items():
            span = f"origins {rows['first'].min():%Y-%m-%d} to {rows['last'].max():%Y-%m-%d}"
            _print("", f"{str(mode).capitalize()}, {name}: {span}", "", _record_table(rows))
        if (more := len(models) - _MOST_MODELS) > 0:
            _print("", f"and {_count(more, 'earlier model')}; --model ID shows one, --json all")
    if len(record):
        _print(
            "\nGain: CRPS below that of the random walk issued with the forecasts. 80%, 90%: share of outcomes inside "
            "these intervals. In brackets: 90% intervals, from 20 origins on and four times as many as sessions ahead."
        )
    _show_named("no prices", dict.fromkeys(report.unpriced, "in the ledger, not in the store; not scored"))
    _print_unbroken(f"ledger head {report.head}")


def _record_table(rows: pd.DataFrame) -> Table:
    def with_interval(row: dict[str, Any], name: str, suffix: str, style: str) -> str:
        low, high = row[f"low{suffix}"], row[f"high{suffix}"]
        interval = "too few" if pd.isna(low) else f"{low:{style}}, {high:{style}}"
        return "" if pd.isna(row[name]) else f"{row[name]:{style}} [{interval}]"

    table = _table(["ahead", "origins", "gain", "p", "80%", "90%"])
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
    _print_unbroken(f"{_count(head.rows, 'record')}, each as it was issued", f"ledger head {head}")


def show_run(report: RunReport, workspace: Path | None) -> None:
    """Print the main job's results, and what to try next."""
    show_backtest(report.backtest)
    _print("")
    show_fetch(report.fetched)
    show_issue(report.issued)
    examples = {
        typed("dashboard", workspace): "look at the forecasts",
        typed(f"forecast '{sorted(report.issued.forecasts)[0]}'", workspace): "print them again",
        typed("run AAPL MSFT", None): "the same with live prices",
        typed("status", workspace): "what the workspace holds",
    }
    width = max(map(len, examples))
    _print_unbroken("", "Next:", *(f"  {command:{width}}  {what}" for command, what in examples.items()))


def show_files(files: Iterable[Any]) -> None:
    """Print the paths of written files."""
    _print_unbroken(*(f"wrote {path}" for path in files))


def show_status(status: Mapping[str, Any], workspace: Path | None) -> None:
    """Print what a workspace holds."""
    _print_unbroken(f"workspace {status['workspace']}, revision {status['revision']}")
    if not status["symbols"]:
        _print_unbroken(f"empty; next: {typed('run --source sample', workspace)}")
        return
    columns = {
        "symbol": "symbol",
        "first": "first",
        "last": "last",
        "bars": "bars",
        "gaps": "gaps",
        "quarantined": "held",
        "fetched": "fetched, UTC",
        "last_forecast_from": "forecast",
    }
    table = _table(columns.values())
    for row in status["symbols"]:
        table.add_row(*("none" if row[c] is None else str(row[c]) for c in columns))
    _print(table, "", "gaps: sessions without any bar; held: sessions in quarantine (tickercast quality names both)")
    symbols_in: dict[str, list[str]] = {}
    for row in status["symbols"]:
        if row["currency"]:
            symbols_in.setdefault(row["currency"], []).append(row["symbol"])
    _print(*(f"prices in {currency_text(code)}: {_few(symbols)}" for code, symbols in symbols_in.items()))
    _show_named("last fetch failed", {row["symbol"]: row["cause"] for row in status["symbols"] if row["cause"]})
    serves = {c["model_id"]: f", serves {c['universe']} since {c['at'][:16]} UTC" for c in status["champions"]}
    _print("", *(f"model {model_id}{serves.get(model_id, '')}" for model_id in status["models"]))
    for backtest in status["backtests"]:
        _print("", backtest)


def show_quality(report: QualityReport, workspace: Path | None) -> None:
    """Print, per symbol, what its history is, its findings, their likely causes and what to try next."""
    for history in report.histories.to_dict("records"):
        symbol, findings = history["symbol"], report.findings[report.findings["symbol"] == history["symbol"]]
        held = findings[findings["severity"] == "quarantined"]
        flags = len(findings) - len(held)
        found = f"{held['bars'].sum()} rows quarantined, {flags} flag{'' if flags == 1 else 's'}"
        days = f"{history['first']:%Y-%m-%d} to {history['last']:%Y-%m-%d}, " if history["bars"] else ""
        _print_unbroken(
            f"{symbol}: {history['source']}, {history['calendar']}, {currency_text(history['currency'])}, "
            f"{days}{history['bars']} bars, " + (found if len(findings) else "nothing found")
        )
        if len(findings):
            _show_findings(findings)
            _print_unbroken(*_mending(symbol, history["source"], set(findings["rule"]), workspace), "")


def _show_findings(findings: pd.DataFrame) -> None:
    """Print a symbol's findings as a table, where there are many the first of every rule, and each cause once."""
    turns = findings.groupby("rule").cumcount().sort_values(kind="stable")
    shown = findings.loc[turns.index[:_MOST_FINDINGS].sort_values()]
    table = _table(["finding", "first", "last", "bars"])
    table.add_column("found")
    for row in shown.to_dict("records"):
        table.add_row(
            row["rule"], f"{row['first']:%Y-%m-%d}", f"{row['last']:%Y-%m-%d}", str(row["bars"]), row["found"]
        )
    _print(table)
    if len(findings) > len(shown):
        _print(f"and {len(findings) - len(shown)} more; --json has all")
    for row in shown.drop_duplicates(["rule", "likely_cause"]).to_dict("records"):
        held = ", quarantined" if row["severity"] == "quarantined" else ""
        _print(f"likely cause of {row['rule']}{held}: {row['likely_cause']}")


def _mending(symbol: str, source: str, rules: set[str], workspace: Path | None) -> list[str]:
    if source in EMBEDDED_SOURCES or rules <= {"stale_run"}:
        return []
    if source == "files":
        return ["next: mend the file, then fetch it again"]
    return [f"next: {typed(f'fetch {symbol} --full', workspace)}"]


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _few(symbols: Sequence[str]) -> str:
    """Return symbols by name, of many the first and how many more there are."""
    more = len(symbols) - _MOST_SYMBOLS
    return ", ".join(symbols[:_MOST_SYMBOLS]) + (f" and {more} more" if more > 0 else "")


def _show_named(what: str, causes: Mapping[str, str]) -> None:
    for symbol, cause in causes.items():
        _print(f"{what}: {symbol}: {cause}")
