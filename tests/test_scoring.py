import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from helpers import flat_bars, normal_forecast, utc
from ledger_helpers import Evenings, killed, write_old_ledger

from forecasting.evaluation.scores import brier, coverage_hits, crps, pit_bins
from forecasting.scoring import SCORES_SCHEMA, Scores
from forecasting.store import PriceStore


@pytest.fixture
def evenings(workspace) -> Evenings:
    return Evenings(workspace)


def rebuilt(evenings, tmp_path) -> pd.DataFrame:
    """Return the scores as they are after the folder was deleted."""
    shutil.rmtree(tmp_path / "workspace" / "scores")
    evenings.update()
    return evenings.scores.read()


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    for name in ("outcome", "crps", "crps_random_walk", "brier"):
        assert one[name].to_numpy().tobytes() == other[name].to_numpy().tobytes()


def stored_rows(tmp_path) -> int:
    return DeltaTable(str(tmp_path / "workspace" / "scores")).to_pyarrow_table().num_rows


def test_a_matured_forecast_is_scored_beside_its_random_walk(evenings):
    evenings.pass_by(0, 6)
    scores, issued = evenings.scores.read("first"), evenings.ledger.read().set_index("sequence")
    assert scores.columns.tolist() == SCORES_SCHEMA.names
    assert len(scores) == 2 * (5 + 4 + 3)  # of two symbols at each horizon
    for row in scores.to_dict("records"):
        forecast = issued.loc[row["sequence"]]
        close = evenings.closes[row["symbol"]]
        outcome = np.array(np.log(close[forecast["target_session"]]) - np.log(close[forecast["origin"]]))
        values, levels = np.array(forecast["values"]), tuple(forecast["levels"])
        assert row["outcome"] == outcome
        assert row["crps"] == crps(values, outcome, levels)
        assert row["crps_random_walk"] == crps(np.array(forecast["random_walk"]), outcome, levels)
        assert row["hit_80"] == coverage_hits(values, outcome, levels, 0.8)
        assert row["pit_bin"] == pit_bins(values, outcome)
        assert row["brier"] == brier(np.array(forecast["prob_up"]), outcome)
        assert row["known_at"] == evenings.now(forecast["target_session"])
        for name in ("symbol", "origin", "horizon", "model_id", "mode", "target_session"):
            assert row[name] == forecast[name]
    assert_same(scores.drop(columns="view"), evenings.scores.read("now").drop(columns="view"))


def test_a_report_counts_what_matured_and_a_second_run_does_nothing(evenings, tmp_path):
    evenings.pass_by(0, 3)
    evenings.tell(evenings.bars(evenings.days[3:5]), evenings.now(evenings.days[4]))
    report = evenings.update()
    assert (report.matured, report.restated, report.unpriced) == (2 * (2 + 3), 0, ())
    assert report.head == evenings.ledger.head()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "workspace" / "scores").rglob("*") if p.is_file()}
    again = evenings.update()
    assert (again.matured, again.restated) == (0, 0)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "workspace" / "scores").rglob("*") if p.is_file()}


