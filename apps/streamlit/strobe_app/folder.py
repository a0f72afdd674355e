"""Which workspace the page is of."""

from __future__ import annotations

import argparse
import os
import sys


def workspace_folder() -> str:
    """The workspace that was asked for on the command line, or by the environment."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--workspace", default=os.environ.get("STROBE_WORKSPACE") or "strobe-workspace")
    return str(parser.parse_known_args(sys.argv[1:])[0].workspace)
