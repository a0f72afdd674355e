"""Plugins come, cost something, are disabled and go: what lists say of them, and what becomes of their results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strobe import StrobeError, Workspace
from strobe.analysis import work
from strobe.cli import plugins_install
from strobe.cli.plugins import disable, enable, needs, show
from strobe.errors import PluginError, UsageError
from strobe.isolation.limits import isolation
from strobe.panels.cards import cards_of, resolve
from strobe.registration.describe import line
from strobe.registration.needs import needs as needed
from strobe.registration.registry import Registry
from strobe.reports.default import default_report
from strobe.storage import costs


def said_as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


# --- lists -------------------------------------------------------------------------------------------------------------------------------------


NAMED = {
    ("analyzer", "participation_ratio"),
    ("analyzer", "final_norm"),
    ("renderer", "sparsity_over_steps"),
    ("hook", "tally"),
    ("analyzer", "broken_import"),
}


def test_the_list_says_what_is_known_without_an_import_and_more_with_one(installed: Any, tmp_path: Path) -> None:
    installed("strobe-participation", "strobe-final-norm", "strobe-tally", "strobe-sparsity", "strobe-broken")
    code = "import sys, strobe.cli.plugins as p, pathlib; p.list_plugins(pathlib.Path('none'), True, '', False)"
    code += "; print([m for m in ('torch', 'pydantic', 'pluggy', 'strobe_participation') if m in sys.modules], file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"
    known = {(p["kind"], p["name"]): (p["needs"], p["produces"]) for p in json.loads(ran.stdout)}
    assert known["analyzer", "participation_ratio"] == ("weights of a checkpoint", "table participation_ratio")
    assert known["renderer", "sparsity_over_steps"] == ("", "chart")
    registry = Registry.discover(tmp_path)
    checked = {(p.kind, p.name): line(p, check=True) for p in registry.all() if (p.kind, p.name) in NAMED}
    assert checked["analyzer", "participation_ratio"]["produces"] == "table participation_ratio: parameter, ratio"
    assert checked["analyzer", "final_norm"]["needs"] == "results, table weight_norms"
    assert checked["renderer", "sparsity_over_steps"]["needs"] == "table sparsity"
    assert checked["hook", "tally"]["produces"] == "checkpoint_done"
    assert checked["analyzer", "broken_import"]["state"] == "broken"


def test_what_an_analyzer_cost_is_measured_and_shown(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(toy, "weight_norms", True)
    assert "cost" not in said_as_json(capsys)[0]
    ws = Workspace(toy)
    ws.analyze("toy", ["weight_norms", "key_frequencies"])
    measured = costs.read(toy)
    assert set(measured) == {"weight_norms", "key_frequencies"}
    norms = measured["weight_norms"]
    assert (norms.cells, norms.package) == (5, "strobe")
    assert norms.cpu_seconds > 0
    stored = next(r for r in ws.stored() if r["analyzer"] == "weight_norms")
    assert norms.bytes == stored["bytes"] // 5
    show(toy, "weight_norms", False)
    assert "per checkpoint (5 computed on" in capsys.readouterr().out
    ws.analyze("toy", ["weight_norms"])
    assert costs.read(toy) == measured  # nothing was computed, so nothing was measured


def test_a_damaged_file_of_costs_is_written_anew(toy: Path) -> None:
    (toy / costs.FILE).write_text('{"weight_norms": {"cells"')
    assert costs.read(toy) == {}
    assert Workspace(toy).analyze("toy", ["weight_norms"]).ok
    assert set(costs.read(toy)) == {"weight_norms"}


# --- disabled ----------------------------------------------------------------------------------------------------------------------------------


def state(name: str, root: Path | None = None) -> str:
    return Registry.discover(root).get("analyzer", name).state


def test_a_workspace_and_a_user_disable_apart(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disable(toy, "gini", user=False)
    assert f"in the workspace {toy}" in capsys.readouterr().out
    assert (state("gini", toy), state("gini", tmp_path), state("gini")) == ("disabled", "ready", "ready")
    with pytest.raises(PluginError, match=f"disabled in the workspace .* --workspace {toy}"):
        Workspace(toy).analyze("toy", ["gini"])
    disable(toy, "circuits", user=True)
    assert "for this user, in every workspace" in capsys.readouterr().out
    assert (state("circuits", toy), state("circuits", tmp_path)) == ("disabled", "disabled")
    enable(toy, "circuits", user=False)  # this workspace alone
    assert (state("circuits", toy), state("circuits", tmp_path)) == ("ready", "disabled")
    enable(toy, "gini", user=True)
    assert "still disabled in the workspace" in capsys.readouterr().out
    enable(toy, "gini", user=False)
    enable(toy, "circuits", user=True)
    assert (state("gini", toy), state("circuits", tmp_path)) == ("ready", "ready")


def test_disabling_makes_no_workspace_and_knows_its_names(tmp_path: Path, toy: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no workspace .*--user"):
        disable(tmp_path / "nowhere", "gini", user=False)
    with pytest.raises(UsageError, match="did you mean 'gini'"):
        disable(toy, "ginni", user=False)
    assert not (tmp_path / "nowhere").exists()


def test_worker_processes_know_what_the_workspace_disables(toy: Path, installed: Any) -> None:
    """Two packages of one name, of which this workspace has disabled one: processes of an executor must choose the same."""
    from strobe.registration.settings import set_disabled

    installed("strobe-clash")
    set_disabled("strobe-clash:weight_norms", off=True, root=toy)
    assert state("weight_norms") == "clash"
    with work._worker_bench.__wrapped__(isolation("third-party", None, None, toy)) as bench:
        assert bench.registry.get("analyzer", "weight_norms").package == "strobe"


# --- results of plugins that are gone ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def left_behind(toy: Path, installed: Any, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with results of two third-party packages that are not installed any more."""
    with pytest.MonkeyPatch.context() as patch:
        site = installed("strobe-participation", "strobe-final-norm")
        assert Workspace(toy).analyze("toy", ["participation_ratio", "final_norm", "weight_norms"]).ok
        patch.undo()
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(site)])
    monkeypatch.setenv("PYTHONPATH", "")
    ws = Workspace(toy)
    assert "participation_ratio" not in [p.name for p in ws.registry.all("analyzer")]
    return ws