def test_what_evenings_scored_is_what_a_rebuild_scores_to_the_last_bit(evenings, tmp_path):
    days = evenings.days
    evenings.pass_by(0, 5)
    # a close restated, a volume restated, a bar withdrawn and told again
    evenings.closes.loc[days[3], "AAA"] *= 1.05
    evenings.tell(evenings.bars(days[3:5]).assign(volume=7.0), evenings.now(days[4]) + pd.Timedelta(hours=1))
    assert evenings.update().restated == 3 + 1  # to and from that close, as far as matured
    evenings.tell(flat_bars("BBB", days[2:3], [np.nan]), evenings.now(days[4]) + pd.Timedelta(hours=2))
    evenings.update()
    evenings.tell(evenings.bars(days[2:3]), evenings.now(days[4]) + pd.Timedelta(hours=3))
    evenings.update()
    # a split of AAA, told with its bar, and one of BBB, told three evenings late
    evenings.tell(flat_bars("AAA", [], []), evenings.now(days[4]), evenings.split("AAA", days[6], 3.0))
    late = evenings.split("BBB", days[7], 0.7)
    evenings.pass_by(5, 10, "m2")
    jump = evenings.scores.read("first")["outcome"].abs().max()
    assert jump > 0.3
    evenings.tell(flat_bars("BBB", [], []), evenings.now(days[9]), late)
    assert evenings.update().restated > 0
    # a replay issued long after its outcomes, a halt of BBB, and evenings until files are merged
    evenings.issue(days[1], "m3", horizon=5)
    evenings.tell(evenings.bars(days[10:11], ["AAA"]), evenings.now(days[10]))
    evenings.issue(days[10], symbols=["AAA"])
    evenings.pass_by(11, 16)
    scores = evenings.scores.read()
    assert scores["outcome"].abs().max() < 0.1
    assert stored_rows(tmp_path) == len(scores) == len(scores[["sequence", "view"]].drop_duplicates())
    assert (tmp_path / "workspace" / "scores" / "_state.json").exists()  # merging files leaves it there
    assert_same(scores, rebuilt(evenings, tmp_path))
    assert stored_rows(tmp_path) == len(scores)


def test_a_restatement_changes_the_score_now_and_not_the_first(evenings):
    evenings.pass_by(0, 6)
    before = evenings.scores.read().set_index(["view", "sequence"])["outcome"]
    evenings.closes.loc[evenings.days[4], "AAA"] *= 1.05
    evenings.tell(evenings.bars(evenings.days[4:5]), evenings.now(evenings.days[5]) + pd.Timedelta(hours=1))
    evenings.update()
    after = evenings.scores.read().set_index(["view", "sequence"])["outcome"]
    assert (after["first"] == before["first"]).all()
    changed = after["now"][after["now"] != before["now"]] - before["now"]
    assert changed.abs().dropna().to_numpy() == pytest.approx([np.log(1.05)] * 4, rel=1e-9)


def test_a_withdrawn_bar_takes_its_score_now_away_and_leaves_the_first(evenings):
    evenings.pass_by(0, 4)
    evenings.tell(
        flat_bars("AAA", evenings.days[3:4], [np.nan]), evenings.now(evenings.days[3]) + pd.Timedelta(hours=1)
    )
    assert evenings.update().restated == 3
    counts = evenings.scores.read().groupby(["view", "symbol"]).size()
    assert counts.to_dict() == {("first", "AAA"): 6, ("first", "BBB"): 6, ("now", "AAA"): 3, ("now", "BBB"): 6}


@pytest.mark.parametrize("write", ["write_json", "append_rows", "replace_rows"])
def test_an_update_killed_anywhere_is_completed_by_the_next(evenings, tmp_path, monkeypatch, write):
    evenings.pass_by(0, 5)
    evenings.closes.loc[evenings.days[4], "AAA"] *= 1.05
    evenings.tell(evenings.bars(evenings.days[4:6]), evenings.now(evenings.days[5]))
    with monkeypatch.context() as patch:
        patch.setattr(f"forecasting.scoring.{write}", killed)
        with pytest.raises(KeyboardInterrupt):
            evenings.update()
    evenings.update()
    scores = evenings.scores.read()
    assert stored_rows(tmp_path) == len(scores)
    assert_same(scores, rebuilt(evenings, tmp_path))


def test_an_evening_reads_neither_forecasts_nor_scores_of_long_ago(evenings, tmp_path, monkeypatch):
    evenings.pass_by(0, 12)
    read = []
    real = evenings.ledger.select

    def watched(condition, columns=None):
        rows = real(condition, columns)
        read.append(len(rows))
        return rows

    monkeypatch.setattr(evenings.ledger, "select", watched)
    evenings.pass_by(12, 13)
    # of two symbols: three forecasts to the bar, three from it and those of the evening before, which are new to it
    assert max(read) <= 2 * (3 + 3 + 3)


