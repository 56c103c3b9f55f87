from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from helpers import random_walk, utc
from html_helpers import Page
from scipy import stats

from forecasting.config import LEVELS, BacktestConfig, Recipe
from forecasting.evaluation.alarms import Alarm
from forecasting.evaluation.comparison import score_backtest
from forecasting.evaluation.folds import make_folds
from forecasting.evaluation.html.page import make_page
from forecasting.evaluation.plan import make_plan
from forecasting.evaluation.walkforward import Backtest
from forecasting.forecasts import RollingForecast

HOSTILE = "</script><script>alert(1)</script>"
NAMES = ("network", "random_walk", "random_walk_ewma", "har", "random_walk_ewma_calibrated")


def make_backtest(names=NAMES, symbols=("AAA", "BBB"), origins=80, horizon=8, levels=LEVELS, excluded=None):
    """Return a backtest whose forecasts are normal, of scales that differ by forecaster, and its plan."""
    series = {s: random_walk(s, bars=200, seed=i) for i, s in enumerate(symbols)}
    config = BacktestConfig(test_sessions=origins, refit_every=50)
    folds = make_folds((day for s in series.values() for day in s.sessions), config)
    outcomes = {s: whole.log_returns(range(1, horizon + 1))[-origins:] for s, whole in series.items()}
    spread = 0.01 * np.sqrt(np.arange(1, horizon + 1))[:, None] * stats.norm.ppf(levels)
    rng = np.random.default_rng(0)
    forecasts = {
        name: {
            s: RollingForecast(
                whole.instrument,
                whole.sessions[-origins:],
                whole.bars["close"].to_numpy()[-origins:],
                levels,
                (np.exp(rng.normal(0.05 * i, 0.1, (origins, 1, 1))) * spread + 1e-4 * i).astype("float32"),
            )
            for s, whole in series.items()
        }
        for i, name in enumerate(names)
    }
    backtest = Backtest(folds, forecasts, outcomes, series, excluded or {})
    return backtest, make_plan(series, Recipe(horizon=horizon, levels=levels), config)


def open_page(backtest, plan, comparison=None, **more):
    return Page(make_page(backtest, comparison or score_backtest(backtest), plan, "The network ties.", **more))


@pytest.fixture(scope="module")
def made():
    backtest, plan = make_backtest(excluded={"NEW": "NEW has 3 bars before the test starts, 120 are needed"})
    return backtest, plan, score_backtest(backtest)


@pytest.fixture(scope="module")
def page(made):
    return open_page(*made, data_as_of=utc("2019-01-02 12:30"))


def an_alarm(kind):
    return Alarm(kind, 1, 0.5, 1.0, 0.97, 9.0, 100, 50, "the RMSE is 0.500 of a random walk's", "a <b>feature</b>")


def test_nothing_is_loaded_from_anywhere(page):
    assert page.having("src") == []
    assert all(link.startswith("#") for link in page.having("href"))
    assert {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "base", "form"} == set()
    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_no_script_runs_but_the_two_that_the_policy_names(page):
    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    found = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in page.scripts]
    assert found == policy.split("script-src ")[1].split(";")[0].split()
    assert not any("\r" in script for script in page.scripts)  # a browser would hash another text


def test_every_figure_is_there_once_with_a_place_to_be_drawn(page):
    expected = {"skill", "coverage", "pit-1", "pit-5", "pit-8", "rises", "breaches", "years", "terciles"}
    expected |= {f"week-{i}" for i in range(1, 5)}
    places = [name for name in page.having("id") if name.startswith("plot-")]
    assert sorted(places) == sorted(page.having("data-plot")) == sorted(f"plot-{name}" for name in expected)
    assert all(figure["data"] for figure in page.data.values())


def test_every_link_leads_somewhere(page):
    assert {link[1:] for link in page.having("href")} <= set(page.having("id"))
    assert len(page.having("id")) == len(set(page.having("id")))


