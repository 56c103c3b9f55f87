"""The workspace: every path, the lock, atomic writes, the format number and the revision.

A workspace is a folder. Reading never creates or changes it. Whoever writes holds `lock()` and ends
with `publish()`, which raises the revision by one: readers cache by revision.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from forecasting.errors import WorkspaceBusy, WorkspaceError, WorkspaceNewer

T = TypeVar("T")

FORMAT = 1
WORKSPACE_VARIABLE = "STOCKCAST_WORKSPACE"


def find_workspace(asked: str | Path | None = None) -> Path:
    """Return the folder to use: the one asked for, else the variable's, the checkout's, the user's."""
    if asked:
        return Path(asked).expanduser().resolve()
    if from_environment := os.environ.get(WORKSPACE_VARIABLE):
        return Path(from_environment).expanduser().resolve()
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "data" / "README.md").is_file():
        return checkout / "data"
    from platformdirs import user_data_path

    return user_data_path("tickercast", appauthor=False)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part; raises as `writing` does."""
    with writing(path) as handle:
        handle.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to be written bit by bit; readers see the old content until all of the new one is there.

    Raises
    ------
    WorkspaceError
        It cannot be written; the old content stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"{path} cannot be written ({error.strerror or error}); next: check that {path.parent} is a folder with "
            "free space that you may write to"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    write_atomic(path, json.dumps(value, indent=1, default=str) + "\n")


def read_json(path: Path, build: Callable[[Any], T]) -> T:
    """Return what `build` makes of the content of a JSON file of the workspace.

    Raises
    ------
    WorkspaceError
        It is there but does not hold what it should; a file that is not there raises `FileNotFoundError`.
    """
    try:
        return build(json.loads(path.read_text()))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WorkspaceError(
            f"{path} cannot be read ({error!r}); next: restore it from a copy, or choose another folder with "
            "--workspace"
        ) from error


class Workspace:
    """A workspace folder, which need not exist yet.

    Parameters
    ----------
    root
        The folder; `find_workspace` chooses one.

    Raises
    ------
    WorkspaceError
        The path is not a folder, or its `workspace.json` cannot be read.
    WorkspaceNewer
        It was written by a newer tickercast.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if self.root.exists() and not self.root.is_dir():
            raise WorkspaceError(f"workspace {self.root} is a file: a workspace is a folder; next: --workspace FOLDER")
        self.prices = self.root / "prices"
        self.ledger = self.root / "ledger"
        self.scores = self.root / "scores"
        self.models = self.root / "models"
        self.training = self.root / "training"
        self.backtests = self.root / "backtests"
        self.exports = self.root / "exports"
        self.jobs = self.root / "jobs"
        self.background = self.jobs / "background"
        self.logs = self.root / "logs"
        self.reports = self.root / "reports"
        self._state()

    def _state(self) -> dict[str, int]:
        try:
            found, revision = read_json(
                self.root / "workspace.json", lambda state: (int(state["format"]), int(state["revision"]))
            )
        except FileNotFoundError:
            return {"format": FORMAT, "revision": 0}
        if found > FORMAT:
            raise WorkspaceNewer(
                f"workspace {self.root} has format {found}, this tickercast knows up to {FORMAT}; "
                "next: pip install --upgrade tickercast, or choose another folder with --workspace"
            )
        return {"format": found, "revision": revision}

    @property
    def revision(self) -> int:
        """How often the workspace has been published; 0 where nothing has been."""
        return self._state()["revision"]

    def publish(self) -> int:
        """Tell readers that something changed; return the new revision."""
        revision = self.revision + 1
        write_json(self.root / "workspace.json", {"format": FORMAT, "revision": revision})
        return revision

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing; a folder created for it goes again if nothing was published.

        Raises
        ------
        WorkspaceBusy
            Another process holds it.
        WorkspaceError
            The folder cannot be written.
        """
        from filelock import FileLock, Timeout

        created = [p for p in (self.root, *self.root.parents) if not p.exists()]
        path = self.root / ".lock"
        new_lock = not path.exists()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, timeout=0)
            lock.acquire()
        except Timeout as error:
            raise WorkspaceBusy(
                f"another tickercast is writing to {self.root}: one writer at a time; next: try again when it "
                "has ended (tickercast status reads meanwhile)"
            ) from error
        except OSError as error:
            raise WorkspaceError(
                f"workspace {self.root} cannot be written ({error.strerror or error}); next: check its "
                "permissions and free space, or choose another folder with --workspace"
            ) from error
        try:
            for depth in ("", "*/", "*/*/"):  # what a killed writer left half-written
                for leftover in self.root.glob(f"{depth}.*.tmp"):
                    leftover.unlink(missing_ok=True)
            yield
        finally:
            if new_lock and not (self.root / "workspace.json").exists():
                path.unlink(missing_ok=True)
            lock.release()
            for folder in created:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
