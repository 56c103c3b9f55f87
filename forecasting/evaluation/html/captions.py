"""What the report of a backtest says beside its figures: what is drawn, in which units, how it is read.

WHO stands for the forecaster under test and REFERENCE for the baseline it is held against.
"""

SKILL = (
    "By how much the CRPS of WHO is lower than that of each baseline, in percent; the bars are 90% intervals. A "
    "baseline counts in its better form, as it is or calibrated like the network.",
    "Above zero WHO is better than that baseline, below zero worse. Where a bar crosses zero, the difference may be "
    "luck. The one that decides is REFERENCE.",
)
COVERAGE = (
    "The share of outcomes that fell inside each range of WHO, in percent, with the 90% interval of that share. "
    "The dashed line of the same colour is what the range promises.",
    "On its line a range keeps its promise. Below it, ranges are too narrow and risk is understated; above it, "
    "they are too wide. Where a bar reaches the line, chance is enough to explain the distance.",
)
PIT = (
    "How many outcomes fell between two neighbouring quantiles of the forecast, over how many should have. Bins are "
    "drawn equally wide, though those in the tails are for rare outcomes.",
    "All bars at 1, the dashed line, is a calibrated forecast. High outer bars are ranges too narrow, low ones too "
    "wide; bars that rise from left to right are forecasts that were too low.",
)
RISES = (
    "Forecasts in ten groups by the probability of a rise they gave: across, that probability; upwards, the share of "
    "them whose price rose. Both in percent.",
    "On the dashed diagonal the probabilities are right. A flat line means that they say nothing of which way the "
    "price goes; a short one that they hardly differ from each other, as is honest of daily prices.",
)
BREACHES = (
    "How often outcomes HORIZON fell below the LOW quantile (for who holds the stock) or above the HIGH quantile (for "
    "who is short of it), added up over time, less the number expected; per symbol, each date counting once.",
    "A level line breaks as often as it should. Steady climbing is a risk understated, steady falling one overstated; "
    "a steep step is a crash in which many breaches came together. Nine of ten calibrated forecasts of one symbol lie "
    "in the grey band on any date.",
)
TAILS = (
    "Of how many symbols the test of Kupiec (are breaches as frequent as the level says?), that of Christoffersen on "
    "independence (do they come in clusters?) and the one of both at once reject at 5%. Of calibrated forecasts about "
    "one symbol in twenty is rejected by chance, and where few breaches are expected somewhat more or less.",
)
YEARS = (
    "Skill against REFERENCE by calendar year of the origin, in percent, and below it the number of rows it rests on. "
    "Blue is better, orange worse; a star marks p < 0.05. A group of fewer than 20 origin dates, or four times as many "
    "as sessions ahead, has no p.",
    "An advantage that holds in most years is worth more than one made in a single year.",
)
TERCILES = (
    "The same by how volatile each symbol was at the origin, among all its origins: the calm third, the middle third, "
    "the stormy third.",
    "It shows whether an advantage is there when risk matters most.",
)
WEEKS = (
    "The forecasts of WHO that did best and worst against REFERENCE, by CRPS HORIZON: fans as they were issued, and "
    "over them what happened.",
    "They are the extremes of thousands, picked after the fact: they show what a hit and a miss look like, not how "
    "often they come.",
)
SYMBOLS = (
    "Skill against REFERENCE of each symbol, in percent. Bold where p < 0.05 after the adjustment for that many "
    "symbols were tested (Benjamini and Hochberg).",
)

GLOSSARY = (
    (
        "CRPS",
        "The continuous ranked probability score: how far the whole forecast distribution was from what happened. "
        "Lower is better. In basis points (hundredths of a percent) of log return; here on the quantile grid, twice "
        "the mean pinball loss.",
    ),
    ("Skill", "1 less the ratio of two CRPS: +2% is a CRPS two percent lower than the baseline's. 0 is no better."),
    (
        "90% interval",
        "Of skill: a bootstrap in blocks of dates, because neighbouring forecasts share sessions and symbols share a "
        "market. Of coverage: Student's t with a standard error that is consistent under the same overlap.",
    ),
    (
        "p",
        "How likely a difference at least this large would be if both were equally good (Diebold and Mariano, on the "
        "mean of each date). Below 0.05 a verdict is beats or loses to, otherwise ties with.",
    ),
    (
        "Random walk",
        "The forecast that the price stays where it is. With EWMA volatility it knows how volatile the last weeks "
        "were, and nothing else: what a forecast must beat to be worth anything.",
    ),
    ("Coverage", "The share of outcomes inside a range of the forecast; of an 80% range it should be 80%."),
    (
        "PIT",
        "The probability integral transform: at which quantile of its forecast an outcome came to lie. Over many "
        "outcomes every quantile should come up equally often.",
    ),
    (
        "Calibrated",
        "A forecast whose probabilities come true as often as they say. Of a baseline: corrected online by its past "
        "errors, exactly as the network is.",
    ),
    ("Value at risk", "The loss exceeded with a small probability only: here the outer quantiles of the forecast."),
    ("Origin", "The last session a forecast saw. Sessions ahead are counted from it on the exchange's calendar."),
    (
        "Walk-forward",
        "Fitted on the past only, tested on what follows, then fitted again further on. No bar after an origin is "
        "seen by its forecast, and no training target reaches into a test part.",
    ),
    ("Row", "One symbol, one origin, one horizon whose outcome is known. All forecasters are scored on the same rows."),
)

LIMITS = (
    "Past prices of the symbols chosen: those that failed before they could be chosen are not among them.",
    "Daily closes without costs, taxes or the price an order would have got: a better score is not a profit.",
    "Unless the prices came adjusted for dividends, the drop on an ex-dividend day counts as a fall.",
    "Coverage is measured here, not guaranteed: the next storm may be of a kind that the past does not hold.",
    "Rows overlap and markets move together, so that there is much less evidence than the number of rows suggests.",
    "Whoever looks at many backtests and keeps the best has found luck. Decide on the recipe before you look.",
)
NO_ADVICE = "This is a measurement of forecasts, not investment advice."