def test_the_page_says_what_it_is_about(page, made):
    for text in (
        "AAA, BBB",
        "2 symbols",
        "2, 1 left out",
        "2019-01-02 12:30 UTC",
        "Elman network, 1 layer of 64 units",
        "The network ties.",
        "NEW has 3 bars before the test starts, 120 are needed",
        f"tickercast backtest --repeat {made[1].backtest_id}",
        "not investment advice",
    ):
        assert text in page.words
    folds = [[f"{day:%Y-%m-%d}" for day in vars(fold).values()] for fold in made[0].folds]
    assert all(fold in page.rows for fold in folds)
    assert ["recipe.network.hidden", "64"] in page.rows


def test_the_first_table_has_the_scores(page, made):
    scores = made[2].scores.set_index("horizon")
    reference = min(("random_walk_ewma", "random_walk_ewma_calibrated"), key=lambda n: scores.loc[5, f"crps_{n}"])
    strongest = min(NAMES[1:], key=lambda n: scores.loc[5, f"crps_{n}"])
    row = next(row for row in page.rows if row[0] == "5" and len(row) == 15)
    assert row[1] == f"{scores.loc[5, 'crps_network'] * 1e4:,.1f}"
    calibrated = " cal." if reference.endswith("_calibrated") else ""
    assert row[2] == f"{scores.loc[5, f'crps_{reference}'] * 1e4:,.1f}{calibrated}"
    assert row[3] == f"{scores.loc[5, f'skill_{reference}']:+.1%}"
    assert row[4] == f"{scores.loc[5, f'low_{reference}']:+.1%} to {scores.loc[5, f'high_{reference}']:+.1%}"
    assert row[8] == f"{scores.loc[5, f'crps_{strongest}'] * 1e4:,.1f}"
    assert row[10:14] == [f"{scores.loc[5, f'coverage_{c}']:.1%}" for c in (50, 80, 90, 95)]
    assert row[14] == f"{scores.loc[5, 'rows']:,}"


def test_a_baseline_is_drawn_in_its_better_form_and_the_judge_stands_out(page, made):
    scores = made[2].scores
    traces = {trace["name"]: trace for trace in page.data["plot-skill"]["data"]}
    assert set(traces) == {
        "random walk with EWMA volatility",
        "random walk with rolling historical quantiles",
        "HAR volatility scale with fixed quantiles",
    }
    better = scores[["skill_random_walk_ewma", "skill_random_walk_ewma_calibrated"]].min(axis=1)
    np.testing.assert_allclose(traces["random walk with EWMA volatility"]["y"], better)
    assert page.data["plot-skill"]["data"][-1]["name"] == "random walk with EWMA volatility"


def test_a_fan_shows_the_forecast_as_issued_and_what_happened(page, made):
    backtest, _, comparison = made
    week = comparison.tables["weeks"].iloc[0]
    forecast = backtest.forecasts["network"][week["symbol"]].at(week["origin"])
    drawn = {trace["name"]: trace for trace in page.data["plot-week-1"]["data"]}
    np.testing.assert_allclose(drawn["median forecast"]["y"][1:], forecast.frame()[0.5])
    closes = backtest.series[week["symbol"]].bars["close"]
    assert drawn["what happened"]["y"][1] == closes[forecast.target_sessions[0]]
    assert f"Best: {week['symbol']} from {week['origin']:%Y-%m-%d}" in page.words


def test_the_same_backtest_gives_the_same_bytes(made):
    backtest, plan, comparison = made
    first = make_page(backtest, comparison, plan, "The network ties.")
    assert make_page(backtest, score_backtest(backtest), plan, "The network ties.") == first


