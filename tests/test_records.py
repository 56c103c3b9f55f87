import json
import os
import subprocess
import sys

import pytest
from helpers import utc

from forecasting import records
from forecasting.config import no_progress
from forecasting.errors import DataError
from forecasting.records import JobRecord, running_job
from forecasting.status import read_status

NOW, LATER = utc("2019-01-01 12:00"), utc("2019-01-01 13:00")


def stored(workspace):
    return [json.loads(path.read_text()) for path in sorted(workspace.jobs.glob("*.json"))]


@pytest.fixture
def often(monkeypatch):
    """Progress is written at every call."""
    monkeypatch.setattr(records, "_INTERVAL_S", 0.0)


def test_a_job_is_seen_running_and_how_far_it_is(workspace, often):
    heard = []
    with JobRecord(workspace, "train", NOW) as record:
        (seen,) = stored(workspace)
        assert (seen["state"], seen["progress"], seen["verb"], seen["pid"]) == ("running", None, "train", os.getpid())
        with record.step("train"):
            record.watch(lambda *call: heard.append(call))("train", 3, 10)
            assert running_job(workspace) == {
                **seen,
                "progress": {"what": "train", "done": 3, "total": 10, "left_s": None},
            }
            assert read_status(workspace)["running"]["verb"] == "train"
    (ended,) = stored(workspace)
    assert (ended["state"], ended["progress"], list(ended["seconds"])) == ("done", None, ["train"])
    assert heard == [("train", 3, 10)]
    assert running_job(workspace) is read_status(workspace)["running"] is None


def test_progress_is_written_once_a_while_however_often_it_is_told(workspace, monkeypatch):
    instants = iter([0.0, 0.4, 0.9, 1.1, 1.1, 1.5, 9.0, 9.0, 9.1])
    monkeypatch.setattr(records.time, "monotonic", lambda: next(instants))
    seen = []
    with JobRecord(workspace, "train", NOW) as record, record.step("train"):
        watched = record.watch(no_progress)
        for done in range(1, 6):
            watched("train", done, 9)
            seen.append(stored(workspace)[0]["progress"])
        assert [s and s["done"] for s in seen] == [None, None, 3, 3, 5]
        monkeypatch.undo()


def run(workspace, *steps, watched=False, error=None):
    """Run a job whose last step raises an error, after it has told how far it is or before."""
    with JobRecord(workspace, "run", NOW) as record:
        for name in steps:
            with record.step(name):
                if watched:
                    record.watch(no_progress)(name, 1, 2)
                if name == steps[-1] and error:
                    raise error
        record.watch(no_progress)("fetch", 1, 2)
        if not steps and error:
            raise error


@pytest.mark.parametrize("steps", [[], ["train"]])
def test_a_job_that_is_refused_before_it_has_begun_leaves_no_record(workspace, steps):
    with pytest.raises(DataError):
        run(workspace, *steps, error=DataError("too little"))
    assert not workspace.jobs.exists()
    assert workspace.revision == 0


def test_a_job_that_had_nothing_to_do_leaves_no_record(workspace):
    run(workspace)
    assert not workspace.jobs.exists()


def test_a_job_that_fails_at_work_says_so_and_publishes_nothing(workspace):
    with pytest.raises(DataError):
        run(workspace, "train", watched=True, error=DataError("training broke; next: again"))
    (record,) = stored(workspace)
    assert (record["state"], record["error"]) == ("failed", "training broke; next: again")
    assert record["progress"] == {"what": "train", "done": 1, "total": 2, "left_s": None}
    assert workspace.revision == 0


def test_a_job_that_is_cancelled_after_a_step_keeps_what_that_published(workspace):
    with pytest.raises(KeyboardInterrupt):
        run(workspace, "fetch", "train", error=KeyboardInterrupt())
    (record,) = stored(workspace)
    assert (record["state"], list(record["seconds"])) == ("cancelled", ["fetch"])
    assert workspace.revision == 1


def test_a_killed_job_is_not_taken_for_a_running_one_and_the_next_one_notes_it(workspace):
    code = (
        "import os, signal, sys\nimport pandas as pd\nfrom forecasting.records import JobRecord\n"
        "from forecasting.workspace import Workspace\n"
        "JobRecord(Workspace(sys.argv[1]), 'train', pd.Timestamp('2019-01-01 12:00', tz='UTC')).__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(workspace.root)]).returncode < 0
    assert stored(workspace)[0]["state"] == "running"
    assert running_job(workspace) is None
    with JobRecord(workspace, "fetch", LATER) as record, record.step("fetch"):
        assert running_job(workspace)["verb"] == "fetch"
    assert [record["state"] for record in stored(workspace)] == ["killed", "done"]


def test_records_of_earlier_versions_and_damaged_ones_are_left_alone(workspace):
    workspace.jobs.mkdir(parents=True)
    (workspace.jobs / "20180101T000000-fetch-1.json").write_text('{"verb": "fetch", "pid": 1, "seconds": {"fetch": 1}}')
    (workspace.jobs / "20180102T000000-fetch-1.json").write_text("{")
    before = {path: path.read_text() for path in workspace.jobs.iterdir()}
    assert running_job(workspace) is None
    with JobRecord(workspace, "train", NOW) as record, record.step("train"):
        pass
    assert {path: path.read_text() for path in before} == before