def test_results_of_an_uninstalled_plugin_are_read_and_drawn(left_behind: Workspace) -> None:
    ws = left_behind
    rows = ws.table("participation_ratio", runs="toy")
    assert rows["step"].unique().tolist() == [0, 5, 10, 15, 20]
    assert len(ws.table("participation_ratio", steps=10)) == len(rows) / 5
    column = ws.schema("participation_ratio").columns["ratio"]
    assert (column.kind, column.unit, column.description) == ("metric", "1", "participation ratio of the singular values")
    assert ws.schema("participation_ratio").columns["parameter"].kind == "dim"
    assert ws.sql("select count(*) n from participation_ratio")["n"].item() == len(rows)
    assert ws.spans_runs("final_norm")
    assert len(ws.table("final_norm")) == 1
    chart = ws.view("line_over_steps", "toy", "participation_ratio").chart.to_dict()
    assert "ratio" in json.dumps(chart)
    # in a report: by name, and under More results of the run's own
    groups = resolve(ws, default_report(ws, "toy"), "toy")
    card = next(c for c in cards_of(groups) if "participation_ratio" in c.tables)
    assert card.problem == ""
    assert card.how_to_read.endswith("(Stored by strobe-participation 1.0, which is not in use here.)")
    assert card.draw({"run": "toy", "step": 10}).problem == ""
    assert {r["analyzer"]: r["package"] for r in ws.stored()}["participation_ratio"] == "strobe-participation 1.0"


def test_a_workspace_names_the_packages_that_made_its_results(left_behind: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    (left_behind.root / "reports").mkdir()
    (left_behind.root / "reports" / "mine.yaml").write_text("schema_version: 1\ntitle: Mine\nrequires: ['strobe-phase>=0.2', 'pytest>=1']\n")
    found = {n.package: (n.requirement, n.state, n.needed_by, n.install) for n in needed(left_behind)}
    install = "strobe plugins install strobe-participation==1.0"
    assert found["strobe-participation"] == ("strobe-participation==1.0", "missing", ("results of participation_ratio",), install)
    assert found["strobe-phase"] == ("strobe-phase>=0.2", "missing", ("report mine",), "strobe plugins install 'strobe-phase>=0.2'")
    assert found["pytest"][1] == "installed"
    assert "strobe" not in found
    needs(left_behind.root, False)
    assert "strobe plugins install strobe-final-norm==0.1" in capsys.readouterr().out


def test_what_was_never_stored_is_asked_for_as_before(left_behind: Workspace) -> None:
    with pytest.raises(UsageError, match="no analyzer 'participation'"):
        left_behind.table("participation")
    with pytest.raises(UsageError, match="no analyzer 'sparsity'"):
        left_behind.schema("sparsity")
    with pytest.raises(UsageError, match="no analyzer 'participation_ratio'"):
        left_behind.analyze("toy", ["participation_ratio"])
    with pytest.raises(StrobeError, match="no analyzer 'participation_ratio'"):
        left_behind.table("participation_ratio", settings={"parameters": "blocks.*"})  # nothing was stored with these


def test_a_disabled_plugin_keeps_its_results_readable(toy: Path) -> None:
    Workspace(toy).analyze("toy", ["gini"])
    disable(toy, "gini", user=False)
    assert len(Workspace(toy).table("gini"))


# --- pip ---------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("-r", "is an option"),
        ("--index-url=x", "is an option"),
        ("https://example.org/x.whl", "is an address"),
        ("strobe-x @ file.whl", "is an address"),
        ("git+ssh:x", "is an address"),
        (".", "is a folder or file: say --folder"),
        ("strobe phase", "is no requirement"),
        ("strobe-phase; rm", "is no requirement"),
    ],
)
def test_install_refuses_what_is_no_package(given: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        plugins_install.install([given], tmp_path, folders=False, editable=False)


def test_uninstall_refuses_options_and_strobe_itself(tmp_path: Path) -> None:
    for given, says in (("-y", "no package's name"), ("Strobe", "Strobe itself"), ("a/b", "no package's name")):
        with pytest.raises(UsageError, match=says):
            plugins_install.uninstall([given], tmp_path)


def test_install_says_its_command_and_what_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """pip itself, into a folder of its own."""
    site = tmp_path / "site"
    monkeypatch.setenv("PIP_TARGET", str(site))
    monkeypatch.setenv("PIP_NO_DEPS", "1")
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # pip reads it the wrong way round: 0 means off
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.syspath_prepend(str(site))
    folder = Path(__file__).resolve().parents[1] / "plugins" / "strobe-participation"
    source = tmp_path / "strobe-participation"
    import shutil

    shutil.copytree(folder, source)
    assert plugins_install.install([str(source)], tmp_path, folders=True, editable=False) == 0
    out = capfd.readouterr().out
    assert out.startswith(f"$ {sys.executable} -m pip install {source}\n")
    assert "Successfully installed strobe-participation-1.0" in out
    assert "came: analyzer participation_ratio, strobe-participation 1.0: ready" in out
    assert plugins_install.install(["strobe-participation==99.0.0"], tmp_path, folders=False, editable=False) != 0
    out = capfd.readouterr()
    assert "ERROR" in out.err
    assert "pip ended with status 1" in out.out
