"""Words that the views use, each explained once."""

import streamlit as st

MEANINGS = {
    "median": "**Median.** A price with even chances of the close being below or above it. It is nearly the last "
    "close, and that is right: in which direction a price moves can hardly be forecast.",
    "low and high": "**Low and high.** The 90% range, meant to hold the close in 90 of 100 cases: low is the 5%, high "
    "the 95% quantile.",
    "sessions ahead": "**+1, +5, +20.** Sessions ahead of the forecast's origin: tomorrow, a week, a month of trading. "
    "A forecast that does not reach so far is shown at its last session.",
    "volatility": "**Volatility.** How much log returns are expected to vary over the next month, a year's worth, read "
    "from their 90% range as if they were normal. **Against its past** is its ratio to the standard deviation of the "
    "daily log returns of the last 252 sessions, also a year's worth: 1.00 is as usual, from 1.25 on it counts as "
    "high.",
    "verdict": "**Verdict.** Whether forecasts of the next session beat a random walk with EWMA volatility in the "
    "newest backtest, or whether it could be luck: they tie, unless p is below 0.05, adjusted for how many symbols "
    "were tested. *Not tested* says that nothing is known.",
    "state": "**State.** *Failed*: the last fetch of the symbol failed, or the last evening left it out. *Stale*: a "
    "later session is complete than its prices, or than its forecast, know of. *Ended*: its prices are an embedded "
    "history that goes no further, and its forecast is a replay of that past.",
    "session": "**Session.** A trading day of the symbol's exchange; its close is the day's last price.",
    "quantile": "**Quantile.** A price with a stated chance of the close being below it: below the 10% quantile in one "
    "case out of ten. The 80% range lies between the 10% and the 90% quantile. The median has even chances on both "
    "sides.",
    "range": "**Range.** The 80% range should hold the close in 80 of 100 cases; in the other 20 it lies outside, as "
    "often above as below.",
    "chance of a rise": "**Chance of a rise, P(up).** How probable a close above the last one is. Near 50%, as it "
    "mostly is, the forecast says how far the price may move and not in which direction.",
    "log return": "**Log return.** The natural logarithm of the price ratio since the last close; 0.01 is close to a "
    "rise of 1%.",
    "CRPS": "**CRPS.** How far the whole forecast, not its median alone, was from what happened; lower is better. It "
    "rewards ranges that are narrow and still right.",
    "skill": "**Skill.** The share of a baseline's CRPS that the network saves: 0% is no better than the baseline.",
    "p": "**p.** How often chance alone would make a difference this large; from 0.05 on, it counts as a tie. It "
    "decides, also where the interval, which is computed in another way, leaves zero out.",
    "baselines": "**Baselines.** A random walk leaves the price where it is and draws its ranges from past returns; "
    "the EWMA random walk also adapts them to how much prices move at present. Hard to beat: prices are close to a "
    "random walk.",
    "origin": "**Origin.** The last session that a forecast saw. Sessions ahead are counted from it.",
    "live and replay": "**Live and replay.** Live forecasts were issued before their target session opened. A replay "
    "computes what would have been issued on a past day from the prices of then; it can be run again until it looks "
    "good, so the two are never mixed.",
    "band of chance": "**Band of chance.** Where the coverage of so few sessions lies for nine of ten forecasts whose "
    "ranges are exactly right. It takes into account that forecasts of neighbouring days share sessions, and that "
    "symbols move together. It holds for each date by itself: over a long record a line leaves it now and then.",
    "PIT": "**PIT.** At which quantile of its forecast an outcome came to lie. Over many outcomes all are equally "
    "frequent, and every bar is as high as the dashed line. High outer bars: the ranges were too narrow.",
    "best and worst calls": "**Best and worst calls.** The forecasts that did best and worst against the random walk "
    "issued with them, by CRPS. They are picked after the fact: they show what a hit and a miss look like, not how "
    "often they come.",
    "Brier": "**Brier score.** The mean squared error of the chance of a rise; 0.25 is what always saying 50% gets.",
    "interval": "**90% interval.** Where the true value lies, at 90% confidence. It takes into account that forecasts "
    "of neighbouring days share sessions, and that symbols move together.",
    "calibrated": "**Calibrated.** A forecast whose probabilities come true as often as they say. Of a baseline: "
    "corrected by its own past errors, as the network is.",
    "MCS": "**Among the best.** The p-value of being among the best (Model Confidence Set): below 0.1, a baseline is "
    "clearly worse than the best one.",
    "value at risk": "**Value at risk.** The loss that is exceeded with a small probability only. Breaches should be "
    "as frequent as the level says (Kupiec), and not come in clusters (Christoffersen).",
    "direction": "**Direction.** How often the median had the right sign, beside what always saying the commoner "
    "sign would have got. The test (Pesaran and Timmermann) asks whether it is more than chance.",
    "walk-forward": "**Walk-forward.** Fitted on the past only, tested on what follows, then fitted again further on.",
    "gap": "**Gap.** A session of the exchange's calendar, between the first and the last bar, of which the source "
    "told nothing: a suspension, a holiday that the calendar does not know, or bars that the source lacks.",
    "quarantine": "**Quarantine.** Where rows are kept that cannot be right, such as a high below the low. They are "
    "never used, and never thrown away.",
    "flag": "**Flag.** A bar that can be right but gives reason to doubt, such as a split that was not told. It is "
    "used all the same.",
    "restatement": "**Restatement.** The source told its past differently than before. Both are kept, with the instant "
    "at which each was known.",
    "champion": "**Champion.** The model that makes a universe's forecasts. Every other one is a challenger.",
    "refresh": "**Refresh.** The champion's recipe, trained on newer prices. It takes over unless it is clearly worse; "
    "another recipe must prove that it is better.",
    "loss": "**Loss.** What training makes small: the mean error of the forecast quantiles, on returns divided by "
    "their expected size.",
    "gradient norm": "**Gradient norm.** How steep the loss was, on average over an epoch. Where it grows beyond "
    "measure, training diverges.",
    "epoch": "**Epoch.** One pass over all training windows.",
    "coverage": "**Coverage.** How often the close fell inside a range; an 80% range should hold it in 80 of 100 "
    "cases.",
}


def explain(*words: str) -> None:
    """Show what words mean, where somebody asks."""
    with st.expander("What does this mean?", icon=":material/help:"):
        st.markdown("\n\n".join(MEANINGS[word] for word in words))
