"""Bookmarks: kept beside the run, one per name, and refused when they are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from strobe import Workspace
from strobe.errors import UsageError
from strobe.panels.bookmarks import Bookmark, bookmarks, keep, remove


def test_a_bookmark_stays_in_the_workspace_until_it_is_removed(toy: Path) -> None:
    run = Workspace(toy).run("toy")
    assert bookmarks(run) == []
    keep(run, {"name": "later", "cursor": {"step": 20, "neuron": 3}})
    keep(run, {"name": "early", "note": "nothing yet", "cursor": {"step": 0}})
    again = Workspace(toy).run("toy")
    assert [b.name for b in bookmarks(again)] == ["early", "later"]
    assert dict(bookmarks(again)[1].cursor) == {"step": 20, "neuron": 3}
    remove(again, "early")
    remove(again, "never kept")
    assert [b.name for b in bookmarks(run)] == ["later"]


def test_a_name_is_kept_once(toy: Path) -> None:
    run = Workspace(toy).run("toy")
    keep(run, Bookmark(name="x", cursor={"step": 0}))
    keep(run, Bookmark(name="x", note="moved", cursor={"step": 5}))
    (only,) = bookmarks(run)
    assert (only.note, only.cursor["step"]) == ("moved", 5)


@pytest.mark.parametrize(
    "wrong", [{"name": "", "cursor": {}}, {"name": "x"}, {"name": "x", "cursor": {"step": "soon"}}, {"name": "x" * 81, "cursor": {}}]
)
def test_what_is_no_bookmark_is_refused(toy: Path, wrong: dict[str, object]) -> None:
    run = Workspace(toy).run("toy")
    with pytest.raises(UsageError, match="bookmark: "):
        keep(run, wrong)
    assert bookmarks(run) == []


def test_a_file_that_is_no_list_of_bookmarks_is_named(toy: Path) -> None:
    run = Workspace(toy).run("toy")
    (run.folder / "bookmarks.json").write_text("{")
    with pytest.raises(UsageError, match=r"bookmarks\.json: no list of bookmarks"):
        bookmarks(run)
