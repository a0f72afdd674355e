"""The command line. A command imports what it needs when it runs: `strobe --help` and `plugins list` start without torch, pandas or pydantic."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ..errors import StrobeError
from .commands import analysis, jobs, plugins, reports, runs, sharing

app = typer.Typer(
    name="strobe",
    help="What happened in there? Analyzers over checkpoints, typed results, reports.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for commands in (runs, analysis, reports, sharing, jobs, plugins):
    app.add_typer(commands.root)


def main() -> None:
    """Entry point: errors a user can mend are one line, without a traceback."""
    try:
        app(standalone_mode=True)
    except StrobeError as e:
        print(f"strobe: {e}", file=sys.stderr)
        raise SystemExit(e.status) from e
    except KeyboardInterrupt:
        print("strobe: interrupted; what is done is stored, the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _version(wanted: bool) -> None:
    if wanted:
        from ..version import __version__

        print(f"strobe {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False) -> None:
    pass
