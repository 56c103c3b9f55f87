"""How a recipe did over past years, against doing nothing."""

import state
import streamlit as st

source = state.current()
st.title("Backtest")
state.explain_empty(source)
