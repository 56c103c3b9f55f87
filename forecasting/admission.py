"""Whom a served dashboard lets in, and who of them may act on it."""

import json
import os
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from forecasting.errors import UsageError

ADMISSION_VARIABLE = "STOCKCAST_ADMISSION"

# ASCII only: in Unicode other people's addresses fold to the same letters (the Kelvin sign to k)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def fold_address(address: str) -> str:
    """Return an e-mail address as it is compared.

    >>> fold_address(" Ada@Example.org")
    'ada@example.org'
    """
    return address.strip().translate(_LOWER)


@dataclass(frozen=True)
class Admission:
    """Whom a dashboard lets in, and who may act.

    Parameters
    ----------
    public
        Whether others than this machine's user reach it: then who looks must have signed in with a listed address.
        Otherwise everyone who reaches it may look and act.
    read_only
        Nobody acts, whoever it is.
    readers, operators
        E-mail addresses. Operators may act, and look too.
    """

    public: bool
    read_only: bool = False
    readers: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("readers", "operators"):
            object.__setattr__(self, name, frozenset(map(fold_address, getattr(self, name))))

    @property
    def listed(self) -> frozenset[str]:
        """The addresses of all who may look."""
        return self.readers | self.operators

    def admits(self, address: str | None) -> bool:
        """Return whether who signed in with this address, or nobody, may look."""
        return not self.public or _is_listed(address, self.listed)

    def lets_act(self, address: str | None) -> bool:
        """Return whether who signed in with this address, or nobody, may start, cancel and change things."""
        return not self.read_only and (not self.public or _is_listed(address, self.operators))

    def to_text(self) -> str:
        """Return it as JSON; `read_admission` reads it back."""
        return json.dumps(asdict(self), default=sorted)


def read_admission(text: str) -> Admission:
    """Return what `Admission.to_text` wrote.

    Raises
    ------
    UsageError
        It is something else. Nobody is let in by rules that cannot be read.
    """
    try:
        return Admission(**json.loads(text))
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{ADMISSION_VARIABLE} does not say whom to let in; next: start it with tickercast dashboard, which sets it"
        ) from error


def find_admission() -> Admission:
    """Return the rules that the dashboard was started with; where there are none, the dashboard is not public."""
    text = os.environ.get(ADMISSION_VARIABLE)
    return Admission(public=False) if text is None else read_admission(text)


def vouched_address(claims: Mapping[str, Any]) -> str | None:
    """Return the e-mail address that a sign-in provider vouches for; none where it says that it does not.

    Parameters
    ----------
    claims
        Of an OpenID Connect identity token: `email`, and `email_verified`, which some providers leave out and some
        write as text. Source: OpenID Connect Core 1.0, section 5.1.
    """
    address = claims.get("email")
    refuted = str(claims.get("email_verified", True)).strip().lower() == "false"
    return None if refuted or not isinstance(address, str) else fold_address(address) or None


def _is_listed(address: str | None, listed: frozenset[str]) -> bool:
    return address is not None and fold_address(address) in listed
