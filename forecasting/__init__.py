"""tickercast's engine: `from forecasting import ...`.

The public names, resolved when first used: importing this package loads neither torch nor pandas.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "forecasting.admission": ["Admission", "find_admission", "vouched_address"],
    "forecasting.background": ["Ending", "Job", "cancel_job", "job_at_work", "last_ending", "start_job"],
    "forecasting.bars": ["PriceSeries", "make_series", "normalize_bars", "validate_bars"],
    "forecasting.calibration_charts": ["pit_figure"],
    "forecasting.calls": ["Call", "count_pit", "find_calls", "read_call", "read_levels", "read_scored"],
    "forecasting.cards": ["card_markdown", "make_card", "read_models"],
    "forecasting.chain": ["Head"],
    "forecasting.completeness": ["count_months"],
    "forecasting.charts": ["forecast_figure", "price_text"],
    "forecasting.config": [
        "LEVELS",
        "REPORT_HORIZONS",
        "BacktestConfig",
        "CalibrationConfig",
        "NetworkConfig",
        "Recipe",
        "TrainingConfig",
    ],
    "forecasting.errors": ["TickercastError"],
    "forecasting.evaluation.baselines": ["RandomWalk", "make_baselines"],
    "forecasting.evaluation.audit.leakage": ["AuditReport"],
    "forecasting.evaluation.comparison": ["Comparison", "score_backtest"],
    "forecasting.evaluation.exhibits": ["Exhibit"],
    "forecasting.evaluation.finished": ["find_report", "read_backtests"],
    "forecasting.evaluation.plan": ["BacktestPlan", "make_plan"],
    "forecasting.evaluation.report": ["BacktestReport", "load_report", "save_backtest"],
    "forecasting.evaluation.verdicts": ["Verdict", "make_headline", "make_verdicts"],
    "forecasting.evaluation.walkforward": ["Backtest", "walk_forward"],
    "forecasting.evaluation.workers": ["Workers"],
    "forecasting.evening_report": ["EveningReport", "last_report"],
    "forecasting.exports.files": ["csv_text"],
    "forecasting.exports.forecasts": ["long_table", "wide_table"],
    "forecasting.exports.validation": ["check_file"],
    "forecasting.forecasts": ["Forecast", "Forecaster", "RollingForecast", "explain_flags", "flags_of"],
    "forecasting.holdings": ["basis_of", "read_holdings"],
    "forecasting.ingestion.collector": ["fetch_bars", "make_provider", "source_of_new"],
    "forecasting.ingestion.files": ["FileProvider", "read_bars"],
    "forecasting.ingestion.quality": ["check_quality"],
    "forecasting.instruments": ["EMBEDDED_SOURCES", "Instrument", "normalize_symbol", "split_symbols"],
    "forecasting.issued": ["IssuedForecast", "range_table", "read_earlier", "read_issued"],
    "forecasting.jobs": [
        "audit_model",
        "backtest_model",
        "fetch_prices",
        "issue_forecasts",
        "repeat_backtest",
        "run_job",
        "score_matured",
        "train_model",
    ],
    "forecasting.ledger": ["Ledger"],
    "forecasting.ledger_rows": ["forecast_of"],
    "forecasting.model.bundle": ["load_model", "save_model"],
    "forecasting.model.estimators": ["RNNClassifier", "RNNRegressor"],
    "forecasting.model.forecaster": ["RNNForecaster"],
    "forecasting.model.manifest": ["read_manifest"],
    "forecasting.outlooks": ["OUTLOOK_COLUMNS", "read_outlooks"],
    "forecasting.price_charts": ["closes_figure", "completeness_figure"],
    "forecasting.promotions": ["promote_model", "rollback_model"],
    "forecasting.records": ["running_job"],
    "forecasting.registry": ["Registry"],
    "forecasting.replaying": ["replay"],
    "forecasting.retraining": ["retrain"],
    "forecasting.rolling": ["rolling_coverage", "skill_to_date"],
    "forecasting.score_charts": ["percent"],
    "forecasting.screening": ["SCREENS", "outlook_csv", "screen_outlooks", "sum_up_outlooks"],
    "forecasting.scoring": ["ScoreReport", "Scores"],
    "forecasting.standings": ["read_decisions", "read_standings"],
    "forecasting.store": ["PriceStore"],
    "forecasting.track_charts": ["rolling_coverage_figure", "skill_to_date_figure"],
    "forecasting.track_record": ["ALL_MODELS", "first_issued", "make_track_record", "read_track_record"],
    "forecasting.training_charts": ["training_figure"],
    "forecasting.universe": ["Universe", "make_universe", "read_universe"],
    "forecasting.workspace": ["Workspace", "find_workspace"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'forecasting' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
