import numpy as np
import pandas as pd
import pytest
from helpers import sessions_until
from ledger_helpers import Evenings

from forecasting.evaluation.significance import diebold_mariano, mean_and_reach, skill_interval
from forecasting.track_record import ALL_MODELS, RECORD_COLUMNS, make_track_record, read_track_record


def scores_of(
    sessions: int = 60, symbols: str = "AAA BBB", horizon: int = 1, seed: int = 0, gain: float = 0.0, **same: object
) -> pd.DataFrame:
    """Return made-up scores of one forecast per symbol and session, all of them under the view `first`."""
    rng = np.random.default_rng(seed)
    days, names = sessions_until("2018-12-31", sessions), symbols.split()
    n = sessions * len(names)
    walk = rng.gamma(4, 0.001, n)
    crps = walk * (1 - gain) * np.exp(rng.normal(0, 0.05, n))
    frame = pd.DataFrame(
        {
            "sequence": np.arange(1, n + 1), "symbol": np.tile(names, sessions), "origin": np.repeat(days, len(names)),
            "mode": "live", "view": "first", "model_id": "m1", "horizon": horizon,
            "crps": crps, "crps_random_walk": walk, "brier": rng.uniform(0, 0.5, n),
        }
    )  # fmt: skip
    for percent in (50, 80, 90, 95):
        frame[f"hit_{percent}"] = rng.uniform(0, 100, n) < percent
    return frame.assign(**same)[RECORD_COLUMNS]


def test_a_record_is_that_of_the_daily_means():
    scores = scores_of()
    table = make_track_record(scores)
    assert table["model_id"].tolist() == [ALL_MODELS, "m1"]
    row = table.iloc[1]
    daily = scores.groupby("origin")[["crps", "crps_random_walk", "brier"]].mean()
    own, walk = daily["crps"].to_numpy(), daily["crps_random_walk"].to_numpy()
    assert (row["forecasts"], row["compared"], row["sessions"], row["needed"]) == (120, 120, 60, 20)
    assert (row["first"], row["last"]) == (daily.index[0], daily.index[-1])
    assert row["skill"] == pytest.approx(1 - own.mean() / walk.mean(), rel=1e-12)
    assert (row["low"], row["high"]) == skill_interval(own, walk, 1)
    assert row["p"] == diebold_mariano(walk - own, 1)[1]
    hits = scores.groupby("origin")["hit_80"].mean().to_numpy()
    covered, reach = mean_and_reach(hits, 1)
    assert (row["coverage_80"], row["low_80"], row["high_80"]) == (covered, covered - reach, covered + reach)
    assert row["brier"] == pytest.approx(daily["brier"].mean(), rel=1e-12)
    pooled = table.iloc[0].drop("model_id")
    pd.testing.assert_series_equal(pooled, row.drop("model_id"), check_names=False)


def test_a_planted_gain_is_found_and_none_where_there_is_none():
    better, equal = make_track_record(scores_of(gain=0.05)).iloc[0], make_track_record(scores_of(seed=1)).iloc[0]
    assert 0.03 < better["low"] < better["skill"] < better["high"] < 0.07
    assert better["p"] < 0.001
    assert equal["low"] < 0 < equal["high"]
    assert equal["p"] > 0.05


def test_a_session_counts_once_however_many_symbols_it_has():
    many = scores_of(40, symbols=" ".join(f"S{i}" for i in range(50)))
    crowded = pd.concat([many, scores_of(20, seed=2).assign(origin=sessions_until("2017-12-29", 40)[::2].repeat(2))])
    row = make_track_record(crowded).iloc[0]
    assert row["sessions"] == 60
    daily = crowded.groupby("origin")[["crps", "crps_random_walk"]].mean().mean()
    assert row["skill"] == pytest.approx(1 - daily["crps"] / daily["crps_random_walk"], rel=1e-12)


