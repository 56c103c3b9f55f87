import pandas as pd
import pytest

from forecasting.evaluation.verdicts import in_words, make_headline, make_verdicts, sum_up


def scores_of(*rows: dict[str, float]) -> pd.DataFrame:
    """Return a comparison's scores from rows of horizon, CRPS by forecaster, and p; the network's comes first."""
    table = []
    for row in rows:
        horizon, p, crps = row["horizon"], row["p"], {k: v for k, v in row.items() if k not in ("horizon", "p")}
        found = {"horizon": horizon, "rows": 100, **{f"crps_{name}": value for name, value in crps.items()}}
        for name in list(crps)[1:]:
            skill = 1 - crps["network"] / crps[name]
            found |= {f"skill_{name}": skill, f"p_{name}": p, f"low_{name}": skill - 0.1, f"high_{name}": skill + 0.1}
        table.append({**found, "coverage_80": 0.8})
    return pd.DataFrame(table)


def row(horizon, network, walk, ewma, p, **others):
    return {
        "horizon": horizon,
        "p": p,
        "network": network,
        "random_walk": walk,
        "random_walk_ewma": ewma,
        **others,
    }


@pytest.mark.parametrize(
    ("own", "p", "word"),
    [
        (0.96, 0.049, "beats"),
        (0.96, 0.05, "ties with"),
        (1.04, 0.001, "loses to"),
        (1.04, 0.5, "ties with"),
        (0.96, float("nan"), "ties with"),
    ],
)
def test_a_verdict_is_in_words_and_needs_both_a_better_score_and_no_luck(own, p, word):
    assert [v.word for v in make_verdicts(scores_of(row(5, own, 2.0, 1.0, p)))] == [word]


def test_a_verdict_says_by_how_much_and_at_which_p():
    (verdict,) = make_verdicts(scores_of(row(1, 0.96, 2.0, 1.0, 0.012)))
    assert verdict.sentence == (
        "1 session ahead the network beats a random walk with EWMA volatility: CRPS 4.0% lower, p = 0.012"
    )


def test_a_stronger_baseline_than_the_judge_is_named_beside_it():
    (verdict,) = make_verdicts(scores_of(row(20, 0.96, 0.90, 1.0, 0.3)))
    assert verdict.sentence.startswith("20 sessions ahead the network ties with a random walk with EWMA volatility")
    assert verdict.sentence.endswith(
        "the strongest baseline is a random walk with rolling historical quantiles, CRPS 6.7% higher, p = 0.3"
    )


def test_the_judge_counts_as_it_is_or_calibrated_whichever_scored_better():
    better = make_verdicts(scores_of(row(1, 0.96, 2.0, 1.0, 0.01, random_walk_ewma_calibrated=0.98)))[0]
    worse = make_verdicts(scores_of(row(1, 0.96, 2.0, 1.0, 0.01, random_walk_ewma_calibrated=1.02)))[0]
    assert (better.judge, better.skill) == ("random_walk_ewma_calibrated", 1 - 0.96 / 0.98)
    assert "beats a random walk with EWMA volatility (calibrated): CRPS 2.0% lower" in better.sentence
    assert worse.judge == "random_walk_ewma"


def test_verdicts_are_summed_up_by_word_and_stronger_baselines_named_by_horizon():
    verdicts = make_verdicts(
        scores_of(
            row(1, 0.9, 2.0, 1.0, 0.001, har=0.95),
            row(5, 0.9, 2.0, 1.0, 0.01, har=0.89),
            row(20, 1.0, 2.0, 1.0, 0.9, har=0.97),
        )
    )
    assert sum_up(verdicts) == (
        "the network beats it at 1, 5; ties with it at 20 sessions ahead (p < 0.05). At 5, 20, a HAR volatility scale "
        "with fixed quantiles scored better than the network."
    )


def test_a_users_own_baseline_is_called_by_its_name():
    assert in_words("mine") == "mine"
    assert in_words("mine_calibrated") == "mine (calibrated)"


def test_the_headline_shows_judge_and_strongest_at_each_horizon():
    shown = make_headline(scores_of(row(1, 0.9, 2.0, 1.0, 0.001), row(2, 1.9, 1.8, 2.0, 0.2))).to_dict("records")
    assert [r["crps_judge"] for r in shown] == [1.0, 2.0]
    assert [r["verdict"] for r in shown] == ["beats", "ties with"]
    assert shown[0]["strongest"] == "a random walk with EWMA volatility"
    assert shown[1]["strongest"] == "a random walk with rolling historical quantiles"
    assert shown[1]["skill_strongest"] == pytest.approx(1 - 1.9 / 1.8)
    assert shown[0]["low"] == pytest.approx(0.0)
    assert shown[0]["coverage_80"] == 0.8
