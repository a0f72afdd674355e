"""The page with its routes, as one ASGI application: `streamlit run` of this file serves both on one port."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from strobe_app.folder import workspace_folder
from strobe_app.routes import routes

app = st.App(Path(__file__).parent / "main.py", routes=routes(workspace_folder()))
