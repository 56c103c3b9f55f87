"""What prices are stored, and what is wrong with them."""

import state
import streamlit as st

source = state.current()
st.title("Prices")
state.explain_empty(source)
