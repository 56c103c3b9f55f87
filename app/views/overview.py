"""The universe at a glance."""

import state
import streamlit as st

source = state.current()
st.title("Overview")
state.explain_empty(source)
