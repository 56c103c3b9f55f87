"""Results as text for people."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.padding import Padding

from forecasting.candidates import TrainingReport
from forecasting.cli.console import typed
from forecasting.cli.printing import count, make_table, print_parts, print_unbroken, show_files, show_named
from forecasting.config import report_horizons
from forecasting.currencies import currency_text
from forecasting.evaluation.audit.leakage import AuditReport
from forecasting.evaluation.report import BacktestReport
from forecasting.evaluation.verdicts import make_headline
from forecasting.exports.validation import FileCheck
from forecasting.forecasts import REPORT_LIKELY, Forecast, explain_flags
from forecasting.ingestion.quality import QualityReport
from forecasting.instruments import EMBEDDED_SOURCES
from forecasting.jobs import RunReport
from forecasting.steps import FetchReport, ForecastReport

_BASIS_POINTS = 1e4
_MOST_FINDINGS = 10  # shown of a symbol
_MOST_SYMBOLS = 10  # named of those in one currency
_MARKS = {REPORT_LIKELY: "+"}  # of a session with a flag; other flags are of all sessions


def show_fetch(report: FetchReport) -> None:
    """Print what a fetch added and changed."""
    print_parts(
        f"{count(report.added, 'bar')} added or corrected for {count(len(report.symbols), 'symbol')}; "
        f"{count(report.quarantined, 'row')} quarantined"
    )
    if report.current:
        print_parts(f"up to date, no session has completed since: {', '.join(report.current)}")
    show_named("restated", report.restated)
    show_named("not fetched", {symbol: failed.cause for symbol, failed in report.failures.items()})


def show_backtest(report: BacktestReport) -> None:
    """Print the comparison by horizon, the strongest baselines, the verdict and what is suspicious."""
    symbols = f"{', '.join(report.universe[:4])}{' …' if len(report.universe) > 4 else ''}"
    table = make_table(["ahead", "network", "RW EWMA", "gain", "90% interval", "p", "80%", "90%", "verdict"])
    strongest = make_table(["ahead", "gain", "p"])
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
    print_parts(
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
    table = make_table(["origins", "futures", "values compared", "leak"])
    table.add_column("checked")
    for check in report.checks:
        found = check.leak.difference.stage if check.leak else "none"
        table.add_row(str(len(check.instants)), str(check.copies), f"{check.values:,}", found, check.name)
    print_parts(
        f"Audit of {report.subject} on {symbols}",
        "What closes after an origin, or was known later, is replaced by noise, removed, and continued by more "
        "noise; nothing up to the origin may change.\n",
        table,
        "",
    )
    show_named("left out", report.left_out)
    if report.leak is None:
        print_parts(report.summary())


def show_forecasts(forecasts: Mapping[str, Forecast]) -> None:
    """Print price quantiles at the report horizons, a table per symbol, and what each forecast says of itself."""
    levels = (0.05, 0.1, 0.5, 0.9, 0.95)
    for symbol, forecast in sorted(forecasts.items()):
        table = make_table(["ahead", "session", *(f"{level:.0%}" for level in levels), "P(up)"])
        flags = forecast.flags()
        for (target, row), raised in zip(forecast.frame().iterrows(), flags, strict=True):
            if row["horizon"] in report_horizons(forecast.horizon):
                marks = ("*" if row["estimated"] else "") + "".join(_MARKS.get(flag, "") for flag in raised)
                day = f"{target.date()}{marks}"
                prices = (f"{row[level]:,.2f}" if level in row else "" for level in levels)
                table.add_row(str(row["horizon"]), day, *prices, f"{row['prob_up']:.0%}")
        print_parts(
            f"\n{symbol}: last close {forecast.last_close:,.2f} {forecast.instrument.currency_in_words} on "
            f"{forecast.origin.date()}; price quantiles"
            + (" (* the session is estimated)" if forecast.estimated.any() else ""),
            table,
            *(
                f"{_MARKS.get(flag, '')} {sentence}".lstrip()
                for flag, sentence in explain_flags(flags, forecast.target_sessions, forecast.report_widening).items()
            ),
        )


def show_issue(report: ForecastReport) -> None:
    """Print what was issued and where it was written."""
    show_forecasts(report.forecasts)
    print_parts(f"{report.rows} new rows in the ledger by model {report.model_id}")
    print_unbroken(f"ledger head {report.head}")
    if report.outsiders:
        print_parts(f"not among what the model was trained on: {', '.join(report.outsiders)}")
    show_named("left out or not fetched", report.failures)
    show_named("stale", report.stale)
    show_files(report.files)


def show_training(report: TrainingReport, workspace: Path | None) -> None:
    """Print which model serves now, why, and how to choose another one."""
    how = "trained" if report.trained else "there already, from the same recipe and prices: nothing was trained"
    serves = report.champion == report.model_id
    print_parts(f"model {report.model_id} ({how}) {'serves' if serves else 'is a candidate for'} {report.universe}")
    print_parts(report.reason)
    if not serves:
        by_hand = f"models promote {report.model_id} --universe {shlex.quote(report.universe)}"
        print_unbroken(f"{report.champion} serves; to choose otherwise: {typed(by_hand, workspace)}")
    if report.pruned:
        print_parts(f"pruned, never served and long replaced: {', '.join(report.pruned)}")


def show_models(rows: Sequence[Mapping[str, Any]], workspace: Path | None) -> None:
    """Print the models of each universe, and what was decided about them."""
    if not rows:
        print_unbroken(f"no model yet; next: {typed('train', workspace)}")
    for universe in dict.fromkeys(row["universe"] for row in rows):
        own = [row for row in rows if row["universe"] == universe]
        print_unbroken(f"{universe or 'not in the registry'}: {count(len(own), 'model')}")
        for row in own:
            recipe = "damaged" if row["damaged"] else f"{row['cell']}, horizon {row['horizon']}, seed {row['seed']}"
            print_unbroken(f"  {row['model_id']}  {row['state']}  ({recipe})")
            if row["damaged"] or row["reason"]:
                print_parts(Padding(row["damaged"] or row["reason"], (0, 0, 0, 4)))


def show_run(report: RunReport, workspace: Path | None) -> None:
    """Print the main job's results, and what to try next."""
    show_backtest(report.backtest)
    print_parts("")
    show_fetch(report.fetched)
    show_training(report.training, workspace)
    show_issue(report.issued)
    examples = {
        typed("dashboard", workspace): "look at the forecasts",
        typed(f"forecast '{sorted(report.issued.forecasts)[0]}'", workspace): "print them again",
        typed("run AAPL MSFT", None): "the same with live prices",
        typed("status", workspace): "what the workspace holds",
    }
    width = max(map(len, examples))
    print_unbroken("", "Next:", *(f"  {command:{width}}  {what}" for command, what in examples.items()))


