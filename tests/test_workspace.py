import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forecasting.errors import WorkspaceBusy, WorkspaceError, WorkspaceNewer
from forecasting.workspace import FORMAT, Workspace, find_workspace, write_atomic

HOLD = """
import sys
from forecasting.workspace import Workspace
with Workspace(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_looking_at_a_workspace_creates_nothing(workspace):
    assert workspace.revision == 0
    assert not workspace.root.exists()


def test_each_publication_raises_the_revision_that_readers_see(workspace):
    with workspace.lock():
        assert [workspace.publish(), workspace.publish()] == [1, 2]
    assert Workspace(workspace.root).revision == 2
    assert json.loads((workspace.root / "workspace.json").read_text()) == {"format": FORMAT, "revision": 2}


def test_a_failed_first_use_leaves_no_folder(tmp_path):
    workspace = Workspace(tmp_path / "some" / "where")
    with pytest.raises(RuntimeError, match="planned in a folder: True"), workspace.lock():
        raise RuntimeError(f"planned in a folder: {workspace.root.is_dir()}")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_later_use_keeps_what_was_published(workspace):
    with workspace.lock():
        workspace.publish()
    with pytest.raises(RuntimeError, match="planned"), workspace.lock():
        raise RuntimeError("planned")
    assert Workspace(workspace.root).revision == 1


def test_a_failed_first_use_keeps_a_folder_that_was_there_before(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(RuntimeError, match="planned"), Workspace(tmp_path).lock():
        raise RuntimeError("planned")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_second_writer_in_this_process_is_told_that_the_workspace_is_busy(workspace):
    with workspace.lock():
        with pytest.raises(WorkspaceBusy, match="one writer at a time"), Workspace(workspace.root).lock():
            pass
        workspace.publish()
    with workspace.lock():
        assert workspace.publish() == 2


def test_another_process_holds_the_workspace_until_it_is_killed(workspace):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(WorkspaceBusy) as caught, workspace.lock():
            pass
        assert caught.value.exit_code == 4
        holder.kill()
    with workspace.lock():
        assert workspace.publish() == 1


def test_a_newer_format_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "workspace.json").write_text(json.dumps({"format": FORMAT + 1, "revision": 3}))
    with pytest.raises(WorkspaceNewer, match=f"format {FORMAT + 1}.*up to {FORMAT}; next: pip install --upgrade"):
        Workspace(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "one", "revision": 0}', "\0"])
def test_a_damaged_state_file_is_named(tmp_path, text):
    (tmp_path / "workspace.json").write_text(text)
    with pytest.raises(WorkspaceError, match="workspace.json cannot be read"):
        Workspace(tmp_path)


def test_a_file_is_no_workspace(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(WorkspaceError, match="is a file: a workspace is a folder"):
        Workspace(path)
    with pytest.raises(WorkspaceError):
        Workspace(path / "below")


def test_the_workspace_is_the_one_asked_for_then_the_variables(tmp_path, monkeypatch):
    assert find_workspace(tmp_path / "asked") == tmp_path / "asked"
    monkeypatch.setenv("STOCKCAST_WORKSPACE", str(tmp_path / "variable"))
    assert find_workspace() == tmp_path / "variable"
    monkeypatch.chdir(tmp_path)
    assert find_workspace("here") == tmp_path / "here"


def test_a_write_replaces_the_whole_file_or_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "file.txt"
    write_atomic(path, "old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"

    def failing(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(WorkspaceError, match=r"file.txt cannot be written \(disk full\); next:"):
        write_atomic(path, "newer")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file.txt"]
