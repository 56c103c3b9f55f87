import numpy as np
import pandas as pd
import pytest
from export_helpers import cells
from helpers import events_of, flat_bars, no_quarantine, normal_forecast, utc
from ledger_helpers import Evenings

from forecasting.errors import DataError, ModelError, WorkspaceBusy
from forecasting.exports.publishing import export_backtest, export_issued, export_prices, export_scores
from forecasting.exports.validation import check_file
from forecasting.instruments import Instrument
from forecasting.ledger import Ledger
from forecasting.registry import Registry
from forecasting.scoring import SCORE_KEY
from forecasting.store import PriceStore
from forecasting.track_record import make_track_record
from forecasting.universe import make_universe

NOW = utc("2018-12-31 22:00")


@pytest.fixture
def issued(workspace):
    """Forecasts of the champion m1 from three sessions; BBB is not in the last one."""
    ledger = Ledger(workspace.ledger)
    for origin, symbols in (("2018-12-27", "AB"), ("2018-12-28", "AB"), ("2018-12-31", "A")):
        ledger.issue([normal_forecast(3 * s, origin) for s in symbols], "m1", NOW, NOW)
    Registry(workspace.models).promote(make_universe(["AAA", "BBB"]), "m1", NOW, "the first")
    return workspace


def heads(path):
    return sorted(set(pd.read_csv(path)[["symbol", "origin"]].itertuples(index=False, name=None)))


def test_the_newest_of_the_champion_goes_to_the_workspaces_own_folder(issued):
    files = export_issued(issued)
    assert {path.parent for path in files} == {issued.exports}
    assert heads(issued.exports / "latest.csv") == [("AAA", "2018-12-31"), ("BBB", "2018-12-28")]
    assert all(check_file(path).valid for path in files if path.suffix == ".csv")


def test_an_earlier_issue_can_be_written_again_as_it_was_and_leaves_the_latest_alone(issued):
    export_issued(issued)
    before = (issued.exports / "latest.csv").read_bytes()
    files = export_issued(issued, origin=pd.Timestamp("2018-12-28"))
    assert [path.name for path in files] == ["forecast-2018-12-28-m1.csv", "forecast-2018-12-28-m1-wide.csv"]
    assert heads(files[0]) == [("AAA", "2018-12-28"), ("BBB", "2018-12-28")]
    assert (issued.exports / "latest.csv").read_bytes() == before
    with pytest.raises(DataError, match="no forecast from 2018-12-25: the 3 origins it has run from 2018-12-27"):
        export_issued(issued, origin=pd.Timestamp("2018-12-25"))


def test_in_a_folder_of_choice_nothing_is_ever_dropped(issued, tmp_path, monkeypatch):
    monkeypatch.setattr("forecasting.exports.files.KEPT_ISSUES", 1)
    for folder in (tmp_path / "mine", None):
        for origin in ("2018-12-27", "2018-12-28", None):
            export_issued(issued, folder=folder, origin=origin and pd.Timestamp(origin))
    assert len(list((tmp_path / "mine").glob("forecast-*"))) == 6
    assert len(list(issued.exports.glob("forecast-*"))) == 2


def test_a_model_without_forecasts_is_named(workspace):
    with pytest.raises(ModelError, match="next: tickercast run"):
        export_issued(workspace)
    for origin in (None, pd.Timestamp("2018-12-28")):
        with pytest.raises(DataError, match="model m9 has issued no forecast; next: tickercast forecast"):
            export_issued(workspace, "m9", origin=origin)


def test_prices_go_to_a_file_by_their_basis(workspace, tmp_path):
    bars = flat_bars("AAA", ["2019-01-02"], [1.5])
    store = PriceStore(workspace.prices)
    store.append([Instrument.from_symbol("AAA", "files")], bars, events_of("AAA"), no_quarantine(), NOW)
    for basis in ("split", "traded"):
        path, _schema = export_prices(workspace, ["AAA"], basis, tmp_path / basis)
        assert path.name == f"prices-{basis}.csv"
        assert check_file(path).rows == 1
    assert not workspace.exports.exists()
    assert export_prices(workspace)[0] == workspace.exports / "prices-split.csv"


def test_scores_are_written_with_the_track_record_they_make(workspace, tmp_path):
    evenings = Evenings(workspace, days=5)
    with pytest.raises(DataError, match="no forecast has been scored; next: tickercast score"):
        export_scores(workspace)
    evenings.pass_by(0, 5)
    scores, _, record, _ = export_scores(workspace, folder=tmp_path)
    assert [path.name for path in (scores, record)] == ["scores.csv", "track-record.csv"]
    assert all(check_file(path).valid for path in (scores, record))
    stored = evenings.scores.read()
    back = cells(scores.read_text())
    assert [(int(row["sequence"]), row["view"]) for row in back] == list(
        stored[SCORE_KEY].itertuples(index=False, name=None)
    )
    for name in ("outcome", "crps", "crps_random_walk", "brier"):
        assert [float(row[name]) for row in back] == stored[name].tolist()
    expected = make_track_record(stored)
    told = cells(record.read_text())
    for name in ("crps", "skill", "low", "coverage_80", "brier"):
        np.testing.assert_array_equal([float(row[name] or "nan") for row in told], expected[name])
    assert {(r["model_id"], r["sessions"], r["needed"]) for r in told if r["horizon"] == "1"} == {
        ("all", "4", "20"), ("m1", "4", "20"),
    }  # fmt: skip
    assert export_scores(workspace, "m1")[0] == workspace.exports / "scores.csv"


def test_a_backtest_that_is_not_there_is_named(workspace):
    with pytest.raises(DataError, match="no backtest 'walk-1' in the workspace, which holds none; next: "):
        export_backtest(workspace, "walk-1")
    with pytest.raises(DataError, match="no backtest in the workspace; next: tickercast backtest"):
        export_backtest(workspace)


def test_while_another_job_writes_the_workspaces_folder_waits_but_a_folder_of_choice_does_not(issued, tmp_path):
    with issued.lock():
        assert export_issued(issued, folder=tmp_path / "mine")
        with pytest.raises(WorkspaceBusy):
            export_issued(issued)
