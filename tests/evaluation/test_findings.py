import numpy as np
import pandas as pd

from forecasting.evaluation.exhibits import make_exhibits
from forecasting.evaluation.extremes import find_extremes
from forecasting.evaluation.findings import Findings

CRPS = {"network": 1.0, "random_walk_ewma": 1.25, "random_walk_ewma_calibrated": 1.2, "har": 0.9, "mine": 1.1}


def findings_of(**tables):
    row = {"horizon": 1, "rows": 500, **{f"crps_{name}": crps for name, crps in CRPS.items()}}
    for name, crps in list(CRPS.items())[1:]:
        row |= {f"skill_{name}": 1 - 1 / crps, f"low_{name}": -0.1, f"high_{name}": 0.2, f"p_{name}": 0.3}
    row |= {f"mcs_{name}": 0.5 for name in CRPS}
    return Findings(pd.DataFrame([row, row | {"horizon": 5}]), tables)


def test_the_names_follow_from_the_scores():
    findings = findings_of()
    assert (findings.name, findings.who) == ("network", "the network")
    assert findings.baselines == list(CRPS)[1:]
    assert findings.references == dict.fromkeys((1, 5), "random_walk_ewma_calibrated")
    assert findings.fill("WHO, REFERENCE") == "the network, a random walk with EWMA volatility"


def test_every_baseline_is_compared_in_its_better_form():
    table = findings_of().against_baselines()
    first = table[table["horizon"] == 1].set_index("baseline")
    assert first["form"].to_dict() == {
        "random walk with EWMA volatility": "calibrated",
        "HAR volatility scale with fixed quantiles": "as it is",
        "mine": "as it is",
    }
    np.testing.assert_allclose(first["skill"], [1 - 1 / 1.2, 1 - 1 / 0.9, 1 - 1 / 1.1])
    assert set(first["p"]) == {0.3}
    assert len(table) == 6


def test_groups_are_held_against_the_reference_of_their_horizon_in_words():
    rows = [(t, h, name) for t in (1, 3) for h in (1, 5) for name in ("network", "har")]
    table = pd.DataFrame(rows, columns=["tercile", "horizon", "forecaster"]).assign(rows=10)
    table["skill_random_walk_ewma_calibrated"] = np.arange(8) / 100
    table["p_random_walk_ewma_calibrated"] = 0.04
    grid = findings_of(tercile=table).skill_by("tercile")
    assert grid["group"].tolist() == ["calm", "calm", "stormy", "stormy"]
    assert grid["skill"].tolist() == [0.0, 0.02, 0.04, 0.06]
    assert set(grid["p"]) == {0.04}
    assert grid[["low", "high"]].isna().all(axis=None)  # as an older backtest has none
    assert findings_of().skill_by("year").empty


def test_symbols_that_a_test_of_value_at_risk_rejects_are_counted():
    table = pd.DataFrame(
        {
            "symbol": ["AAA", "BBB", "AAA", "AAA"], "horizon": 1, "side": ["lower", "lower", "upper", "lower"],
            "level": [0.05, 0.05, 0.05, 0.1], "rows": 100, "violations": [4, 9, 5, 10], "expected": 5.0,
            "p_kupiec": [0.6, 0.04, 1.0, 1.0], "p_independence": [np.nan, 0.01, 1.0, 1.0], "p_conditional": 0.5,
        }
    )  # fmt: skip
    tests = findings_of(value_at_risk=table).tail_tests()
    assert tests["quantile"].tolist() == [0.05, 0.95]
    lower = tests.iloc[0]
    assert (lower["rows"], lower["violations"], lower["expected"]) == (200, 13, 10.0)
    assert (lower["rejected_kupiec"], lower["tested_kupiec"]) == (1, 2)
    assert (lower["rejected_independence"], lower["tested_independence"]) == (1, 1)
    assert findings_of().tail_tests().empty


def test_what_a_comparison_does_not_hold_is_not_shown():
    assert [exhibit.name for exhibit in make_exhibits(findings_of())] == ["skill"]
    alone = Findings(pd.DataFrame({"horizon": [1], "rows": [5], "crps_mine": [0.1]}), {})
    assert make_exhibits(alone) == []


def test_extremes_are_of_one_kind_and_apart():
    days = np.array(["2018-12-03", "2018-12-04", "2018-12-10"], dtype="datetime64[D]")
    assert find_extremes(np.array([0.0, -1.0, 2.0]), days, 1, 2) == ([1, 2], [0])
    assert find_extremes(np.array([0.0, -1.0, 2.0]), days, 1, 1) == ([1], [2])
    assert find_extremes(np.empty(0), days[:0], 1, 2) == ([], [])
