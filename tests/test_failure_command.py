import json
import sys
import time

import pytest
from helpers import utc

from forecasting import failure_command
from forecasting.errors import UsageError
from forecasting.evening_report import EveningReport, report_from_json
from forecasting.failure_command import parse_command, run_on_failure
from forecasting.logs import JobLog

NOW = utc("2018-12-24 19:00")
REPORT = EveningReport("us20", NOW, NOW, "failed", error="no prices; next: tickercast fetch")
TOLD = """
import json, os, sys
told = {name: value for name, value in os.environ.items() if name.startswith("TICKERCAST_")}
with open(sys.argv[1], "w") as file:
    json.dump({"arguments": sys.argv[2:], "environment": told, "input": json.load(sys.stdin)}, file)
"""


@pytest.fixture
def log(tmp_path):
    return JobLog(tmp_path / "logs", "schedule", lambda: NOW)


def test_arguments_reach_the_program_as_they_are_and_no_shell_reads_them(tmp_path, log):
    touched, told = tmp_path / "touched", tmp_path / "told.json"
    arguments = [f"; touch {touched}", f"$(touch {touched})", f"`touch {touched}`", "| cat", "*", "", "a b"]
    command = parse_command(json.dumps([sys.executable, "-c", TOLD, str(told), *arguments]))
    assert run_on_failure(command, REPORT, tmp_path / "reports" / "last-run.json", log) is None
    found = json.loads(told.read_text())
    assert found["arguments"] == arguments
    assert not touched.exists()
    assert found["environment"] == {
        "TICKERCAST_UNIVERSE": "us20",
        "TICKERCAST_OUTCOME": "failed",
        "TICKERCAST_EXIT_CODE": "1",
        "TICKERCAST_SUMMARY": "failed; no prices; next: tickercast fetch",
        "TICKERCAST_REPORT": str(tmp_path / "reports" / "last-run.json"),
    }
    assert report_from_json(found["input"]) == REPORT


@pytest.mark.parametrize(
    "text", ["mail me", "", '"mail"', "[]", "{}", '["mail", 1]', "[[]]", '["no-such-program-here"]', "null"]
)
def test_a_command_that_is_no_list_of_a_program_and_arguments_is_refused(text):
    with pytest.raises(UsageError, match="next:"):
        parse_command(text)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ([sys.executable, "-c", "raise SystemExit(7)"], "ended with 7"),
        (["/no/such/program"], "could not be run"),
        ([sys.executable, "-c", "\0"], "could not be run"),
    ],
)
def test_a_command_that_fails_is_logged_and_is_no_error(tmp_path, log, command, problem):
    assert problem in run_on_failure(command, REPORT, None, log)
    line = json.loads((tmp_path / "logs" / "tickercast.log").read_text())
    assert (line["step"], line["outcome"]) == ("on_failure", "failed")
    assert problem in line["detail"]


def test_a_command_that_hangs_is_killed_with_what_it_started(tmp_path, log, monkeypatch):
    monkeypatch.setattr(failure_command, "TIME_LIMIT_S", 0.4)
    started, late = tmp_path / "started", tmp_path / "late"
    hanging = f"touch {started}; (sleep 1; touch {late}) & wait"
    assert "took longer than 0.4 s and was killed" in run_on_failure(["sh", "-c", hanging], REPORT, None, log)
    assert started.exists()
    time.sleep(1)
    assert not late.exists()
