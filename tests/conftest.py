"""What every test shares: one thread per process, no settings from outside, real plugin packages, and a browser."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before torch and numpy are imported, and for child processes.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import fake_install
import hypothesis

hypothesis.settings.register_profile("strobe", deadline=None, derandomize=True, max_examples=25)  # no timing asserts; the same cases everywhere
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=500)  # pytest --hypothesis-profile thorough
hypothesis.settings.load_profile("strobe")

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"
PLUGINS = ROOT / "tests" / "plugins"
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Two threads beside a competing process make a step up to 150 times slower; and sums then differ in the last bit."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _disk_is_not_waited_for() -> Iterator[None]:
    """Nobody pulls the plug here: what a killed process wrote is there for the next one without `fsync`, and the suite writes thousands of files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For what files share, which is made before the fixture of each test; and two test processes must not write one file of settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STROBE_CONFIG", str(tmp_path_factory.mktemp("settings") / "no-settings.json"))
        patch.delenv("STROBE_WORKSPACE", raising=False)
        yield


@pytest.fixture(autouse=True)
def _main_stays() -> Iterator[None]:
    """Streamlit's AppTest leaves its script behind as the main module, and processes spawned later would run that."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def _nothing_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No workspace and no disabled plugins of whoever runs the tests."""
    monkeypatch.setenv("STROBE_CONFIG", str(tmp_path / "no-settings.json"))
    monkeypatch.delenv("STROBE_WORKSPACE", raising=False)


@pytest.fixture(scope="session")
def data() -> Path:
    """The committed test data: see tests/data/README.md."""
    return DATA


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


Install = Callable[..., Path]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`installed("strobe-participation", ...)` makes packages of tests/plugins discoverable for one test, in this process and its children.

    Metadata and modules are laid out as pip does, in a folder on `sys.path` and `PYTHONPATH`; the environment itself is not touched.
    `editable=True` marks them as editable installs whose sources a test may change. Returns the folder that holds the modules.
    """
    modules: set[str] = set()

    def install(*names: str, editable: bool = False) -> Path:
        site = tmp_path / f"site-packages-{len(list(tmp_path.glob('site-packages-*')))}"
        for name in names:
            modules.add(fake_install.install(PLUGINS / name, site, editable=editable))
        for folder in fake_install.folders(site):
            monkeypatch.syspath_prepend(str(folder))
            monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        importlib.invalidate_caches()
        return fake_install.folders(site)[-1]

    yield install
    for name in [n for n in sys.modules if n.partition(".")[0] in modules]:
        del sys.modules[name]


TOY = {"p": 7, "d_model": 8, "n_heads": 2, "d_mlp": 16, "fraction": 0.5}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the run `toy`: p=7, checkpoints at steps 0, 5, 10, 15, 20, nothing analyzed. Never change it: ask for `toy`."""
    from strobe import Workspace

    root = tmp_path_factory.mktemp("trained")
    Workspace(root).train("modular_addition", name="toy", training={"epochs": 20, "schedule": "every:5", "lr": 1e-2}, **TOY)
    return root


@pytest.fixture(scope="session")
def analyzers() -> list[str]:
    """One analyzer of nearly every category, a fixed list: what tests count must not change when a plugin is added."""
    weights = ["weight_norms", "effective_dimensionality", "dominant_frequencies"]
    on_the_pass = ["neuron_frequency", "activation_maps", "attention_maps", "head_frequency", "loss_and_accuracy", "progress_measures"]
    return [*weights, *on_the_pass, "key_frequencies", "parameter_trajectory", "phases"]


@pytest.fixture
def toy(trained: Path, tmp_path: Path) -> Path:
    """A workspace of one's own with the run `toy`. Open it after packages are installed: a workspace looks for plugins once."""
    return shutil.copytree(trained, tmp_path / "toy", copy_function=shutil.copy2)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium for `playwright.chromium.launch(executable_path=...)`."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("no Chromium: run `scripts/system-packages.sh`, or `pytest -m 'not browser'`")
    return found


LONGEST = ("test_all_bad_input.py", "test_renderers.py", "test_every_analyzer.py", "test_worker.py", "test_engine.py", "test_faults.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: files are handed out in this order, and the last of them should be short."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None and item.path.name not in LONGEST)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=6, help="how often a training job is killed at a random moment (make faults: 200)")
    parser.addoption("--update-golden", action="store_true", help="write the golden pictures of tests/data/golden anew")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kills"))
