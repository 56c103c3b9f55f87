"""The dashboard as a person meets it: a real server, and Chromium to look at it with."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
_TRIES = 300  # of a tenth of a second: what a server may take to start


class Server:
    """A workspace's dashboard, served by `tickercast dashboard` in a process of its own until `stop`.

    On a free port, where none is asked for.
    """

    def __init__(
        self, root: Path, *options: str, port: int | None = None, environment: dict[str, str] | None = None
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "forecasting", "dashboard", "--port", str(self.port), "--workspace", str(root)]
        self.log = root.parent / f"dashboard-{self.port}.log"
        with self.log.open("wb") as log:
            environment = {**os.environ, **(environment or {})}
            self.process = subprocess.Popen([*command, *options], stdout=log, stderr=log, env=environment)
        self._wait()

    def _wait(self) -> None:
        for _ in range(_TRIES):
            assert self.process.poll() is None, self.log.read_text()
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5):
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Give Chromium: that of `$CHROMIUM`, which `tools/browser.sh` finds, or Debian's."""
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS.split())
        yield browser
        browser.close()
