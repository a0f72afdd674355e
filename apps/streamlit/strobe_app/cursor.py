"""Where the page looks: run, step and the other coordinates, kept in the session and in the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from strobe.panels.moments import nearest


def start(name: str, options: Sequence[str], otherwise: str) -> None:
    """Set a choice of words, once: from the address, else what was chosen before another page was shown, else the given one."""
    if st.session_state.get(name) not in options:
        wishes = [st.query_params.get(name), st.session_state.get(f"last {name}"), otherwise]
        st.session_state[name] = next((wish for wish in wishes if wish in options), otherwise)
    st.session_state[f"last {name}"] = st.session_state[name]  # Streamlit forgets the widgets of a page that is not shown


def start_number(name: str, options: Sequence[int], otherwise: int) -> None:
    """Set a number, once: from the address, else the given one; one that is not an option becomes the nearest."""
    kept = st.session_state.get(name)
    if kept in options:
        return
    asked = st.query_params.get(name, "")
    wanted = kept if isinstance(kept, int) else int(asked) if asked.lstrip("-").isdigit() else otherwise
    st.session_state[name] = options[nearest(options, wanted)]


def go(name: str, value: int) -> None:
    """Move a coordinate: the callback of buttons and of clicks on marks. Runs before the widgets are made anew."""
    st.session_state[name] = value


def to_address(cursor: Mapping[str, object]) -> None:
    """Mirror the cursor in the address, so that a page can be sent to somebody."""
    wanted = {name: str(value) for name, value in cursor.items()}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
