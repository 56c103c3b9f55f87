import json
import os
import subprocess
import sys
import time

import pandas as pd
import pytest
from cli_helpers import Tickercast
from helpers import utc

from forecasting import Ending, Job, Workspace, cancel_job, job_at_work, last_ending, start_job
from forecasting.errors import UsageError, WorkspaceBusy
from forecasting.processes import birth_of

NOW = utc("2019-01-01 12:00")
FETCH = ("fetch", "--source", "synthetic")
LONG = ("train", "SYN1", "SYN2", "--epochs", "500")


def wait(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def run(workspace, *command):
    start_job(workspace, command, NOW)
    return wait(lambda: last_ending(workspace))


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """Prices of two of the symbols that `FETCH` asks for."""
    workspace = Workspace(tmp_path_factory.mktemp("background") / "workspace")
    assert Tickercast(workspace.root)("fetch", "SYN1", "SYN2", "--source", "synthetic").exit_code == 0
    return workspace


def test_one_job_at_a_time_is_seen_by_all_goes_on_without_its_starter_and_can_be_cancelled(fetched):
    starter = (
        "import sys, pandas as pd\nfrom forecasting import Workspace, start_job\n"
        "start_job(Workspace(sys.argv[1]), sys.argv[2:], pd.Timestamp('2019-01-01 12:00', tz='UTC'))\n"
    )
    subprocess.run([sys.executable, "-c", starter, str(fetched.root), *LONG], check=True)
    job = job_at_work(fetched)
    assert (job.verb, job.command, job.started) == ("train", LONG, NOW)
    assert last_ending(fetched) is None
    with pytest.raises(WorkspaceBusy, match="one"):
        start_job(fetched, FETCH, NOW)
    job = wait(lambda: (found := job_at_work(fetched)) and found.progress and found)
    assert job.progress["what"]
    assert job.progress["total"] >= 500
    with pytest.raises(WorkspaceBusy):
        start_job(fetched, FETCH, NOW)
    assert cancel_job(fetched)
    ending = wait(lambda: last_ending(fetched))
    assert (ending.state, ending.error) == ("cancelled", "")
    assert job_at_work(fetched) is None
    assert not cancel_job(fetched)
    records = sorted(fetched.jobs.glob("*-train-*.json"))
    assert json.loads(records[-1].read_text())["state"] == "cancelled"
    ending = run(fetched, *FETCH)
    assert (ending.state, ending.error, ending.failures) == ("done", "", {})
    assert (ending.command, ending.started) == (FETCH, NOW)
    assert ending.result["added"] > 0


def test_a_job_of_another_process_is_seen_and_left_alone(fetched):
    with fetched.lock(), pytest.raises(WorkspaceBusy):
        start_job(fetched, FETCH, NOW)
    assert not cancel_job(fetched)


def test_what_failed_says_why(fetched, workspace):
    ending = run(fetched, "train", "NOPE")
    assert ending.state == "failed"
    assert "NOPE" in ending.error
    assert run(fetched, "train", "--nonsense").error.startswith("it ended without a result")
    partly = run(workspace, "fetch", "SYN1", "OTHER", "--source", "synthetic")
    assert partly.state == "partly"
    assert list(partly.failures) == ["OTHER"]


def test_only_some_verbs_can_be_started(fetched):
    for command in ((), ("dashboard",), ("models", "promote")):
        with pytest.raises(UsageError, match="jobs are"):
            start_job(fetched, command, NOW)


def test_nothing_was_started_in_a_new_workspace_nor_in_one_with_a_damaged_note(tmp_path):
    workspace = Workspace(tmp_path)
    assert job_at_work(workspace) is last_ending(workspace) is None
    workspace.background.mkdir(parents=True)
    (workspace.background / "started.json").write_text("{")
    assert job_at_work(workspace) is last_ending(workspace) is None


def test_a_process_is_told_from_another_of_its_number_and_from_one_that_ended():
    assert birth_of(os.getpid()) == birth_of(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert birth_of(child.pid) not in (None, birth_of(os.getpid()))
        child.communicate(b"\n")
        assert birth_of(child.pid) is None
    with subprocess.Popen([sys.executable, "-c", ""]) as zombie:
        wait(lambda: birth_of(zombie.pid) is None)


def ending(result):
    return Ending(("train",), NOW, "done", "", {}, result)


TRAINED = {"model_id": "rnn-2", "champion": "rnn-2", "promoted": True, "universe": "us20", "reason": "refresh: better"}


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"added": 1200, "quarantined": 0}, "1,200 new bars, 0 rows put into quarantine."),
        (TRAINED, "Model rnn-2 was promoted and serves us20 now: refresh: better."),
        (
            {**TRAINED, "champion": "rnn-1", "promoted": False, "reason": "no better"},
            "Model rnn-2 was not promoted, rnn-1 goes on serving us20: no better.",
        ),
        ({**TRAINED, "promoted": False}, "Model rnn-2 serves us20 already: refresh: better."),
        ({"backtest_id": "walk-1", "summary": "It ties."}, "It ties."),
        ({"matured": 3, "restated": 1, "ledger_head": {}}, "3 forecasts scored, 1 scored anew."),
        (
            {
                "model_id": "m",
                "fetch": {"added": 1, "quarantined": 2},
                "forecast": {"ledger_rows": 40, "model_id": "m"},
            },
            "1 new bars, 2 rows put into quarantine. 40 new rows in the ledger, by model m.",
        ),
        ({}, ""),
        ({"error": "it broke"}, ""),
    ],
)
def test_an_ending_says_in_words_what_came_of_it(result, said):
    assert ending(result).summary == said


def test_a_job_says_how_far_it_is_and_how_long_it_takes_yet():
    later = NOW + pd.Timedelta(seconds=70)
    progress = {"what": "train", "done": 1, "total": 4, "left_s": 210.0}
    assert Job("train", NOW, None).doing(later) == "at work for 70 s"
    assert Job("train", NOW, progress).doing(later) == "25%, about 4 min left, at work for 70 s"
    assert Job("run", NOW, {**progress, "left_s": None}).doing(later) == "train 25%, at work for 70 s"
    assert Job("run", NOW, {"what": "fetch", "done": 0, "total": 0}).doing(NOW) == "fetch 0%, at work for 0 s"
