"""Start the app: Streamlit in a child process, configured by flags alone, so that no file is written where it is started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from strobe import charts

PAGE = Path(__file__).parent / "host.py"


def main(workspace: str, port: int | None = None, headless: bool = False) -> int:
    """Run the app until it is stopped; returns its exit status. Without a port, Streamlit takes the first free one from 8501."""
    child = subprocess.Popen(command(workspace, port, headless))
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())  # who ends this process means the app
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # Ctrl-C reached the child as well: wait for it to end
            child.send_signal(signal.SIGINT)


def command(workspace: str, port: int | None = None, headless: bool = False) -> list[str]:
    """The command line of the child process. `-P`: a `html.py` in the folder where it is started is nothing that the app imports."""
    options: dict[str, object] = {
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "minimal",
        "server.fileWatcherType": "none",
        "server.headless": headless,
        "server.showEmailPrompt": False,
        **({} if "STREAMLIT_SERVER_ADDRESS" in os.environ else {"server.address": "localhost"}),  # not for the whole network, unless asked
        **({"server.port": port} if port else {}),
        **_theme("light", charts.LIGHT),
        **_theme("dark", charts.DARK),
    }
    flags = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()]
    return [sys.executable, "-P", "-m", "streamlit", "run", str(PAGE), *flags, "--", "--workspace", workspace]


def _theme(mode: str, name: str) -> dict[str, object]:
    """The colours of a theme of charts as those of the page; both modes, so that the reader's own preference decides."""
    meta = charts.theme(name)["usermeta"]["strobe"]
    palette, border = meta["palette"], meta["card"]["border"]
    accent = "#0072B2" if mode == "light" else "#56B4E9"
    return {
        f"theme.{mode}.primaryColor": accent,
        f"theme.{mode}.backgroundColor": palette["page"],
        f"theme.{mode}.secondaryBackgroundColor": palette["card"],
        f"theme.{mode}.textColor": palette["ink"],
        f"theme.{mode}.borderColor": border,
        f"theme.{mode}.sidebar.backgroundColor": palette["card"],
        f"theme.{mode}.sidebar.secondaryBackgroundColor": palette["page"],
    }
