"""A built wheel works outside the checkout. Dependencies come from this environment, so no network is needed."""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow

SCREEN = """
import sys
from streamlit.testing.v1 import AppTest
at = AppTest.from_file(sys.argv[1], default_timeout=60).switch_page("views/forecast.py").run()
assert not at.exception, at.exception
assert not at.error, at.error
print(len(at.get("plotly_chart")), "chart")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A clean environment with the wheel; this environment's packages are on its path, its editable install is not."""
    home = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
    python = home / "venv" / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True)
    site = next((home / "venv" / "lib").glob("python3*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return home


def _environment(home):
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


def test_the_wheel_carries_screens_settings_and_universes_inside_the_package_only(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    screens = ("_app/main.py", "_app/views/forecast.py", "_app/.streamlit/config.toml")
    for path in (*screens, "_universes/us20.csv", "schemas/prices-1.schema.json"):
        assert f"forecasting/{path}" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"forecasting"}
    assert not any("__pycache__" in name for name in names)


def test_the_installed_command_runs_the_sample_and_serves_the_dashboard(installed):
    tickercast = str(installed / "venv" / "bin" / "tickercast")
    environment = _environment(installed)
    where = subprocess.run(
        [str(installed / "venv/bin/python"), "-c", "import forecasting; print(forecasting.__file__)"],
        check=True, capture_output=True, text=True, cwd=installed, env=environment,
    ).stdout  # fmt: skip
    assert str(installed) in where

    run = subprocess.run(
        [tickercast, "run", "--source", "sample"], capture_output=True, text=True, cwd=installed, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert "2019-01-02" in run.stdout
    assert list(installed.rglob("exports/latest.csv")), "the workspace is in the user's data folder"

    screen = subprocess.run(
        [str(installed / "venv/bin/python"), "-c", SCREEN, str(next(installed.rglob("_app/main.py")))],
        capture_output=True, text=True, cwd=installed, env=environment,
    )  # fmt: skip
    assert screen.returncode == 0, screen.stderr
    assert screen.stdout == "1 chart\n"

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([tickercast, "dashboard", "--port", str(port)], cwd=installed, env=environment)
    try:
        assert _answers(f"http://127.0.0.1:{port}/_stcore/health") == b"ok"
        assert b"<title>" in _answers(f"http://127.0.0.1:{port}/")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=20)


def _answers(url):
    for _ in range(60):
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{url} never answered")