def test_live_and_replay_and_both_views_stay_apart():
    parts = [scores_of(seed=k, mode=mode, view=view) for k, (mode, view) in enumerate(
        [("replay", "now"), ("live", "now"), ("replay", "first"), ("live", "first")]
    )]  # fmt: skip
    table = make_track_record(pd.concat(parts))
    assert table[["mode", "view", "model_id"]].to_numpy().tolist() == [
        [mode, view, model] for mode in ("live", "replay") for view in ("first", "now") for model in (ALL_MODELS, "m1")
    ]
    alone = [make_track_record(part) for part in parts]
    expected = pd.concat([alone[3], alone[1], alone[2], alone[0]], ignore_index=True)
    pd.testing.assert_frame_equal(table, expected)


def test_of_several_models_the_one_that_issued_first_counts_where_they_are_pooled():
    first, second = scores_of(30), scores_of(60, seed=1, model_id="m2").assign(sequence=lambda f: f["sequence"] + 1000)
    table = make_track_record(pd.concat([second, first])).set_index("model_id")
    assert table["forecasts"].to_dict() == {ALL_MODELS: 120, "m1": 60, "m2": 120}
    later = second[~second["origin"].isin(first["origin"])]
    alone = make_track_record(pd.concat([later, first]))
    assert table.loc[ALL_MODELS, "skill"] == alone.loc[0, "skill"]
    assert len(later) == 60


@pytest.mark.parametrize(
    ("sessions", "horizon", "enough"), [(19, 1, False), (20, 1, True), (79, 20, False), (80, 20, True)]
)
def test_with_too_few_sessions_there_is_no_interval(sessions, horizon, enough):
    row = make_track_record(scores_of(sessions, horizon=horizon)).iloc[0]
    assert np.isfinite([row["skill"], row["coverage_90"]]).all()
    assert row["needed"] == max(20, 4 * horizon)
    assert np.isfinite(row[["low", "high", "p", "low_90", "high_90"]].to_numpy("float64")).all() == enough


def test_forecasts_without_a_random_walk_count_for_coverage_alone():
    scores = scores_of()
    old = scores["origin"] < scores["origin"].iloc[40]
    row = make_track_record(scores.assign(crps_random_walk=scores["crps_random_walk"].where(~old))).iloc[0]
    newer = make_track_record(scores[~old]).iloc[0]
    assert (row["forecasts"], row["compared"], row["sessions"]) == (120, 80, 60)
    assert row[["crps", "skill", "low", "high", "p"]].tolist() == newer[["crps", "skill", "low", "high", "p"]].tolist()
    assert row["coverage_80"] == make_track_record(scores).iloc[0]["coverage_80"]
    never = make_track_record(scores.assign(crps_random_walk=np.nan)).iloc[0]
    assert never[["crps", "skill", "low", "p"]].isna().all()


def test_levels_without_an_interval_have_no_coverage_of_it():
    row = make_track_record(scores_of(hit_95=None)).iloc[0]
    assert row[["coverage_95", "low_95", "high_95"]].isna().all()
    assert row["coverage_90"] == pytest.approx(0.9, abs=0.1)


def test_report_horizons_are_shown_and_others_on_request():
    scores = pd.concat([scores_of(30, horizon=h, seed=h) for h in range(1, 8)])
    assert make_track_record(scores)["horizon"].unique().tolist() == [1, 2, 3, 5, 7]
    assert make_track_record(scores, [4, 6])["horizon"].unique().tolist() == [4, 6]


def test_without_scores_there_is_an_empty_record():
    empty = make_track_record(scores_of().iloc[:0])
    assert empty.empty
    assert empty.columns.tolist() == make_track_record(scores_of()).columns.tolist()


def test_the_record_of_stored_scores_is_read_by_view_model_and_horizon(workspace):
    evenings = Evenings(workspace)
    evenings.pass_by(0, 4)
    evenings.pass_by(4, 6, "m2")
    for view in ("first", "now"):
        record = read_track_record(evenings.scores, view)
        pd.testing.assert_frame_equal(record, make_track_record(evenings.scores.read(view)))
        assert set(record["view"]) == {view}
    assert set(read_track_record(evenings.scores, "now", "m2")["model_id"]) == {ALL_MODELS, "m2"}
    assert set(read_track_record(evenings.scores, "now", horizons=[2])["horizon"]) == {2}
    assert read_track_record(evenings.scores, "now", "m9").empty
