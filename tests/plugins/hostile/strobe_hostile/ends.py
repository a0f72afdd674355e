"""Calls that do not end, or end more than themselves."""

from __future__ import annotations

import ctypes
import os
import sys

from strobe import Weights

from .row import Totals


class Hangs(Totals):
    """Hangs in Python."""

    def besides(self, weights: Weights) -> None:
        while True:
            pass


class HangsInC(Totals):
    """Hangs in C, and holds the interpreter's lock."""

    def besides(self, weights: Weights) -> None:
        ctypes.PyDLL(None).sleep(3600)


class OsExit(Totals):
    """Ends the process."""

    def besides(self, weights: Weights) -> None:
        os._exit(3)


class SysExit(Totals):
    """Ends the program."""

    def besides(self, weights: Weights) -> None:
        sys.exit(3)


class Segfault(Totals):
    """Reads where there is nothing."""

    def besides(self, weights: Weights) -> None:
        ctypes.string_at(0)


class Allocates(Totals):
    """Wants all the memory there is."""

    def besides(self, weights: Weights) -> None:
        hoard = []
        while True:
            hoard.append(bytearray(64 * 2**20))


class Garbage(Totals):
    """Writes to every file descriptor it finds, that of the answers included."""

    def besides(self, weights: Weights) -> None:
        for name in os.listdir("/proc/self/fd"):
            try:
                os.write(int(name), b"garbage" * 100)
            except OSError:
                continue
