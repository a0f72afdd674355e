"""What a call must leave as it was: its inputs, by digest, and the process: random generators, dtype, threads, folder, environment, signals."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import os
import random
import signal
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def digests(watched: Mapping[str, Any]) -> dict[str, str]:
    """Name -> digest of the bytes of each tensor and data frame."""
    return {name: _digest(value) for name, value in watched.items()}


def _digest(value: Any) -> str:
    h = hashlib.sha1(usedforsecurity=False)
    if hasattr(value, "detach"):
        h.update(f"{value.dtype} {tuple(value.shape)}".encode() + value.detach().contiguous().numpy().tobytes())
        return h.hexdigest()
    h.update(repr([*value.columns, *value.dtypes, len(value)]).encode())
    for name in value.columns:
        column = value[name]
        for cell in column if column.dtype == object else [column.to_numpy()]:
            plain = hasattr(cell, "tobytes") and cell.dtype.kind != "O"
            h.update(cell.tobytes() if plain else repr(cell).encode())
    return h.hexdigest()


def process() -> dict[str, object]:
    """What calls share with everyone in this process, by what an author would call it."""
    import numpy as np
    import torch

    handlers = {s.name: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)}
    return {
        "torch's random generator": torch.random.get_rng_state().numpy().tobytes(),
        "numpy's random generator": repr(np.random.get_state()),
        "Python's random generator": random.getstate(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "numpy's error handling": repr(np.geterr()),
        "the working directory": os.getcwd(),
        "the environment": dict(os.environ),
        "the signal handlers": handlers,
        "sys.path": tuple(sys.path),
        "standard output": id(sys.stdout),
    }


REMEDIES = {
    "torch's random generator": "draw from `context.rng`, or from a `torch.Generator().manual_seed(self.seed)` of your own",
    "numpy's random generator": "draw from `context.rng` (a numpy Generator seeded from the cell)",
    "Python's random generator": "draw from `context.rng`",
    "torch's default dtype": "give the dtype where it is needed: `.double()`, `dtype=torch.float64`",
    "torch's number of threads": "leave the number of threads to Strobe: results depend on it in the last bit",
    "torch's gradient mode": "use `with torch.no_grad():`",
    "torch's deterministic mode": "leave it as it is",
    "numpy's error handling": "use `with np.errstate(...):`",
    "the working directory": "give absolute paths instead of os.chdir",
    "the environment": "keep what you need in a setting of the class",
    "the signal handlers": "leave signals to the process that runs you",
    "sys.path": "declare what you import under `dependencies` in pyproject.toml",
    "standard output": "use `context.logger`",
}


@contextmanager
def unharmed() -> Iterator[None]:
    """Put the process back as it was, so that one plugin's mistake does not show in the next one's checks."""
    import numpy as np
    import torch

    rng, numpy_rng, python_rng = torch.random.get_rng_state(), np.random.get_state(), random.getstate()
    dtype, threads, grad = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    deterministic, errors = torch.are_deterministic_algorithms_enabled(), np.geterr()
    folder, environment, path, out = os.getcwd(), dict(os.environ), list(sys.path), sys.stdout
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)}
    try:
        yield
    finally:
        torch.random.set_rng_state(rng)
        np.random.set_state(numpy_rng)
        random.setstate(python_rng)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        torch.use_deterministic_algorithms(deterministic)
        np.seterr(**errors)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:], sys.stdout = path, out
        for s, handler in handlers.items():
            with suppress(ValueError, TypeError):  # only the main thread may, and a handler that C installed cannot be put back
                signal.signal(s, handler)


def seed_everything(seed: int) -> None:
    """Global generators elsewhere than before, so that who draws from them is seen."""
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def peak_bytes(call: Callable[[], object]) -> int:
    """Memory that a call takes at its peak, above what is there before: the resident set on Linux, elsewhere what Python and numpy allocate."""
    _give_back()
    if not _resettable():
        return _traced(call)
    before = _resident("VmRSS")
    call()
    return max(0, _resident("VmHWM") - before)


def _give_back() -> None:
    """Return to the system what others have freed: the call would take it from there, and seem to take nothing."""
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc alone keeps so much, and has the call
        ctypes.CDLL(None).malloc_trim(0)


def _resettable() -> bool:
    try:
        CLEAR_REFS.write_text("5")  # resets the high-water mark of the resident set
    except OSError:
        return False
    return True


def _resident(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _traced(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
