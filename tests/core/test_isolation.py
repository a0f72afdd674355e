"""Strangers' analyzers run in processes of their own: whatever they do there costs their own cells, is explained, and nothing is left behind."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import fake_install
import hostile
import pytest

from strobe import Workspace
from strobe.analysis.engine import Report
from strobe.errors import PluginError, UsageError
from strobe.isolation import imports
from strobe.isolation.launcher import launcher
from strobe.isolation.limits import bytes_of, isolation
from strobe.registration.registry import Registry

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
COPIES = tomllib.loads((PLUGINS / "strobe-copies" / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
HONEST = [name for group in COPIES.values() for name in group]

DEADLINE = 1.5
"""Seconds that those which never end are given, on a machine on which others may have their turn first."""

# What becomes of each: the kind of its failure row ("side_effect" rows stand beside its results), and what the row says.
EXPECTED = {
    "raises": ("error", "ValueError: not today"),
    "wrong_type": ("schema", "expected Total, got dict"),
    "wrong_shape": ("schema", "row 0 has 2 axes for dims"),
    "nan": ("not_finite", "total is not finite in .* rows"),
    "half_way": ("error", "half-way"),
    "mutates": ("crash", r"segmentation fault.*calls.py:\d+.*zero_\(\).*read-only.*clone"),
    "mutates_by_numpy": ("crash", r"segmentation fault.*numpy\(\).*read-only.*clone"),
    "hangs": ("deadline", rf"longer than {DEADLINE} s.*ends.py:\d+, in besides.*--deadline"),
    "hangs_in_c": ("deadline", rf"longer than {DEADLINE} s.*sleep\(3600\)"),
    "os_exit": ("exit", r"os._exit\(3\).*mend hostile-os-exit"),
    "sys_exit": ("exit", r"sys.exit\(3\)"),
    "segfault": ("crash", r"segmentation fault.*string_at"),
    "allocates": ("memory", "300 MB of memory.*--memory"),
    "garbage": ("garbage", "cannot be read"),
    "changes_state": ("side_effect", "default dtype to float64 and torch's number of threads to 2"),
    "changes_folder": ("side_effect", "working folder to /"),
    "sets_handlers": ("side_effect", "signals.*SIGTERM"),
    "prints": ("side_effect", "printed 104,857,600 bytes"),
    "closes_stdout": ("side_effect", "closed stdout"),
    "writes_files": ("side_effect", "files of the workspace: runs/mine.txt"),
    "writes_from_c": ("side_effect", "files of the workspace: runs/fromc.txt"),
    "opens_port": ("side_effect", r"opened a port \(127.0.0.1:\d+\)"),
    "forks": ("side_effect", "forked; [12] process.*left, and ended"),
    "starts_thread": ("side_effect", "left 1 thread running"),
}
HANGING = ("hangs", "hangs_in_c")
UNLOADABLE = {
    "imports_slowly": ("loaded", rf"longer than {DEADLINE} s.*import_slow.py:5.*\$STROBE_IMPORT_DEADLINE"),
    "imports_with_error": ("loaded", "a_package_that_is_not_installed.*pip uninstall hostile-imports-with-error"),
    "import_exits": ("loaded", r"os._exit\(4\).*pip uninstall hostile-import-exits"),
    "weight_norms": ("clash", "registered by hostile-weight-norms and strobe.*strobe plugins disable"),
    "wrong_version": ("incompatible", "needs strobe>=99"),
}


@contextlib.contextmanager
def on_path(*sites: Path) -> Iterator[None]:
    """With these folders on the path, in this process and those it starts, and their modules forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for site in sites:
            patch.syspath_prepend(str(site))
            patch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        importlib.invalidate_caches()
        yield
    for name in [n for n in sys.modules if n.startswith("strobe_hostile")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the ten honest analyzers, as a package."""
    site = tmp_path_factory.mktemp("honest")
    fake_install.install(PLUGINS / "strobe-copies", site)
    return site


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the hostile packages."""
    site = tmp_path_factory.mktemp("hostile")
    hostile.install(site)
    return site


@pytest.fixture(scope="module")
def one_step(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the run `toy` of two checkpoints. Never change it."""
    root = tmp_path_factory.mktemp("one_step")
    Workspace(root).train("modular_addition", name="toy", training={"epochs": 4, "schedule": "at:4", "lr": 1e-2}, p=7, d_model=8, n_heads=2, d_mlp=16)
    return root


def files(root: Path, names: list[str]) -> dict[str, bytes]:
    """Result files of these analyzers, by their paths."""
    return {str(f.relative_to(root)): f.read_bytes() for name in names for f in sorted((root / "results" / name).rglob("*.parquet"))}


def copied(workspace: Path, to: Path) -> Path:
    return shutil.copytree(workspace, to, copy_function=shutil.copy2)


@pytest.fixture(scope="module")
def among_the_hostile(one_step: Path, honest: Path, bad: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Report, Report]]:
    """The honest and the hostile in one analysis; those that hang in a second one, with a short deadline."""
    root = copied(one_step, tmp_path_factory.mktemp("among") / "workspace")
    with on_path(honest, bad):
        wanted = [name for name in EXPECTED if name not in HANGING]
        settings = {name: {"workspace": str(root)} for name in ("writes_files", "writes_from_c")}
        ws = Workspace(root)
        first = ws.analyze("toy", [*wanted[: len(wanted) // 2], *HONEST, *wanted[len(wanted) // 2 :]], settings=settings, memory="300MB")
        yield root, first, ws.analyze("toy", list(HANGING), steps=[4], deadline=DEADLINE)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_hostile_analyzer_has_a_row_that_explains_it(among_the_hostile: tuple[Path, Report, Report], name: str) -> None:
    _, *reports = among_the_hostile
    found = [f for report in reports for f in report.failures if f.analyzer == name]
    kind, message = EXPECTED[name]
    assert {f.kind for f in found} == {kind}
    assert re.search(message, " | ".join(f.message for f in found), re.DOTALL)
    (table,) = [t for report in reports for t in report.tables if t.analyzer == name]
    assert table.state == ("computed" if kind in ("side_effect", "not_finite") else "failed")


def test_the_honest_give_the_same_bytes_without_the_hostile_and_without_isolation(
    among_the_hostile: tuple[Path, Report, Report], one_step: Path, honest: Path, tmp_path: Path
) -> None:
    root, report, _ = among_the_hostile
    assert not [f for f in report.failures if f.analyzer in HONEST]
    with on_path(honest):
        alone = Workspace(copied(one_step, tmp_path / "alone"))
        assert alone.analyze("toy", HONEST, isolate="none").ok
    assert len(files(root, HONEST)) == len(HONEST)
    assert files(root, HONEST) == files(alone.root, HONEST)


@pytest.mark.parametrize("name", UNLOADABLE)
def test_what_cannot_be_imported_says_so_where_it_is_listed(bad: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    state, message = UNLOADABLE[name]
    if name == "imports_slowly":
        monkeypatch.setenv("STROBE_IMPORT_DEADLINE", str(DEADLINE))
    with on_path(bad):
        plugin = Registry.discover().get("analyzer", name)
        assert plugin.state == ("ready" if state == "loaded" else state)
        with pytest.raises(PluginError, match=message):
            plugin.load()


def test_a_verdict_on_an_import_is_remembered_until_it_is_forgotten(bad: Path) -> None:
    from strobe.registration.settings import set_disabled

    with on_path(bad):
        plugin = Registry.discover().get("analyzer", "import_exits")
        imports.forget()
        server = launcher()
        before = server.forks
        for _ in range(2):
            with pytest.raises(PluginError, match="strobe plugins enable import_exits"):
                plugin.load()
        assert server.forks == before + 1
        imports._known.clear()  # another process would read it from beside the settings
        with pytest.raises(PluginError):
            plugin.load()
        assert server.forks == before + 1
        set_disabled("import_exits", off=False)
        with pytest.raises(PluginError):
            plugin.load()
        assert server.forks == before + 2


def test_a_package_without_a_bound_works_and_is_told(bad: Path) -> None:
    with on_path(bad):
        listed = Registry.discover().get("analyzer", "no_bound").listing()
    assert listed.state == "ready"
    assert re.search(r"add 'strobe>=\d+\.\d+,<\d+' to its dependencies", listed.why)


def test_left_out_of_an_analysis_of_everything_is_said(bad: Path) -> None:
    from strobe.analysis.request import left_out

    with on_path(bad):
        registry = Registry([p for p in Registry.discover().all("analyzer") if p.name in ("wrong_version", "imports_with_error", "raises")])
        said = left_out(registry)
    assert [re.findall("wrong_version|imports_with_error", line)[0] for line in said] == ["imports_with_error", "wrong_version"]


def test_after_three_workers_a_package_is_given_up_and_that_is_said_once(toy: Path, bad: Path) -> None:
    with on_path(bad):
        ws = Workspace(toy)
        report = ws.analyze("toy", ["os_exit", "effective_dimensionality"])
    kinds = [f.kind for f in sorted(report.failures, key=lambda f: f.step or 0)]
    assert kinds == ["exit"] * 3 + ["quarantined"] * 2
    (warning,) = report.warnings
    assert re.search(r"hostile-os-exit is not tried again.*3 workers \(exit, exit, exit\)", warning)
    assert not report.ok
    assert [t.computed for t in report.tables if t.analyzer == "effective_dimensionality"] == [5]


def test_what_is_only_told_leaves_the_analysis_a_success(toy: Path, bad: Path) -> None:
    with on_path(bad):
        report = Workspace(toy).analyze("toy", ["changes_folder"])
    assert report.ok
    assert [(f.kind, f.step) for f in report.failures] == [("side_effect", 0)], "once, not at each of five checkpoints"
    assert report.warnings == ["changes_folder: it changed the working folder to /; put back"]


# --- who runs where ------------------------------------------------------------------------------------------------------------------------

WHERE = """
from __future__ import annotations
import os
from collections.abc import Iterator
import strobe
from strobe import Analyzer, Loss, Weights, hookimpl, metric

class Where(Analyzer):
    \"\"\"The process it runs in.\"\"\"

    class Row(strobe.Row):
        pid: int = metric("process", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        yield self.Row(pid=os.getpid())

class Losses(Analyzer):
    \"\"\"Looks at the loss three times, once with its gradient.\"\"\"

    class Row(strobe.Row):
        loss: float = metric("loss", unit="nats")

    @hookimpl
    def analyze_landscape(self, loss: Loss) -> Iterator[Row]:
        loss.grad("train")
        loss("test")
        yield self.Row(loss=loss("train"))
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(WHERE)
    return str(tmp_path / "mine.py")


@pytest.mark.parametrize(("isolate", "elsewhere"), [("third-party", True), ("none", False)])
def test_a_file_runs_isolated_unless_told_otherwise(toy: Path, mine: str, isolate: str, elsewhere: bool) -> None:
    ws = Workspace(toy)
    assert ws.analyze("toy", [f"{mine}:Where"], isolate=isolate).ok
    (pid,) = set(ws.table("where")["pid"])
    assert (pid != os.getpid()) is elsewhere


def test_built_ins_run_isolated_when_all_do_and_a_class_of_this_session_never(toy: Path, mine: str) -> None:
    from strobe.registration.registry import class_in

    ws, here = Workspace(toy), class_in(f"{mine}:Where")
    before = launcher().forks
    report = ws.analyze("toy", ["effective_dimensionality", here], isolate="all")
    assert launcher().forks == before + 1
    assert set(ws.table("where")["pid"]) == {os.getpid()}
    assert report.warnings == ["where was defined in this session and runs in this process"]


def test_forwards_of_a_loss_are_counted_where_the_analysis_is(toy: Path, mine: str) -> None:
    ws = Workspace(toy)
    isolated = ws.analyze("toy", [f"{mine}:Losses"])
    shutil.rmtree(ws.root / "results")
    here = Workspace(toy).analyze("toy", [f"{mine}:Losses"], isolate="none")
    assert isolated.to_json()["counters"] == here.to_json()["counters"]
    assert isolated.counters["landscape_forwards"] == 3 * len(ws.run("toy").steps)


def test_wrappers_of_run_analyzer_are_around_isolated_calls(toy: Path, mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from strobe import hookimpl
    from strobe.analysis import work

    class Wrapper:
        seen: list[tuple[str, list[str], int]] = []

        @hookimpl(wrapper=True)
        def run_analyzer(self, call: object) -> Iterator[None]:
            made = yield
            self.seen.append((call.name, sorted(call.arguments["weights"])[-1:], len(made.table)))  # type: ignore[attr-defined]
            return made

    hooks = work.hooks

    def wrapped(registry: Registry, problems: list[str]) -> object:
        manager = hooks(registry, problems)
        manager.register(Wrapper())
        return manager

    monkeypatch.setattr(work, "hooks", wrapped)
    assert Workspace(toy).analyze("toy", [f"{mine}:Where"]).ok
    assert Wrapper.seen == [("where", ["unembed.W_U"], 1)] * 5


NEIGHBOURS = """
from __future__ import annotations
import os
from collections.abc import Iterator
import strobe
from strobe import Analyzer, Context, Weights, hookimpl, metric

class Ahead(Analyzer):
    \"\"\"The process it runs in.\"\"\"

    class Row(strobe.Row):
        pid: int = metric("process", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights, context: Context) -> Iterator[Row]:
        yield self.Row(pid=self.told(context.step))

    def told(self, step: int) -> int:
        return os.getpid()

class Leaves(Ahead):
    \"\"\"Ends its process at the second checkpoint.\"\"\"

    def told(self, step: int) -> int:
        return os._exit(3) if step == 5 else os.getpid()

class Loud(Ahead):
    \"\"\"Prints three megabytes at once.\"\"\"

    def told(self, step: int) -> int:
        print("x" * 3 * 2**20, flush=True)
        return os.getpid()

class Next(Ahead):
    \"\"\"Comes after them.\"\"\"
"""
TOGETHER = ("Ahead", "Leaves", "Loud", "Next")


@pytest.fixture
def neighbours(tmp_path: Path) -> list[str]:
    """Four analyzers of one file, for one worker."""
    (tmp_path / "neighbours.py").write_text(NEIGHBOURS)
    return [f"{tmp_path / 'neighbours.py'}:{name}" for name in TOGETHER]


def test_what_one_does_is_not_laid_to_those_that_its_worker_runs_before_and_after(toy: Path, neighbours: list[str]) -> None:
    ws = Workspace(toy)
    assert ws.run("toy").steps[1] == 5, "the step at which one of them leaves"
    report = ws.analyze("toy", neighbours)
    assert {(f.analyzer, f.kind, f.step) for f in report.failures} == {("leaves", "exit", 5), ("loud", "side_effect", 0)}
    assert {t.analyzer: t.computed for t in report.tables} == {"ahead": 5, "leaves": 4, "loud": 5, "next": 5}
    first, last = (list(ws.table(name).sort_values("step")["pid"]) for name in ("ahead", "next"))
    assert [a == b for a, b in zip(first, last, strict=True)] == [True, False, True, True, True], "a new worker after the one that left"


@pytest.mark.parametrize("begins_early", [False, True])
def test_calls_that_a_cache_answers_leave_nothing_behind(
    toy: Path, neighbours: list[str], monkeypatch: pytest.MonkeyPatch, begins_early: bool
) -> None:
    """Who stands around the calls has them made one by one; and a worker on an errand that nobody asks about is ended, not waited for."""
    from strobe import hookimpl
    from strobe.analysis import work

    class Cache:
        made: object = None
        asked = 0

        @hookimpl
        def run_analyzer(self, call: object) -> object:
            self.asked += call.name == "loud"  # type: ignore[attr-defined]
            return self.made if call.name == "loud" and self.asked > 1 else None  # type: ignore[attr-defined]

        @hookimpl(wrapper=True, specname="run_analyzer")
        def kept(self, call: object) -> Iterator[None]:
            self.made = yield
            return self.made

    hooks = work.hooks

    def cached(registry: Registry, problems: list[str]) -> object:
        manager = hooks(registry, problems)
        manager.register(Cache())
        return manager

    monkeypatch.setattr(work, "hooks", cached)
    if begins_early:
        monkeypatch.setattr(work.Hooks, "wrapped", False)
    ws = Workspace(toy)
    report = ws.analyze("toy", [n for n in neighbours if not n.endswith("Leaves")])
    assert [(f.analyzer, f.kind) for f in report.failures] == [("loud", "side_effect")]
    assert {t.analyzer: t.computed for t in report.tables} == {"ahead": 5, "loud": 5, "next": 5}
    assert list(ws.table("ahead")["pid"]) == list(ws.table("loud")["pid"]), "what the one before it answered"
    assert len(set(ws.table("next")["pid"])) == (2 if begins_early else 1), "workers"


def test_a_worker_that_lies_is_not_believed(toy: Path, tmp_path: Path) -> None:
    """Rows of another schema than the one that is declared here."""
    (tmp_path / "liar.py").write_text(
        WHERE.replace('metric("process", unit="1")', 'metric("process", unit="1" if "STROBE_WORKER" in os.environ else "2")')
    )
    report = Workspace(toy).analyze("toy", [f"{tmp_path}/liar.py:Where"])
    assert {f.kind for f in report.failures} == {"garbage", "quarantined"}
    assert "Where.Row.pid" in report.failures[0].message


def test_wrong_limits_are_refused() -> None:
    assert bytes_of("2 GB") == bytes_of("2048mb") == 2 * 2**30
    for wrong in ({"mode": "some"}, {"deadline": -1.0}, {"memory": "much"}):
        with pytest.raises(UsageError):
            isolation(**{"mode": "all", "deadline": None, "memory": None, "workspace": Path(), **wrong})  # type: ignore[arg-type]


# --- nothing is left behind ----------------------------------------------------------------------------------------------------------------


def children(pid: int | None) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def descriptors() -> int:
    """Open files of this process, but for those of garbage, which earlier tests have left and which goes when it pleases."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_nothing_is_left_when_an_analysis_has_ended_or_was_broken_off(toy: Path, bad: Path, mine: str) -> None:
    with on_path(bad):
        ws = Workspace(toy)
        ws.analyze("toy", [f"{mine}:Where"])
        before = descriptors()
        ws.analyze("toy", ["forks", "opens_port", "segfault"])
        assert children(launcher().pid) == []
        assert descriptors() == before

        def stop(_: object) -> None:
            raise KeyboardInterrupt

        shutil.rmtree(ws.root / "results")
        with pytest.raises(KeyboardInterrupt):
            ws.analyze("toy", [f"{mine}:Where", "forks"], progress=stop)
        assert children(launcher().pid) == []
        assert descriptors() == before


ORPHANED = """
import sys, threading
from strobe.isolation.launcher import launcher
from strobe.isolation.limits import Isolation
from strobe.isolation.orders import Import, portable
from strobe.isolation.process import WorkerProcess
from strobe.registration.registry import Registry
worker = WorkerProcess.start("x", Isolation())
print(launcher().pid, worker.pid, flush=True)
worker.ask(Import(1, (portable(Registry.discover().get("analyzer", "imports_slowly")),)), (), 3600, 0)
"""


def test_workers_end_with_the_process_they_work_for(bad: Path) -> None:
    with on_path(bad), subprocess.Popen([sys.executable, "-c", ORPHANED], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = list(map(int, parent.stdout.readline().split()))
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_server_that_was_killed_is_started_again(toy: Path, mine: str) -> None:
    ws = Workspace(toy)
    ws.analyze("toy", [f"{mine}:Where"])
    server = launcher().pid
    assert server is not None
    os.kill(server, signal.SIGKILL)
    shutil.rmtree(ws.root / "results")
    assert Workspace(toy).analyze("toy", [f"{mine}:Where"]).ok
    assert launcher().pid != server
