"""Which models there are, which of them serves, and why."""

import state
import streamlit as st

source = state.current()
st.title("Models")
state.explain_empty(source)
