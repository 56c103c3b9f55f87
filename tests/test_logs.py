import json
from pathlib import Path

import numpy as np
import pytest
from helpers import utc

from forecasting import logs
from forecasting.errors import DataError
from forecasting.logs import JobLog, StepRecord

NOW = utc("2018-12-24 19:00")


@pytest.fixture
def log(tmp_path):
    return JobLog(tmp_path / "logs", "retrain", lambda: NOW)


def lines(folder):
    return (folder / "logs" / "tickercast.log").read_text().splitlines()


def test_a_step_leaves_a_line_and_a_record(log, tmp_path):
    with log.step("fetch") as step:
        step.counts["bars"] = np.int64(12)
        step.detail = "two symbols"
    (line,) = map(json.loads, lines(tmp_path))
    assert line.pop("pid") > 0
    assert 0 <= line.pop("seconds") < 1
    assert line == {
        "at": "2018-12-24T19:00:00+00:00",
        "job": "retrain",
        "step": "fetch",
        "counts": {"bars": 12},
        "outcome": "ok",
        "detail": "two symbols",
    }
    (record,) = log.records
    assert record == StepRecord("fetch", record.seconds, {"bars": 12}, "two symbols")


def test_a_step_that_fails_is_logged_with_its_cause_and_the_error_goes_on(log, tmp_path):
    def fail(error):
        with log.step("train") as step:
            step.counts["symbols"] = 2
            raise error

    with pytest.raises(DataError, match="no prices"):
        fail(DataError("no prices;\nnext: fetch"))
    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    first, second = map(json.loads, lines(tmp_path))
    assert (first["outcome"], first["detail"], first["counts"]) == ("failed", "no prices; next: fetch", {"symbols": 2})
    assert second["outcome"] == "failed"
    assert [record.failed for record in log.records] == [True, True]


def test_a_full_file_makes_room_and_only_so_many_are_kept(log, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MOST_BYTES", 1000)
    for i in range(60):
        log.note("tick", "x" * 100, i=i)
    files = sorted((tmp_path / "logs").iterdir())
    assert [f.name for f in files] == ["tickercast.log", *(f"tickercast.log.{n}" for n in range(1, 6))]
    assert all(f.stat().st_size <= 1000 for f in files)
    told = [json.loads(line)["counts"]["i"] for f in [*files[:0:-1], files[0]] for line in f.read_text().splitlines()]
    assert told == list(range(60 - len(told), 60))


@pytest.mark.parametrize("left", ["x", '{"at": "2018-12-2', '{"at": 1}\n'])
def test_after_a_line_that_was_cut_short_the_next_one_starts_afresh(log, tmp_path, left):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "tickercast.log").write_text(left)
    log.note("wake")
    log.note("wake")
    assert lines(tmp_path)[0] == left.rstrip("\n")
    assert [json.loads(line)["step"] for line in lines(tmp_path)[1:]] == ["wake", "wake"]


def test_a_log_that_cannot_be_written_does_not_stop_the_job_and_says_why(log, tmp_path):
    (tmp_path / "logs").write_text("a file where the folder should be")
    with log.step("fetch") as step:
        step.counts["bars"] = 1
    log.note("wake")
    assert log.problem == f"{tmp_path}/logs/tickercast.log cannot be written (File exists)"
    assert [record.name for record in log.records] == ["fetch", "wake"]
    (tmp_path / "logs").unlink()
    log.note("later")
    assert [json.loads(line)["step"] for line in lines(tmp_path)] == ["later"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_said_once(log, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "tickercast.log").symlink_to("/dev/full")
    log.note("wake")
    log.note("wake")
    assert log.problem == f"{tmp_path}/logs/tickercast.log cannot be written (No space left on device)"
    assert len(log.records) == 2