def test_forecasts_from_before_the_random_walk_was_kept_are_scored_without_it(evenings, tmp_path):
    write_old_ledger(tmp_path / "workspace" / "ledger", 1)
    days = evenings.days[-2:]
    assert [str(d.date()) for d in days] == ["2018-12-28", "2018-12-31"]
    evenings.tell(evenings.bars(days), evenings.now(days[1]))
    evenings.issue(days[0])
    evenings.update()
    scores = evenings.scores.read("now")
    assert scores["model_id"].tolist() == ["m0", "m1", "m1"]
    assert scores["crps_random_walk"].isna().tolist() == [True, False, False]
    assert scores["hit_80"].notna().all()
    assert scores["hit_95"].isna().tolist() == [True, False, False]  # its levels reach from 0.1 to 0.9
    assert_same(evenings.scores.read(), rebuilt(evenings, tmp_path))


def test_a_symbol_without_prices_is_named_and_scored_once_they_are_there(evenings):
    evenings.pass_by(0, 2)
    now = evenings.now(evenings.days[1])
    evenings.ledger.issue([normal_forecast("CCC", str(evenings.days[0].date()))], "m1", now, now)
    assert evenings.update().unpriced == ("CCC",)
    evenings.symbols.append("CCC")
    evenings.tell(flat_bars("CCC", evenings.days[:2], [1.0, 2.0]), now + pd.Timedelta(hours=1))
    report = evenings.update()
    assert (report.matured, report.unpriced) == (1, ())
    assert evenings.scores.read("now", ["CCC"])["outcome"].tolist() == [np.log(2.0)]


def test_scores_follow_the_prices_where_these_were_replaced_by_others(evenings, tmp_path):
    evenings.pass_by(0, 5)
    shutil.rmtree(tmp_path / "workspace" / "prices")
    evenings.closes *= np.linspace(1, 2, len(evenings.closes))[:, None]
    evenings.tell(evenings.bars(evenings.days[:5]), utc("2018-01-01 12:00"))
    evenings.update()
    scores = evenings.scores.read()
    assert set(scores["known_at"]) == {utc("2018-01-01 12:00")}
    assert_same(scores, rebuilt(evenings, tmp_path))


def test_scores_are_chosen_by_view_symbol_and_model(evenings):
    evenings.pass_by(0, 4)
    evenings.pass_by(4, 6, "m2")
    scores = evenings.scores
    assert set(scores.read("now")["view"]) == {"now"}
    assert set(scores.read(symbols=["BBB"])["symbol"]) == {"BBB"}
    assert len(scores.read("first", model_id="m2", columns=["crps"]).columns) == 1
    assert len(scores.read("first", model_id="m2")) == 2
    assert set(scores.read(horizons=[1, 3])["horizon"]) == {1, 3}
    assert scores.read("first")["sequence"].is_monotonic_increasing


def test_where_nothing_was_issued_or_matured_nothing_is_written(workspace, tmp_path):
    evenings = Evenings(workspace)
    assert evenings.scores.update(evenings.ledger, PriceStore(tmp_path / "nowhere")).matured == 0
    assert Scores(workspace.scores).read().empty
    assert not workspace.scores.exists()


def test_a_forecast_on_other_levels_is_scored_on_its_own(evenings):
    evenings.pass_by(0, 1)
    day = evenings.days[0]
    other = normal_forecast("AAA", str(day.date()), levels=(0.25, 0.5, 0.75), last_close=100.0)
    evenings.ledger.issue([other], "m2", evenings.now(day), evenings.now(day), {"AAA": replace(other)})
    evenings.pass_by(1, 2)
    scores = evenings.scores.read("now").set_index(["model_id", "symbol"])
    own = scores.loc[("m2", "AAA")]
    assert own["crps"] == own["crps_random_walk"] == crps(other.values[0], np.array(own["outcome"]), other.levels)
    assert own["hit_50"] is not None
    assert own["hit_80"] is None
    assert scores["hit_80"].notna().sum() == 2
