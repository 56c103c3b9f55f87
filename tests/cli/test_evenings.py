"""`tickercast schedule` as a process: what ends it, and how."""

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from forecasting.evening_report import last_report
from forecasting.workspace import Workspace

# an evening of steps that take a while, each of which leaves a file, and which asks between them whether to go on
STEPS = """
import sys, time
from functools import partial
import pandas as pd
from forecasting.cli.stopping import stopping
from forecasting.evening_report import EveningReport, save_report
from forecasting.scheduler import Schedule, run_schedule
from forecasting.workspace import Workspace

workspace, seconds, now = Workspace(sys.argv[1]), float(sys.argv[2]), partial(pd.Timestamp.now, "UTC")
with stopping() as wish:
    def job():
        started = now()
        with workspace.lock():
            for step in "abc":
                print(step, flush=True)
                time.sleep(seconds)
                (workspace.root / step).touch()
                if wish.asked():
                    break
            report = EveningReport("us20", started, now(), "done")
            save_report(workspace, report)
        return report

    run_schedule(Schedule(
        workspace, "us20", job, lambda: ["XNYS"], now, wish.sleep, wish.asked, lambda report: None,
        lambda report, path: None, lambda words: print(words, flush=True),
    ))
print("ended", flush=True)
"""


@pytest.fixture
def start():
    """Start Python processes that do not outlive the test."""
    with ExitStack() as started:

        def begin(*command):
            words = [sys.executable, *map(str, command)]
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield begin


def end(process, number):
    """Send a signal, and return what the process still says and how long it took to end."""
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    return out, err, time.monotonic() - began


def test_a_running_evening_ends_after_its_step_and_the_process_with_0(tmp_path, start):
    process = start("-c", STEPS, tmp_path, 0.5)
    assert process.stdout.readline() == "a\n"
    out, err, took = end(process, signal.SIGTERM)
    assert (process.returncode, out, err) == (0, "ended\n", "")
    assert took < 3
    assert [(tmp_path / step).exists() for step in "abc"] == [True, False, False]
    assert last_report(Workspace(tmp_path)).outcome == "done"


def test_between_two_evenings_it_ends_at_once(tmp_path, start):
    process = start("-c", STEPS, tmp_path, 0)
    assert [process.stdout.readline() for _ in range(3)] == ["a\n", "b\n", "c\n"]
    assert process.stdout.readline().startswith("next run at ")
    out, _, took = end(process, signal.SIGTERM)
    assert (process.returncode, out) == (0, "ended\n")
    assert took < 3


def test_a_second_interrupt_does_not_wait_for_the_step(tmp_path, start):
    process = start("-c", STEPS, tmp_path, 60)
    assert process.stdout.readline() == "a\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    _, err, took = end(process, signal.SIGINT)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    assert took < 10
    with Workspace(tmp_path).lock():  # is free
        pass


def test_the_verb_stays_up_logs_and_ends_with_0(tmp_path, start):
    universe = tmp_path / "mine.csv"
    universe.write_text("symbol\nSYN1\n")
    place = tmp_path / "place"
    command = ["-m", "forecasting", "schedule", "--universe", universe, "--source", "synthetic", "--json"]
    process = start(*command, "--workspace", place)
    assert any("next run at " in line for line in process.stderr)
    assert process.poll() is None
    out, err, _ = end(process, signal.SIGTERM)
    assert process.returncode == 0
    assert err.endswith("tickercast: stopped, as asked\n")
    (report,) = map(json.loads, out.splitlines())
    assert report["universe"] == "mine"
    steps = [json.loads(line)["step"] for line in (place / "logs" / "tickercast.log").read_text().splitlines()]
    assert (steps[0], steps[-1]) == ("wake", "evening")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--universe", "us20", "--on-failure", "mail me; true"], 2, "a JSON list of strings"),
        (["--universe", "us20", "--on-failure", '["no-such-program-here"]'], 2, "no program"),
        (["--universe", "nowhere"], 2, "no such file"),
        ([], 2, "has no symbols of its own"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(tickercast, arguments, code, told):
    result = tickercast("schedule", *arguments)
    assert result.exit_code == code
    assert told in result.stderr
    assert "next: " in result.stderr
    assert not tickercast.workspace.exists()
