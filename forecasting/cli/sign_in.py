"""What a public dashboard needs before it is served: who is let in, and how they sign in."""

import ipaddress
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from forecasting.admission import Admission
from forecasting.errors import TickercastError, UsageError

_NEEDED = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
_CALLBACK = "/oauth2callback"
_SHORTEST_SECRET = 32
_ADDRESS = r"[^\s@/]+@[^\s@/]+"


@dataclass(frozen=True)
class SignIn:
    """How people sign in.

    Parameters
    ----------
    secrets
        File that tells Streamlit the provider, and what only the server may know.
    origin
        Scheme, host and port that people open the dashboard under.
    """

    secrets: Path
    origin: str


def decide_admission(
    public: bool, read_only: bool, allow: Sequence[str], operators: Sequence[str], secrets: Path | None
) -> tuple[Admission, SignIn | None]:
    """Return whom a dashboard lets in and, where it is public, how they sign in.

    Parameters
    ----------
    allow, operators
        As in `read_addresses`.
    secrets
        As in `require_sign_in`.

    Raises
    ------
    TickercastError
        The options contradict each other, or something is missing that a public dashboard needs.
    """
    if not public:
        if allow or operators or secrets:
            raise UsageError(
                "--allow, --operator and --secrets say who may come in from outside, and without --public nobody may; "
                "next: add --public"
            )
        return Admission(public=False, read_only=read_only), None
    if read_only and operators:
        raise UsageError("--read-only refuses what --operator allows; next: name the same people with --allow")
    admission = Admission(True, read_only, read_addresses(allow), read_addresses(operators))
    if not admission.listed:
        raise UsageError(
            "--public lets in who is listed, and no address is; next: tickercast dashboard --public --allow "
            "ada@example.org"
        )
    return admission, require_sign_in(secrets)


def read_addresses(asked: Sequence[str]) -> frozenset[str]:
    """Return the e-mail addresses that are named, each by itself or as a line of a file.

    A file may have empty lines, and comments on lines that start with #.

    Raises
    ------
    UsageError
        One is neither an address nor a file that can be read, or a line of a file is no address.
    """
    return frozenset(address for text in asked for address in _addresses_of(text))


def require_sign_in(secrets: Path | None) -> SignIn:
    """Return how people sign in, once everything that Streamlit needs for it is there.

    Parameters
    ----------
    secrets
        Streamlit's secrets.toml with a section [auth]; by default the one of the user's ~/.streamlit.

    Raises
    ------
    TickercastError
        Something is missing, or would let in more than those who are asked for. No secret is in the text.
    """
    for package in ("authlib", "httpx"):
        if find_spec(package) is None:
            raise TickercastError(
                f"--public signs people in with the package {package}, which is not installed; "
                "next: pip install 'streamlit[auth]'"
            )
    path = (secrets or Path("~/.streamlit/secrets.toml")).expanduser().absolute()
    auth = _read_auth(path)
    if missing := [key for key in _NEEDED if not (isinstance(auth.get(key), str) and auth[key])]:
        raise _incomplete(path, f"has no {', '.join(missing)} in its section [auth]")
    if len(auth["cookie_secret"]) < _SHORTEST_SECRET:
        raise TickercastError(
            f"cookie_secret in {path} is shorter than {_SHORTEST_SECRET} characters: who guesses it is whom they like; "
            "next: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    redirect = urlsplit(auth["redirect_uri"])
    if redirect.path != _CALLBACK:
        raise _incomplete(path, f"has a redirect_uri that does not end with the host and {_CALLBACK}")
    for key in ("redirect_uri", "server_metadata_url"):
        if not _is_safe(auth[key]):
            raise _incomplete(path, f"has a {key} that is not https://, so that others could read along")
    return SignIn(path, f"{redirect.scheme}://{redirect.netloc}")


def _addresses_of(text: str) -> Iterator[str]:
    if re.fullmatch(_ADDRESS, text.strip()):
        yield text
        return
    try:
        lines = Path(text).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{text!r} is neither an e-mail address nor a file of them that can be read; next: name an address such as "
            "ada@example.org, or a file with one on each line"
        ) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not re.fullmatch(_ADDRESS, line.strip()):
            raise UsageError(
                f"line {number} of {text} is no e-mail address: {line.strip()[:60]!r}; next: write one on each line, "
                "comments after a #"
            )
        yield line


def _read_auth(path: Path) -> dict[str, Any]:
    if path.suffix != ".toml":
        raise UsageError(f"{path} is no secrets.toml, by its name; next: --secrets FILE.toml")
    try:
        auth = tomllib.loads(path.read_text(encoding="utf-8")).get("auth", {})
    except FileNotFoundError:
        raise _incomplete(path, "is not there") from None
    except OSError as error:
        raise _incomplete(path, f"cannot be read ({error.strerror})") from error
    except ValueError:  # its text may quote a secret
        raise _incomplete(path, "is no TOML") from None
    return auth if isinstance(auth, dict) else {}


def _incomplete(path: Path, found: str) -> TickercastError:
    return TickercastError(
        f"--public needs to know how people sign in, but {path} {found}; next: write {', '.join(_NEEDED)} into its "
        "section [auth], as docs/dashboard.md shows"
    )


def _is_safe(url: str) -> bool:
    """Return whether nobody on the way can read what is sent to a URL: by TLS, or because it stays on this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    try:
        here = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        here = False
    return parts.scheme == "http" and here
