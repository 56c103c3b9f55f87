"""Results as plain values for JSON."""

from typing import Any

import numpy as np
import pandas as pd

from forecasting.candidates import TrainingReport
from forecasting.chain import Head
from forecasting.evaluation.audit.leakage import AuditReport, Leak
from forecasting.evaluation.report import BacktestReport
from forecasting.exports.validation import FileCheck
from forecasting.forecasts import Forecast
from forecasting.ingestion.quality import QualityReport
from forecasting.jobs import RunReport
from forecasting.replaying import ReplayReport
from forecasting.scoring import ScoreReport
from forecasting.steps import FetchReport, ForecastReport


def fetch_values(report: FetchReport) -> dict[str, Any]:
    """Return a fetch as JSON values."""
    return {
        "symbols": list(report.symbols),
        "current": list(report.current),
        "added": report.added,
        "quarantined": report.quarantined,
        "restated": dict(report.restated),
        "failures": {symbol: {"kind": f.kind, "cause": f.cause} for symbol, f in report.failures.items()},
        "retry_at": report.retry_at and report.retry_at.isoformat(),
    }


def quality_values(report: QualityReport) -> list[dict[str, Any]]:
    """Return the findings as JSON values, dates as ISO 8601."""
    days = {end: report.findings[end].dt.strftime("%Y-%m-%d") for end in ("first", "last")}
    return report.findings.assign(**days).to_dict("records")


def backtest_values(report: BacktestReport) -> dict[str, Any]:
    """Return a backtest as JSON values."""
    verdicts = [{"horizon": v.horizon, "verdict": v.word, "sentence": v.sentence} for v in report.verdicts()]
    return {
        "backtest_id": report.backtest_id,
        "universe": list(report.universe),
        "excluded": dict(report.excluded),
        "test_first": report.test_first,
        "test_last": report.test_last,
        "scores": report.scores.to_dict("records"),
        "verdicts": verdicts,
        "summary": report.summary(),
        "alarms": list(report.alarms),
        "report": str(report.page),
    }


def audit_values(report: AuditReport) -> dict[str, Any]:
    """Return an audit as JSON values; a check without a leak has null there."""
    checks = [
        {
            "name": check.name,
            "origins": [instant.isoformat() for instant in check.instants],
            "futures": check.copies,
            "values": check.values,
            "leak": check.leak and _leak_values(check.leak),
        }
        for check in report.checks
    ]
    return {
        "subject": report.subject,
        "symbols": list(report.symbols),
        "left_out": dict(report.left_out),
        "checks": checks,
        "summary": report.summary(),
    }


def _leak_values(leak: Leak) -> dict[str, Any]:
    found = leak.difference
    return {
        "stage": found.stage,
        "symbol": found.symbol or None,
        "session": found.session and str(found.session.date()),
        "what": found.what,
        "before": found.before,
        "after": found.after,
        "future_of": leak.instant.isoformat(),
        "future_was": leak.how,
        "sentence": leak.sentence,
    }


def check_values(report: FileCheck) -> dict[str, Any]:
    """Return what became of checking a file as JSON values."""
    return {
        "file": str(report.path),
        "schema": report.schema,
        "rows": report.rows,
        "valid": report.valid,
        "problems": [vars(problem) for problem in report.problems],
        "count": report.count,
    }


def issue_values(report: ForecastReport) -> dict[str, Any]:
    """Return issued forecasts as JSON values."""
    return {
        "model_id": report.model_id,
        "forecasts": {symbol: forecast_values(f) for symbol, f in report.forecasts.items()},
        "ledger_rows": report.rows,
        "ledger_head": head_values(report.head),
        "files": [str(path) for path in report.files],
        "failures": dict(report.failures),
        "stale": dict(report.stale),
        "outsiders": list(report.outsiders),
    }


def head_values(head: Head) -> dict[str, Any]:
    """Return the ledger's head as JSON values."""
    return head._asdict()


def score_values(report: ScoreReport, record: pd.DataFrame) -> dict[str, Any]:
    """Return what was scored, and the track record, as JSON values."""
    days = {end: record[end].astype("datetime64[us]").dt.strftime("%Y-%m-%d") for end in ("first", "last")}
    return {
        "matured": report.matured,
        "restated": report.restated,
        "unpriced": list(report.unpriced),
        "ledger_head": head_values(report.head),
        "record": record.assign(**days).to_dict("records"),
    }


def replay_values(report: ReplayReport, record: pd.DataFrame) -> dict[str, Any]:
    """Return what was replayed, and the track record it adds to."""
    return {
        "universe": report.universe,
        "first": str(report.sessions[0].date()),
        "last": str(report.sessions[-1].date()),
        "sessions": len(report.sessions),
        "prices_known_at": report.known_at,
        "trainings": [
            {"session": str(t.session.date()), "model_id": t.model_id, "reason": t.reason} for t in report.trainings
        ],
        "new_rows": report.rows,
        **score_values(report.scored, record),
    }


def forecast_values(forecast: Forecast) -> dict[str, Any]:
    """Return one forecast as JSON values: price quantiles by target session, and what it says of itself."""
    frame: pd.DataFrame = forecast.frame().reset_index()
    frame["flags"] = [list(flags) for flags in forecast.flags()]
    frame["report_widening"] = np.nan if forecast.report_widening is None else forecast.report_widening
    frame["target_session"] = frame["target_session"].dt.strftime("%Y-%m-%d")
    return {
        "origin": str(forecast.origin.date()),
        "last_close": forecast.last_close,
        "currency": forecast.instrument.currency,
        "sessions": frame.rename(columns=str).to_dict("records"),
    }


def training_values(report: TrainingReport) -> dict[str, Any]:
    """Return what came of a training as JSON values."""
    return {
        "universe": report.universe,
        "model_id": report.model_id,
        "trained": report.trained,
        "champion": report.champion,
        "promoted": report.promoted,
        "reason": report.reason,
        "numbers": dict(report.numbers),
        "pruned": list(report.pruned),
    }


def run_values(report: RunReport) -> dict[str, Any]:
    """Return the main job as JSON values."""
    return {
        "universe": report.universe.name,
        "symbols": list(report.universe.symbols),
        "model_id": report.model_id,
        "fetch": fetch_values(report.fetched),
        "training": training_values(report.training),
        "backtest": backtest_values(report.backtest),
        "forecast": issue_values(report.issued),
    }
