"""Jobs: order the steps over a workspace, record them, nothing else.

Each job holds the workspace's lock while it runs and publishes after each step, so that readers always
see a finished one. A symbol that fails is named and left out; the others go on.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.config import BacktestConfig, Progress, Recipe, no_progress
from forecasting.errors import DataError, TooFewBars
from forecasting.evaluation.baselines import make_baselines
from forecasting.evaluation.report import BacktestReport, save_backtest
from forecasting.evaluation.walkforward import score_backtest, walk_forward
from forecasting.exports import export_forecasts
from forecasting.forecasts import Forecast, Forecaster
from forecasting.ingestion.collector import Collection, fetch_bars, make_provider
from forecasting.ledger import Ledger
from forecasting.model.bundle import load_model, save_model
from forecasting.model.forecaster import RNNForecaster, minimum_bars
from forecasting.registry import Registry
from forecasting.sessions import last_complete_session
from forecasting.store import PriceStore
from forecasting.workspace import Workspace, write_json


@dataclass(frozen=True)
class Universe:
    """Symbols that share a model, under a name."""

    name: str
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class FetchReport:
    """What a fetch added, and why some symbols failed."""

    symbols: tuple[str, ...]
    added: int
    quarantined: int
    failures: Mapping[str, str]


@dataclass(frozen=True)
class IssueReport:
    """What a forecast job issued."""

    model_id: str
    forecasts: Mapping[str, Forecast]
    rows: int
    files: tuple[Path, ...]
    failures: Mapping[str, str]
    stale: Mapping[str, str]


@dataclass(frozen=True)
class RunReport:
    """The main job's results, step by step."""

    universe: Universe
    fetched: FetchReport
    backtest: BacktestReport
    issued: IssueReport
    seconds: Mapping[str, float] = field(default_factory=dict)
