"""What the README and the pages under docs/ say works as they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from forecasting.cli.verbs import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [README, *(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))]
BLOCKS = [b for page in PAGES for b in re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]


def test_it_stays_under_200_lines():
    assert len(README.splitlines()) < 200


@pytest.mark.parametrize("code", [text for language, text in BLOCKS if language == "python"])
def test_their_python_examples_run_and_print_what_they_show(code, tmp_path):
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    # what stands under '# prints', up to the decimals that another kind of processor may round differently
    shown = re.findall(r"^# (\S.*)", code.partition("# prints")[2], re.MULTILINE)
    assert shown
    for line in shown:
        pattern = r"\s+".join(re.escape(re.sub(r"\.\d+\.\.\.$", ".", word)) + r"\S*" for word in line.split())
        assert re.search(pattern, out.stdout), out.stdout


def test_its_commands_are_verbs_of_the_command_line():
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    verbs |= {group.name for group in app.registered_groups}
    named = set(re.findall(r"^\s*(?:\.venv/bin/)?tickercast (\w+)", README, re.MULTILINE))
    assert named
    assert named <= verbs


def test_its_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z][a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_its_links_lead_to_files():
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link
