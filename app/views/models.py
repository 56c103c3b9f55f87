"""Which models there are, which of them serves, and why."""

from functools import partial

import access
import elements
import meanings
import pandas as pd
import state
import streamlit as st
import work
from reads import models as reads

from forecasting import TickercastError, card_markdown, promote_model, rollback_model, training_figure

EVERYTHING, NOWHERE = "", "-"
WORDS = ("champion", "refresh", "CRPS", "skill", "p", "baselines", "loss", "gradient norm", "epoch")


def choose_universe(source: state.Source, table: pd.DataFrame) -> str:
    """Return the universe to show; `NOWHERE` for models that the registry does not know."""
    names = {name: name for name in reads.trainable(source)}
    if (table["universe"] == "").any():
        names[NOWHERE] = "none: replays, and copies"
    return state.choose("universe", names, next(iter(names)), "Universe")


def show_champion(source: state.Source, models: pd.DataFrame, universe: str) -> str | None:
    """Show which model serves a universe, and return it."""
    serving = models[models["state"] == "champion"]
    if serving.empty:
        st.info("No model of these serves. Next: train one, or promote one of them.", icon=":material/info:")
        return None
    row = serving.iloc[0]
    st.markdown(
        f"**`{row['model_id']}`** serves {elements.plain(universe)} since "
        f"{elements.instant_text(pd.Timestamp(row['since']))} UTC: {elements.plain(row['reason'])}."
    )
    if row["damaged"]:
        st.error(elements.plain(row["damaged"]), icon=":material/error:")
    former, why_not = reads.before_champion(source, universe)
    if access.may_operate():
        hint = f"{former} would serve again" if former else why_not
        if st.button("Roll back …", key="ask_rollback", help=hint, disabled=former is None, icon=":material/undo:"):
            ask("rollback", universe)
    return str(row["model_id"])


def show_models(models: pd.DataFrame) -> None:
    columns = {
        "model_id": ("Model", "{}"),
        "state": ("State", "{}"),
        "recipe": ("Recipe", elements.known),
        "seed": ("Seed", elements.whole),
        "symbols": ("Symbols", elements.whole),
        "trained_until": ("Trained on prices to", elements.known),
        "fitted_until": ("Cut-off", elements.known),
        "crps": ("CRPS, backtest", elements.known),
        "verdict": ("Against a random walk, sessions ahead", elements.known),
        "reason": ("Why", elements.known),
        "damaged": ("Damaged", elements.known),
    }
    shown = dict(columns) if models["damaged"].any() else {k: v for k, v in columns.items() if k != "damaged"}
    crps = models["crps"].map(elements.number("{:.5f}"))
    elements.show_table(models.assign(crps=crps), shown)
    st.caption(
        "Newest first. Cut-off: the last session known when the model was fitted; between the two dates lies what was "
        "kept out of training, for calibration. CRPS (log return, lower is better) at the shortest horizon, and the "
        "verdict, are of the newest backtest of the recipe over these symbols. Why: the last entry about it, below."
    )


def show_decisions(decisions: pd.DataFrame) -> None:
    st.subheader("What was decided, and why")
    columns = {
        "at": ("When (UTC)", elements.instant_text),
        "kind": ("What", "{}"),
        "model_id": ("Model", "{}"),
        "against": ("Against", elements.known),
        "reason": ("Why", "{}"),
    }
    elements.show_table(decisions, columns)
    st.caption(
        "Every entry of the registry about this universe, newest first; none is ever edited. CRPS in log return, lower "
        "is better; p: how often chance alone would make such a difference."
    )


