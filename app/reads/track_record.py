"""What the track record's view reads, cached by the workspace's revision."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st
from state import Source

from forecasting import (
    ALL_MODELS,
    REPORT_HORIZONS,
    Ledger,
    Scores,
    count_pit,
    find_calls,
    first_issued,
    make_track_record,
    read_levels,
    read_scored,
    rolling_coverage,
    skill_to_date,
)

INTERVALS = {"50": 0.5, "80": 0.8, "90": 0.9, "95": 0.95}


@dataclass(frozen=True)
class Chosen:
    """Of which forecasts the record is shown; None stands for all of them."""

    mode: str
    view: str
    model_id: str | None
    symbol: str | None
    first: pd.Timestamp
    last: pd.Timestamp


@dataclass(frozen=True)
class Record:
    """A track record: by model and horizon, over time, by quantile, and its extremes."""

    table: pd.DataFrame
    rolling: dict[tuple[int, str], pd.DataFrame]
    skill: pd.DataFrame
    pit: dict[int, pd.DataFrame]
    calls: dict[int, pd.DataFrame]

    @property
    def pooled(self) -> pd.DataFrame:
        """The record of all models, by horizon."""
        return self.table[self.table["model_id"] == ALL_MODELS].set_index("horizon", drop=False)


@st.cache_data(max_entries=8, show_spinner=False)
def issued_rows(source: Source) -> int:
    """Return how many rows the ledger has."""
    return Ledger(source.workspace.ledger).head().rows


@st.cache_data(max_entries=8, show_spinner="Reading what was scored")
def scored(source: Source, view: str) -> pd.DataFrame:
    """Return of which symbols and origins there are scores, by mode and model."""
    return read_scored(Scores(source.workspace.scores), view, REPORT_HORIZONS)


@st.cache_data(max_entries=32, show_spinner="Reading the track record")
def record(source: Source, chosen: Chosen) -> Record:
    """Return the track record of the forecasts chosen, at the horizons that are reported."""
    scores = Scores(source.workspace.scores).read(
        chosen.view,
        chosen.symbol and [chosen.symbol],
        chosen.model_id,
        REPORT_HORIZONS,
        mode=chosen.mode,
        first=chosen.first,
        last=chosen.last,
    )
    pooled = first_issued(scores)
    levels = read_levels(Ledger(source.workspace.ledger), pooled)
    parts = {int(horizon): part for horizon, part in pooled.groupby("horizon")}
    return Record(
        make_track_record(scores, list(parts)),
        {(h, name): rolling_coverage(part, share) for h, part in parts.items() for name, share in INTERVALS.items()},
        skill_to_date(pooled, list(parts)),
        {h: count_pit(part, levels) for h, part in parts.items()},
        {h: find_calls(part, levels) for h, part in parts.items()},
    )