def test_text_from_outside_is_never_html():
    names = (HOSTILE, '<img src="https://x.example/y" onerror="alert(2)">', "random_walk_ewma", "a&b")
    excluded = {"BAD": "BAD <a href='https://x.example'>broke</a>"}
    backtest, plan = make_backtest(names, origins=30, horizon=2, excluded=excluded)
    found = score_backtest(backtest)
    comparison = replace(found, alarms=[an_alarm("coverage")])
    instrument = {s: replace(r.instrument, currency="<b>USD</b>") for s, r in backtest.forecasts[HOSTILE].items()}
    own = {s: replace(r, instrument=instrument[s]) for s, r in backtest.forecasts[HOSTILE].items()}
    backtest = replace(backtest, forecasts={**backtest.forecasts, HOSTILE: own})
    page = Page(make_page(backtest, comparison, plan, f"Verdict {HOSTILE}"))
    assert len(page.scripts) == 2
    assert not any("alert(" in script for script in page.scripts[1:])
    assert {tag for tag, _ in page.tags} & {"img", "link", "iframe"} == set()
    assert all(link.startswith("#") for link in page.having("href"))
    for text in (HOSTILE, names[1], "BAD <a href='https://x.example'>broke</a>", "a <b>feature</b>"):
        assert text in page.words
    drawn = str(page.data)
    assert "&lt;img" in drawn
    assert "a&amp;b" in drawn
    assert "&lt;b&gt;USD" in drawn
    for tag in ("<script", "</script", "<img", "<a ", "<b>USD"):
        assert tag not in drawn


def test_a_suspected_leak_never_looks_like_a_success(made):
    backtest, plan, comparison = made
    scores = comparison.scores.assign(**{f"p_{name}": 0.001 for name in NAMES[1:]})
    scores = scores.assign(**{f"skill_{name}": 0.5 for name in NAMES[1:]})
    honest = open_page(backtest, plan, replace(comparison, scores=scores, alarms=[]))
    leaking = open_page(backtest, plan, replace(comparison, scores=scores, alarms=[an_alarm("leak_rmse")] * 2))

    def words(page):
        return {row[6] for row in page.rows if len(row) > 12 and row[0].isdigit()}

    assert words(honest) == {"beats"}
    assert words(leaking) == {"suspected leak"}
    assert "better" not in " ".join(leaking.having("class"))
    assert "alarm" not in honest.having("class")
    assert "Suspected leak, not a success" in leaking.words
    assert "Suspected leak: Backtest of" in leaking.words
    assert leaking.words.index("0.500 of a random walk's") < leaking.words.index("The network ties.")
    assert "and 1 more" in leaking.words


@pytest.mark.parametrize(
    "settings",
    [
        {"symbols": ("AAA",)},
        {"horizon": 1},
        {"levels": (0.25, 0.5, 0.75)},
        {"levels": (0.05, 0.5, 0.95)},
        {"names": ("mine", "random_walk_ewma")},
        {"names": ("network", "har", "random_walk")},
        {"names": ("network",)},
        {"origins": 6, "symbols": ("AAA",)},
    ],
    ids=["symbol", "horizon", "no tails", "three levels", "own name", "no judge", "no baseline", "few dates"],
)
def test_what_is_not_there_is_left_out(settings):
    backtest, plan = make_backtest(**{"horizon": 2, "origins": 30, **settings})
    page = open_page(backtest, plan)
    drawn = set(page.data)
    assert {"plot-coverage", "plot-pit-1", "plot-rises"} <= drawn
    assert ("plot-breaches" in drawn) == (0.05 in settings.get("levels", LEVELS))
    assert ("plot-skill" in drawn) == (len(backtest.forecasts) > 1)
    assert ("plot-week-1" in drawn) == (len(backtest.forecasts) > 1)
    assert ("Symbol by symbol" in page.words) == (len(backtest.forecasts) > 1 and len(backtest.outcomes) > 1)
    assert "nan" not in " ".join(cell for row in page.rows for cell in row).lower()


def test_without_the_judge_the_first_baseline_is_the_reference():
    page = open_page(*make_backtest(("mine", "har", "random_walk"), origins=30, horizon=2))
    assert "The reference is a HAR volatility scale with fixed quantiles." in page.words
    assert page.data["plot-skill"]["data"][-1]["name"] == "HAR volatility scale with fixed quantiles"
    assert "the CRPS of mine is lower" in page.words


def test_many_symbols_are_named_in_short_and_told_apart_below():
    symbols = [f"S{i:03d}" for i in range(40)]
    backtest, plan = make_backtest(("network", "random_walk_ewma"), symbols, origins=20, horizon=1)
    page = open_page(backtest, plan)
    assert "S000, S001, S002, S003, S004, S005 and 34 more" in page.words
    assert sum(row[0].startswith("S0") for row in page.rows if row) == 40