def show_check(report: FileCheck) -> None:
    """Print what is wrong with a file, or that nothing is."""
    about = f"{report.path}: {report.schema}, {count(report.rows, 'row')}"
    if report.valid:
        print_unbroken(f"{about}: valid")
        return
    print_unbroken(f"{about}: {count(report.count, 'problem')}", *(problem.sentence for problem in report.problems))
    if more := report.count - len(report.problems):
        print_unbroken(f"and {more} more")


def show_status(status: Mapping[str, Any], workspace: Path | None) -> None:
    """Print what a workspace holds."""
    print_unbroken(f"workspace {status['workspace']}, revision {status['revision']}")
    if job := status["running"]:
        at = job["progress"]
        print_parts(
            f"running: {job['verb']} since {job['started'][:16].replace('T', ' ')} UTC, process {job['pid']}"
            + (f", {at['what']} {at['done'] / max(at['total'], 1):.0%}" if at else "")
        )
    if not status["symbols"]:
        print_unbroken(f"empty; next: {typed('run --source sample', workspace)}")
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
    table = make_table(columns.values())
    for row in status["symbols"]:
        table.add_row(*("none" if row[c] is None else str(row[c]) for c in columns))
    print_parts(
        table, "", "gaps: sessions without any bar; held: sessions in quarantine (tickercast quality names both)"
    )
    symbols_in: dict[str, list[str]] = {}
    for row in status["symbols"]:
        if row["currency"]:
            symbols_in.setdefault(row["currency"], []).append(row["symbol"])
    print_parts(*(f"prices in {currency_text(code)}: {_few(symbols)}" for code, symbols in symbols_in.items()))
    show_named("last fetch failed", {row["symbol"]: row["cause"] for row in status["symbols"] if row["cause"]})
    serves = {c["model_id"]: f", serves {c['universe']} since {c['at'][:16]} UTC" for c in status["champions"]}
    print_parts("", *(f"model {model_id}{serves.get(model_id, '')}" for model_id in status["models"]))
    for backtest in status["backtests"]:
        print_parts("", backtest)


def show_quality(report: QualityReport, workspace: Path | None) -> None:
    """Print, per symbol, what its history is, its findings, their likely causes and what to try next."""
    for history in report.histories.to_dict("records"):
        symbol, findings = history["symbol"], report.findings[report.findings["symbol"] == history["symbol"]]
        held = findings[findings["severity"] == "quarantined"]
        flags = len(findings) - len(held)
        found = f"{held['bars'].sum()} rows quarantined, {flags} flag{'' if flags == 1 else 's'}"
        days = f"{history['first']:%Y-%m-%d} to {history['last']:%Y-%m-%d}, " if history["bars"] else ""
        print_unbroken(
            f"{symbol}: {history['source']}, {history['calendar']}, {currency_text(history['currency'])}, "
            f"{days}{history['bars']} bars, " + (found if len(findings) else "nothing found")
        )
        if len(findings):
            _show_findings(findings)
            print_unbroken(*_mending(symbol, history["source"], set(findings["rule"]), workspace), "")


def _show_findings(findings: pd.DataFrame) -> None:
    """Print a symbol's findings as a table, where there are many the first of every rule, and each cause once."""
    turns = findings.groupby("rule").cumcount().sort_values(kind="stable")
    shown = findings.loc[turns.index[:_MOST_FINDINGS].sort_values()]
    table = make_table(["finding", "first", "last", "bars"])
    table.add_column("found")
    for row in shown.to_dict("records"):
        table.add_row(
            row["rule"], f"{row['first']:%Y-%m-%d}", f"{row['last']:%Y-%m-%d}", str(row["bars"]), row["found"]
        )
    print_parts(table)
    if len(findings) > len(shown):
        print_parts(f"and {len(findings) - len(shown)} more; --json has all")
    for row in shown.drop_duplicates(["rule", "likely_cause"]).to_dict("records"):
        held = ", quarantined" if row["severity"] == "quarantined" else ""
        print_parts(f"likely cause of {row['rule']}{held}: {row['likely_cause']}")


def _mending(symbol: str, source: str, rules: set[str], workspace: Path | None) -> list[str]:
    if source in EMBEDDED_SOURCES or rules <= {"stale_run"}:
        return []
    if source == "files":
        return ["next: mend the file, then fetch it again"]
    return [f"next: {typed(f'fetch {symbol} --full', workspace)}"]


def _few(symbols: Sequence[str]) -> str:
    """Return symbols by name, of many the first and how many more there are."""
    more = len(symbols) - _MOST_SYMBOLS
    return ", ".join(symbols[:_MOST_SYMBOLS]) + (f" and {more} more" if more > 0 else "")
