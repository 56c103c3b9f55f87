"""Serving the dashboard: this process becomes Streamlit's."""

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from forecasting.errors import TickercastError
from forecasting.workspace import WORKSPACE_VARIABLE


def require_free(port: int) -> None:
    """Raise unless a port of 127.0.0.1 can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise TickercastError(
                f"port {port} of 127.0.0.1 cannot be used ({error.strerror}); next: tickercast dashboard --port "
                f"{port % 65535 + 1}"
            ) from error


def _app_folder() -> Path:
    """Return where the screens are: in the checkout, or inside the package."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_app"
    return shipped if shipped.is_dir() else package.parent / "app"


def serve_dashboard(workspace: Path, port: int) -> NoReturn:
    """Serve a workspace's dashboard on 127.0.0.1 until interrupted."""
    os.environ[WORKSPACE_VARIABLE] = str(workspace)
    os.chdir(_app_folder())  # where Streamlit finds its settings
    command = [sys.executable, "-m", "streamlit", "run", "main.py", "--server.port", str(port)]
    os.execv(sys.executable, command)  # noqa: S606
