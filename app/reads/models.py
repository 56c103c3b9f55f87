"""What the view of models reads, cached by the workspace's revision."""

from typing import Any

import pandas as pd
import streamlit as st
from state import Source

from forecasting import (
    PriceStore,
    Registry,
    TickercastError,
    make_card,
    read_decisions,
    read_manifest,
    read_standings,
)


@st.cache_data(max_entries=4, show_spinner="Reading the models")
def standings(source: Source) -> pd.DataFrame:
    """Return every model of every universe."""
    return read_standings(source.workspace)


@st.cache_data(max_entries=4, show_spinner=False)
def decisions(source: Source) -> pd.DataFrame:
    """Return all that was decided about models."""
    return read_decisions(source.workspace)


@st.cache_data(max_entries=32, show_spinner=False)
def card(source: Source, model_id: str) -> dict[str, Any]:
    """Return a model's card."""
    return make_card(source.workspace, model_id)


@st.cache_data(max_entries=32, show_spinner=False)
def history(source: Source, model_id: str) -> list[dict[str, Any]]:
    """Return how a model's training went, by epoch."""
    return list(read_manifest(source.workspace.models, model_id)["history"])


@st.cache_data(max_entries=8, show_spinner=False)
def before_champion(source: Source, universe: str) -> tuple[str | None, str]:
    """Return the model that a rollback of a universe leads back to; None, and why, where there is none."""
    try:
        return Registry(source.workspace.models).before_champion(universe).model_id, ""
    except TickercastError as error:
        return None, str(error)


@st.cache_data(max_entries=8, show_spinner=False)
def trainable(source: Source) -> dict[str, tuple[str, ...]]:
    """Return what a model can be trained on: the symbols of each universe that has models, by its name."""
    return {name: universe.symbols for name, universe in Registry(source.workspace.models).universes().items()}


@st.cache_data(max_entries=8, show_spinner=False)
def has_prices(source: Source) -> bool:
    """Return whether there is anything to train on."""
    return bool(PriceStore(source.workspace.prices).instruments())
