"""Issued forecasts against what happened."""

import state
import streamlit as st

source = state.current()
st.title("Track record")
state.explain_empty(source)
