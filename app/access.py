"""Who may do what: where the dashboard is public, who looks has signed in, and only operators change anything.

Nothing of the workspace is read or shown before `require_access` has returned, and whatever changes something asks
`refused` first, whatever was on screen.
"""

import re
import shlex

import streamlit as st

from forecasting import find_admission, find_workspace, vouched_address

_PATHS = re.compile(r"""(?P<quote>['"`])~?/.*?(?P=quote)|(?<![\w.:/~-])~?/[^\s'"`,;:()]+""")


def require_access() -> None:
    """Let in who may look. Everybody else sees how to sign in, or that they are not listed, and nothing more."""
    if _is_open():
        st.error(
            "Other machines reach this server, and it asks nobody who they are. Next: tickercast dashboard --public"
        )
        st.stop()
    if find_admission().admits(visitor()):
        return
    st.title("tickercast")
    if not st.user.get("is_logged_in"):
        st.markdown("Probabilistic price forecasts, for who is invited.")
        st.button("Sign in", on_click=st.login, type="primary", icon=":material/login:")
    else:
        st.error(
            "You have signed in, but your address is not on the list of this dashboard, or your provider has not "
            "verified it. Next: ask whoever runs it, or sign in with another address.",
            icon=":material/lock:",
        )
        offer_to_leave()
    st.stop()


def visitor() -> str | None:
    """Return the address that this visitor signed in with; none on one's own machine."""
    if not is_public() or not st.user.get("is_logged_in"):
        return None
    return vouched_address(st.user)


def is_public() -> bool:
    """Return whether others than this machine's user look: its paths are not for them."""
    return find_admission().public


def may_operate() -> bool:
    """Return whether this visitor may start work and change what the workspace holds."""
    return find_admission().lets_act(visitor())


def refused() -> bool:
    """Return whether this visitor may change nothing, and then say so."""
    if may_operate():
        return False
    st.error("This dashboard is read-only for you: nothing was started or changed.", icon=":material/lock:")
    return True


def command(arguments: str) -> str:
    """Return a command as it can be typed on this machine; others learn no path."""
    where = "" if is_public() else f" --workspace {shlex.quote(str(find_workspace()))}"
    return f"tickercast {arguments}{where}"


def without_paths(text: str) -> str:
    """Return a text as this visitor may read it: where the dashboard is public, without paths of this machine."""
    if not is_public():
        return text
    return _PATHS.sub("…", text.replace(str(find_workspace()), "the workspace"))


def offer_to_leave() -> None:
    """Show a button that signs the visitor out."""
    st.button("Sign out", key="sign_out", on_click=st.logout, icon=":material/logout:")


def _is_open() -> bool:
    """Return whether other machines reach the server though nobody is asked who they are.

    `tickercast dashboard` refuses that; Streamlit, started by hand, does not.
    """
    address = str(st.get_option("server.address") or "localhost")
    return not is_public() and not (address in ("localhost", "::1") or address.startswith("127."))
