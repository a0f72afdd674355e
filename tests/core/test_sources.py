"""Where a panel's picture comes from: SQL that gives the rows, Python that draws the same, files that hold them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small import small_workspace

from strobe import charts
from strobe.errors import UsageError
from strobe.panels.cards import Card, cards_of, parted, resolve
from strobe.panels.offer import columns_for, offered
from strobe.panels.sources import as_csv, as_parquet, python_of, rows_of, sql_of
from strobe.reports.files import save
from strobe.reports.library import check, file_of
from strobe.reports.model import Panel, Report, Section

ANALYZERS = ["weight_norms", "activation_maps", "attention_maps", "key_frequencies", "phases", "loss_and_accuracy"]
PANELS = [
    Panel(renderer="loss_curves"),
    Panel(renderer="norms_over_steps", settings={"height": 150}),
    Panel(renderer="attention_map", width=4),
    Panel(renderer="neuron_map", cursor={"step": 5}),
    Panel(renderer="phase_table"),
    Panel(renderer="distribution", table="weight_norms", slots={"x": "frobenius"}),
    Panel(renderer="line_over_steps", table="loss_and_accuracy", follow=["split"], slots={"y": "accuracy"}),
    Panel(renderer="table", table="key_frequencies"),
    Panel(renderer="line_over_steps", sql="select step, max(frobenius) as largest from weight_norms where run = $run group by step"),
    Panel(renderer="distribution", sql="select frobenius from weight_norms where step <= $step", slots={"x": "frobenius"}),
]
CURSOR = {"run": "small", "step": 12, "layer": 0, "head": 1, "neuron": 3, "split": "train"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    workspace, run = small_workspace(tmp_path_factory.mktemp("sources") / "workspace", ANALYZERS)
    small_workspace(workspace.root, ["weight_norms"], name="other")
    return workspace, run


@pytest.fixture(scope="module")
def cards(small) -> list[Card]:
    return cards_of(resolve(small[0], Report(title="x", sections=[Section(title="y", panels=PANELS)]), small[1]))


def equal(a: pd.DataFrame, b: pd.DataFrame) -> None:
    """The same rows, in any order; numbers may be of another width, and matrices flat."""

    def plain(value: object) -> str:
        if isinstance(value, np.ndarray):
            return str(np.ravel(value).astype(float).tolist())
        return "-" if pd.isna(value) else str(value).removesuffix(".0")

    assert list(a.columns) == list(b.columns)
    assert len(a) > 0
    left, right = (sorted([plain(v) for v in row] for row in rows.astype(object).to_numpy()) for rows in (a, b))
    assert left == right


@pytest.mark.parametrize("number", range(len(PANELS)))
def test_the_sql_gives_the_rows_that_are_drawn(cards: list[Card], small, number: int) -> None:
    assert not cards[number].problem
    equal(small[0].sql(sql_of(cards[number], CURSOR)), rows_of(cards[number], CURSOR))


@pytest.mark.parametrize("number", range(len(PANELS)))
def test_the_three_lines_draw_the_same_picture(cards: list[Card], number: int) -> None:
    lines = python_of(cards[number], CURSOR).splitlines()
    assert len(lines) == 3
    known: dict[str, object] = {}
    exec("\n".join(lines[:2]), known)
    with charts.use(charts.LIGHT):
        drawn = parted(eval(lines[2], known).to_dict())
    asked = cards[number].draw(CURSOR)
    assert not asked.problem
    assert (drawn.spec, drawn.datasets) == (asked.spec, asked.datasets)


@pytest.mark.parametrize("number", range(len(PANELS)))
def test_files_hold_the_rows(cards: list[Card], number: int) -> None:
    rows = rows_of(cards[number], CURSOR)
    csv, parquet = pd.read_csv(BytesIO(as_csv(rows))), pd.read_parquet(BytesIO(as_parquet(rows)))
    assert list(csv.columns) == list(parquet.columns) == list(rows.columns)
    assert len(csv) == len(parquet) == len(rows) > 0


def test_an_array_of_a_csv_is_json(cards: list[Card]) -> None:
    import json

    rows = rows_of(cards[3], CURSOR)
    name = next(n for n in rows if isinstance(rows[n][0], np.ndarray))
    assert np.allclose(json.loads(pd.read_csv(BytesIO(as_csv(rows)))[name][0]), rows[name][0])


def test_a_pinned_probe_has_no_sql(small) -> None:
    panel = Panel(renderer="table", table="loss_and_accuracy", cursor={"probe": "test"})
    (card,) = cards_of(resolve(small[0], Report(title="x", sections=[Section(title="y", panels=[panel])]), small[1]))
    with pytest.raises(UsageError, match="default probe"):
        sql_of(card, CURSOR)


def test_only_renderers_that_fit_are_offered(small) -> None:
    workspace, _ = small
    registry, schema = workspace.registry, workspace.schema
    made_for_it, *generic = offered(registry, schema("weight_norms"), "weight_norms")
    assert made_for_it == "norms_over_steps"
    assert set(generic) >= {"distribution", "line_over_steps", "table"}
    assert "neuron_map" not in generic
    assert offered(registry, schema("phases"), "phases")[0] == "phase_table"
    assert offered(registry, schema("weight_norms")) == generic
    slots = registry.renderer("line_over_steps").slots
    assert columns_for(slots["y"], schema("weight_norms"))[0] == "frobenius"
    assert "frobenius" not in columns_for(slots["color"], schema("weight_norms"))


def test_a_query_of_a_panel_is_checked_and_its_mistakes_are_in_its_card(small, tmp_path: Path) -> None:
    workspace, run = small
    wrong = {
        "select nothing from weight_norms": "nothing",
        "copy weight_norms to 'x.csv'": "COPY is refused",
        "select run from runs": "(run) fits x, y, color",
        "select range as v from range(20000)": "more than 10,000 rows",
        "select range as v from range(3) where range < $head": r"no head",
    }
    panels = [Panel(renderer="line_over_steps", sql=sql) for sql in wrong]
    report = Report(title="x", sections=[Section(title="y", panels=[*panels, Panel(renderer="loss_curves", sql="select 1 as a")])])
    drawn = [card.draw({"step": 5}).problem for card in cards_of(resolve(workspace, report, run))]
    for problem, said in zip(drawn, wrong.values(), strict=False):
        assert said in problem
    assert "no query; a generic renderer does" in drawn[-1]
    save(report, file_of(workspace, "wrong"))
    found = check(workspace, "wrong")
    assert "panels[1].sql: COPY is refused" in found[1]
    assert len(found) == 4  # too many rows, and a coordinate that the page may have, are known only when it is drawn


def test_lines_may_be_of_runs_when_a_panel_asks_for_it(small) -> None:
    panel = Panel(renderer="line_over_steps", sql="select run, step, test_loss from metrics", slots={"y": "test_loss", "color": "run"})
    (card,) = cards_of(resolve(small[0], Report(title="x", sections=[Section(title="y", panels=[panel])]), small[1]))
    assert card.looking({}).frame.slots["color"] == "run"
    assert card.footnote == "line_over_steps of a query of metrics"


@pytest.mark.parametrize("mode", ["grid", "difference"])
def test_a_panel_of_several_runs_has_the_rows_of_each(small, mode: str) -> None:
    panel = Panel(renderer="table", table="weight_norms", compare=mode)
    report = Report(title="x", runs=["small", "other"], sections=[Section(title="y", panels=[panel])])
    (card,) = cards_of(resolve(small[0], report, small[1]))
    sql = sql_of(card, CURSOR)
    found = small[0].sql(sql)
    assert (set(found["run"]), set(found["step"]), sql.count("-- drawn as")) == ({"small", "other"}, {10}, 1)
    if mode == "grid":
        equal(found, rows_of(card, CURSOR).drop(columns="aligned"))
    known: dict[str, object] = {}
    lines = python_of(card, CURSOR).splitlines()
    exec("\n".join(lines[:2]), known)
    with charts.use(charts.LIGHT):
        assert parted(eval(lines[2], known).to_dict()).datasets == card.draw(CURSOR).datasets
