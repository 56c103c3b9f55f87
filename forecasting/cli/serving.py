"""Serving the dashboard: this process becomes Streamlit's."""

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from forecasting.admission import ADMISSION_VARIABLE, Admission
from forecasting.cli.sign_in import SignIn
from forecasting.errors import TickercastError, UsageError
from forecasting.workspace import WORKSPACE_VARIABLE

# Set over what the user's environment and settings file say, so that nothing opens what is closed here.
_CLOSED = {
    "GLOBAL_DEVELOPMENT_MODE": "false",  # would answer every origin
    "SERVER_ENABLE_CORS": "true",  # by which Streamlit means the protection
    "SERVER_ENABLE_XSRF_PROTECTION": "true",
    "SERVER_ENABLE_STATIC_SERVING": "false",
    "SERVER_ENABLE_AGENT_API": "false",
    "SERVER_MAX_UPLOAD_SIZE": "0",  # no page takes files
    "SERVER_TRUSTED_USER_HEADERS": "{}",  # a header would overrule who signed in
    "CLIENT_SHOW_ERROR_DETAILS": "none",
}


def require_local(address: str) -> None:
    """Raise unless an address, to be served without sign-in, is reached from this machine only."""
    if not _parse(address).is_loopback:
        raise UsageError(
            f"--address {address} is reached from other machines, and without --public nobody is asked who they are; "
            "next: add --public, or leave --address out"
        )


def require_free(address: str, port: int) -> None:
    """Raise unless a port of this machine's address can be listened on."""
    family = socket.AF_INET6 if _parse(address).version == 6 else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise TickercastError(
                f"port {port} of {address} cannot be used ({error.strerror}); next: tickercast dashboard --port "
                f"{port % 65535 + 1}"
            ) from error


def url_of(address: str, port: int) -> str:
    """Return the URL of a port.

    >>> url_of("127.0.0.1", 8501), url_of("::1", 8501)
    ('http://127.0.0.1:8501', 'http://[::1]:8501')
    """
    return f"http://{f'[{address}]' if _parse(address).version == 6 else address}:{port}"


def serve_dashboard(workspace: Path, address: str, port: int, admission: Admission, sign_in: SignIn | None) -> NoReturn:
    """Serve a workspace's dashboard until interrupted.

    Parameters
    ----------
    sign_in
        How people sign in; needed where the admission is public.
    """
    command = [sys.executable, "-m", "streamlit", "run", "main.py"]
    settings = _CLOSED | {"SERVER_ADDRESS": address, "SERVER_PORT": str(port)}
    if sign_in:  # the proxy in front may pass another Host on, so that names are not checked
        command += ["--secrets.files", str(sign_in.secrets)]
    else:
        settings["SERVER_ALLOWED_HOSTS"] = f"localhost {address}"  # no name that a foreign page rebinds to this machine
    origin = sign_in.origin if sign_in else url_of(address, port)
    settings |= {"SERVER_CORS_ALLOWED_ORIGINS": origin, "CLIENT_ALLOWED_ORIGINS": origin}
    os.environ.update({f"STREAMLIT_{name}": value for name, value in settings.items()})
    os.environ[WORKSPACE_VARIABLE] = str(workspace)
    os.environ[ADMISSION_VARIABLE] = admission.to_text()
    os.chdir(_app_folder())  # where Streamlit finds its other settings
    os.execv(sys.executable, command)  # noqa: S606


def _app_folder() -> Path:
    """Return where the screens are: in the checkout, or inside the package."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_app"
    return shipped if shipped.is_dir() else package.parent / "app"


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        raise UsageError(
            f"--address {address!r} is no IP address; next: leave it out, or name one of this machine's, such as ::1"
        ) from None