def show_model(source: state.Source, models: pd.DataFrame, universe: str, champion: str | None) -> None:
    names = list(models["model_id"])
    states = dict(zip(names, models["state"], strict=True))
    st.subheader("One model")
    model_id = state.choose("model", {m: f"{m} ({states[m]})" for m in names}, names[0], "Model")
    row = models.set_index("model_id").loc[model_id]
    damaged = row["damaged"]
    if damaged:
        st.error(elements.plain(damaged), icon=":material/error:")
    if row["reason"]:
        when = elements.instant_text(pd.Timestamp(row["since"]))
        st.markdown(f"**{row['state'].capitalize()}.** Last entry, {when} UTC: {elements.plain(row['reason'])}.")
    if access.may_operate() and not damaged and model_id != champion and universe != NOWHERE:
        hint = "Make it serve this universe, whatever the contests say"
        if st.button("Promote …", key="ask_promotion", help=hint, icon=":material/upgrade:"):
            ask("promotion", universe, model_id)
    try:
        history, card = reads.history(source, model_id), reads.card(source, model_id)
    except TickercastError as error:  # the others can be looked at all the same
        if not damaged:
            st.error(elements.plain(str(error)), icon=":material/error:")
        return
    elements.show_chart(training_figure(history), "training")
    st.caption(
        "Training, epoch by epoch. Above, the mean loss, lower is better; it has no unit. Below, the mean norm of its "
        "gradient before clipping."
    )
    with st.expander("Model card", icon=":material/description:"):
        st.markdown(card_markdown(card, level=4, written=elements.plain))
        st.download_button(
            "Card as Markdown",
            card_markdown(card),
            f"{model_id}.md",
            "text/markdown",
            on_click="ignore",
            icon=":material/download:",
        )


def ask(what: str, universe: str, model_id: str | None = None) -> None:
    """Keep that a change was asked for, until it is confirmed or given up: whatever else shows the page anew."""
    st.session_state["asked_change"] = what, universe, model_id


def give_up() -> None:
    st.session_state.pop("asked_change", None)


@st.dialog("Are you sure?", on_dismiss=give_up)
def confirm(source: state.Source, champion: str | None) -> None:
    what, universe, model_id = st.session_state["asked_change"]
    target = model_id if what == "promotion" else reads.before_champion(source, universe)[0]
    instead = f" in place of `{champion}`" if champion else ""
    st.markdown(f"From now on `{target}` makes the forecasts of {elements.plain(universe)}{instead}.")
    st.markdown("What was issued before stays as it is. The next training may put another model in its place.")
    reason = st.text_input("Why? It is kept in the registry.", key="reason", max_chars=200)
    yes, no = st.columns(2)
    if yes.button("Promote" if what == "promotion" else "Roll back", key="confirm", type="primary", width="stretch"):
        change = (
            partial(promote_model, source.workspace, model_id, universe, reason)
            if what == "promotion"
            else partial(rollback_model, source.workspace, universe, reason)
        )
        work.act(change, before_rerun=give_up)
    if no.button("Leave it", key="leave", width="stretch"):
        give_up()
        st.rerun()


def show_training(source: state.Source, universe: str | None) -> None:
    """Offer to train a challenger, of whoever may."""
    if not access.may_operate() or not reads.has_prices(source):
        return
    st.subheader("Train a challenger")
    known = {name: f"{name} ({len(symbols)} symbols)" for name, symbols in reads.trainable(source).items()}
    known[EVERYTHING] = "all stored symbols"
    names = list(known)
    with st.form("train"):
        where, cell, epochs, seed = st.columns([3, 3, 1, 1])
        on = where.selectbox(
            "Universe", names, names.index(universe) if universe in known else 0, format_func=known.__getitem__
        )
        kind = cell.selectbox("Cell", list(elements.CELLS), format_func=elements.CELLS.__getitem__)
        passes = epochs.number_input("Epochs", 1, 1000, 10, help="Passes over all training windows.")
        chance = seed.number_input("Seed", 0, 10_000, 0, help="The same seed and prices make the same model.")
        pressed = st.form_submit_button("Train", icon=":material/model_training:", disabled=work.is_busy())
    st.caption(
        "It meets the champion when it is trained, and takes its place only by the rules: the same recipe unless it is "
        "clearly worse, another one if it proves to be better. It goes on when this page is closed."
    )
    if pressed:
        universe_of = ("--universe", on) if on else ()
        work.start(("train", *universe_of, "--cell", kind, "--epochs", str(passes), "--seed", str(chance)))


source = state.current()
st.title("Models")
standings = reads.standings(source)
if standings.empty:
    state.explain_empty(source, "No model has been trained")
    show_training(source, None)
else:
    chosen = choose_universe(source, standings)
    own = standings[standings["universe"] == ("" if chosen == NOWHERE else chosen)]
    serving = show_champion(source, own, chosen) if chosen != NOWHERE else None
    show_models(own)
    show_model(source, own, chosen, serving)
    if chosen != NOWHERE:
        show_decisions(reads.decisions(source).query("universe == @chosen"))
    show_training(source, chosen)
    meanings.explain(*WORDS)
    if "asked_change" in st.session_state:
        confirm(source, serving)
