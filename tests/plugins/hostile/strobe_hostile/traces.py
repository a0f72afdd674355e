"""Calls that give their rows, and change more than they should."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import threading
import time
from typing import Any

import numpy as np
import torch

from strobe import Weights

from .row import Totals

kept: list[Any] = []


class ChangesState(Totals):
    """Changes torch's default dtype and threads, and every random state."""

    def besides(self, weights: Weights) -> None:
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(2)
        torch.manual_seed(7)
        np.random.seed(7)
        random.seed(7)
        os.environ["HOSTILE"] = "1"


class ChangesFolder(Totals):
    """Goes elsewhere."""

    def besides(self, weights: Weights) -> None:
        os.chdir("/")


class SetsHandlers(Totals):
    """Wants to be told of signals."""

    def besides(self, weights: Weights) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)


class Prints(Totals):
    """Prints 100 MB."""

    def besides(self, weights: Weights) -> None:
        for _ in range(100):
            print("x" * 2**20, end="")


class ClosesStdout(Totals):
    """Closes its standard output."""

    def besides(self, weights: Weights) -> None:
        os.close(1)


class WritesFiles(Totals):
    """Writes into the workspace."""

    workspace: str = ""

    def besides(self, weights: Weights) -> None:
        with open(os.path.join(self.workspace, "runs", "mine.txt"), "w") as f:
            f.write("mine")


class WritesFromC(Totals):
    """Writes into the workspace, and Python does not know."""

    workspace: str = ""

    def besides(self, weights: Weights) -> None:
        c = ctypes.CDLL(None)
        fd = c.open(os.path.join(self.workspace, "runs", "fromc.txt").encode(), os.O_WRONLY | os.O_CREAT, 0o644)
        c.write(fd, b"mine", 4)
        c.close(fd)


class OpensPort(Totals):
    """Listens."""

    def besides(self, weights: Weights) -> None:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        kept.append(listening)


class Forks(Totals):
    """Leaves a child behind, in a session of its own; a second one comes back and goes on as if it were the analyzer."""

    def besides(self, weights: Weights) -> None:
        if os.fork() == 0:
            os.setsid()
            time.sleep(3600)
        os.fork()


class StartsThread(Totals):
    """Leaves a thread behind."""

    def besides(self, weights: Weights) -> None:
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
