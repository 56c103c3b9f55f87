"""The templates under deploy/ say what the command line understands."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import utc
from typer.main import get_command

from forecasting.cli.verbs import app
from forecasting.evening_report import EveningReport, save_report

DEPLOY = Path(__file__).parent.parent / "deploy"
NOW = utc("2018-12-24 19:00")


def after(path, pattern):
    (found,) = re.findall(pattern, (DEPLOY / path).read_text(), re.MULTILINE)
    return found


def test_what_stays_up_is_started_with_options_that_the_verb_has():
    for words in (
        shlex.split(after("tickercast.service", r"^ExecStart=\S+/tickercast (.*)$")),
        json.loads(after("Containerfile", r"^CMD (\[.*\])$")),
    ):
        get_command(app).commands[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize(("outcome", "healthy"), [(None, True), ("done", True), ("partly", True), ("failed", False)])
def test_the_container_is_unhealthy_while_the_last_run_failed(workspace, outcome, healthy):
    if outcome:
        save_report(workspace, EveningReport("us20", NOW, NOW, outcome))
    program, flag, code = json.loads(after("Containerfile", r"^HEALTHCHECK .* CMD (\[.*\])$"))
    assert (program, flag) == ("python", "-c")
    assert "'/data/reports/" in code
    here = code.replace("'/data/", f"'{workspace.root}/")
    assert subprocess.run([sys.executable, "-c", here]).returncode == (0 if healthy else 1)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_units(tmp_path):
    units = [path for path in DEPLOY.iterdir() if path.suffix in (".service", ".timer")]
    assert len(units) == 3
    for unit in units:
        text = re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text())  # one that is here
        (tmp_path / unit.name).write_text(text)
    result = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in units)], capture_output=True, text=True
    )
    assert (result.returncode, str(tmp_path) in result.stderr) == (0, False), result.stderr
