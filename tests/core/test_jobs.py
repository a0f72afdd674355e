"""Jobs as rows: one per request, one attempt at a time, and no write without a lease that holds."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from strobe import Workspace
from strobe.cli import app
from strobe.errors import StoreError, UsageError
from strobe.jobs.handle import JobHandle
from strobe.jobs.job import Job, Prepared
from strobe.jobs.kinds import kind_of
from strobe.jobs.queue import MOST_LOST, JobStore, LostJob
from strobe.jobs.worker import Meter
from strobe.storage.database import NAME, VERSION

SMALL = {"p": 7, "d_model": 8, "n_heads": 2, "d_mlp": 16, "fraction": 0.5}
SHORT = {"epochs": 20, "schedule": "every:5", "lr": 1e-2}
LONG, OVER = 60.0, -1.0
"""Leases: one that holds for the whole test, one that has run out when it is given."""


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path)


def prepared(name: str = "a", *, finished: bool = False) -> Prepared:
    return Prepared({"n": 3}, f"count {name}", "", name, finished)


def claimed(store: JobStore, owner: str = "w", lease: float = LONG) -> Job:
    found = store.claim(owner, "here", lease)
    assert found is not None
    return found[1]


# --- submit --------------------------------------------------------------------------------------------------------------------------------


def test_the_same_request_twice_is_one_job(store: JobStore) -> None:
    first, again, other = store.submit("tiny", prepared()), store.submit("tiny", prepared()), store.submit("tiny", prepared("b"))
    assert first.id == again.id != other.id
    job = claimed(store)
    assert store.submit("tiny", prepared()).id == first.id, "while it runs"
    store.finish(job, "done")
    assert store.submit("tiny", prepared(finished=True)).id == first.id, "when it is done"


def test_the_same_request_of_another_kind_is_another_job(store: JobStore) -> None:
    assert store.submit("tiny", prepared()).id != store.submit("other", prepared()).id


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_request_that_failed_can_be_submitted_again(store: JobStore, state: str) -> None:
    first = store.submit("tiny", prepared())
    store.finish(claimed(store), state)
    second = store.submit("tiny", prepared())
    assert second.id != first.id
    with pytest.raises(UsageError, match=second.id):
        store.retry(first.id)


def test_what_was_done_and_is_gone_is_done_again(store: JobStore) -> None:
    first = store.submit("tiny", prepared())
    store.finish(claimed(store), "done")
    second = store.submit("tiny", prepared(finished=False))
    assert second.id != first.id
    assert [j.state for j in store.all()] == ["done", "queued"]


def test_many_who_submit_at_once_make_one_job(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: JobStore(tmp_path).submit("tiny", prepared()).id, range(16)))
    assert len(set(jobs)) == 1
    assert len(JobStore(tmp_path).all()) == 1


def test_a_job_is_found_by_the_beginning_of_its_id(store: JobStore) -> None:
    job = store.submit("tiny", prepared())
    assert store.get(job.id[:5]).id == job.id
    for wrong in ("nope", "%", ""):
        with pytest.raises(UsageError, match="strobe jobs list"):
            store.get(wrong)


# --- claim, lease, attempt -----------------------------------------------------------------------------------------------------------------


def test_jobs_are_claimed_in_order_and_each_once(store: JobStore) -> None:
    ids = [store.submit("tiny", prepared(str(i))).id for i in range(20)]

    def all_of_one(owner: int) -> list[str]:
        own = JobStore(store.root)
        found = []
        while (pair := own.claim(str(owner), "here", LONG)) is not None:
            found.append(pair[1].id)
        return found

    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(all_of_one, range(4)))
    assert sorted(job for share in shares for job in share) == sorted(ids)
    assert all(share == [i for i in ids if i in share] for share in shares), "the oldest first"


def test_a_lease_that_holds_protects_and_one_that_ran_out_does_not(store: JobStore) -> None:
    store.submit("tiny", prepared())
    first = claimed(store, "one", OVER)
    second = claimed(store, "two")
    assert (first.id, first.attempt, second.attempt) == (second.id, 1, 2)
    assert store.claim("three", "here", LONG) is None


def test_a_lost_attempt_cannot_write_anything(store: JobStore) -> None:
    store.submit("tiny", prepared())
    lost = claimed(store, "one", OVER)
    writes = {
        "renew": lambda: store.renew(lost, LONG),
        "report": lambda: store.report(lost.id, lost.attempt, 0.9, 9, 10, "late"),
        "explain": lambda: store.explain(lost.id, lost.attempt, "late"),
        "attach": lambda: store.attach(lost, 1, "late"),
        "release": lambda: store.release(lost),
        "done": lambda: store.finish(lost, "done"),
        "mine": lambda: store.still_mine(lost.id, lost.attempt),
    }
    assert {name: write() for name, write in writes.items()} == dict.fromkeys(writes, False), "its lease is over, though nobody has the job yet"
    owner = claimed(store, "two")
    before = store.get(lost.id)
    assert {name: write() for name, write in writes.items()} == dict.fromkeys(writes, False), "another has it"
    assert store.get(lost.id) == before == owner
    with pytest.raises(LostJob, match="not attempt 1's any more"):
        Meter(store, lost)(1, 3)


def test_a_job_that_kills_its_workers_fails_and_one_that_gets_on_does_not(store: JobStore) -> None:
    store.submit("tiny", prepared())
    for _ in range(MOST_LOST):
        claimed(store, lease=OVER)
    assert store.claim("w", "here", LONG) is None
    assert store.all()[0].state == "failed"
    assert f"lost {MOST_LOST} times" in store.all()[0].error
    store.retry(store.all()[0].id)
    for attempt in range(MOST_LOST + 2):
        job = claimed(store, lease=LONG)
        store.report(job.id, job.attempt, 0.1 * (attempt + 1), attempt, 10, "")
        store._write("update jobs set lease = 0")
    assert claimed(store).state == "running"


def test_a_released_job_is_claimed_by_the_next(store: JobStore) -> None:
    store.submit("tiny", prepared())
    assert store.release(claimed(store, "one"))
    assert claimed(store, "two").attempt == 2


# --- cancel, retry -------------------------------------------------------------------------------------------------------------------------


def test_cancelling(store: JobStore) -> None:
    queued, running, abandoned = (store.submit("tiny", prepared(n)).id for n in "abc")
    store.cancel(queued)
    assert store.get(queued).state == "cancelled"
    assert claimed(store, "one").id == running
    assert claimed(store, "two", OVER).id == abandoned
    assert store.cancel(running).state == "running", "its worker ends it"
    assert store.cancelling("one") == {running}
    assert store.cancel(abandoned).state == "cancelled", "there is no worker to wait for"
    assert store.claim("three", "here", LONG) is None


def test_a_cancelled_job_whose_worker_is_lost_is_not_taken_over(store: JobStore) -> None:
    store.submit("tiny", prepared())
    job = claimed(store)
    store.cancel(job.id)
    store._write("update jobs set lease = 0")
    assert store.claim("two", "here", LONG) is None
    assert store.get(job.id).state == "cancelled"


def test_a_cancelled_job_whose_worker_is_lost_ends_though_no_other_worker_comes(store: JobStore) -> None:
    store.submit("tiny", prepared())
    job = claimed(store)
    store.cancel(job.id)
    assert store.get(job.id).state == "running"
    store._write("update jobs set lease = 0")
    assert JobHandle(store, job.id).wait(1) == "cancelled"


def test_looking_makes_no_folder(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "typo")
    assert (store.all(), store.workers()) == ([], [])
    with pytest.raises(UsageError, match="no job"):
        store.get("abc")
    assert not store.root.exists()


def test_cancelling_what_has_ended_changes_nothing(store: JobStore) -> None:
    store.submit("tiny", prepared())
    store.finish(claimed(store), "done")
    assert store.cancel(store.all()[0].id).state == "done"


def test_retry_is_for_what_failed(store: JobStore) -> None:
    job = store.submit("tiny", prepared())
    with pytest.raises(UsageError, match="is queued; only a failed or cancelled"):
        store.retry(job.id)
    attempt = claimed(store)
    store.report(job.id, 1, 0.5, 1, 2, "")
    store.explain(job.id, 1, "it broke")
    store.finish(attempt, "failed")
    assert (store.get(job.id).state, store.get(job.id).error) == ("failed", "it broke")
    again = store.retry(job.id)
    assert (again.state, again.error, again.progress) == ("queued", "", 0.5), "it goes on from what is stored"
    assert claimed(store).attempt == 2


# --- progress ------------------------------------------------------------------------------------------------------------------------------

moves = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 50)), min_size=1, max_size=8)
"""How many more are done, and how many are then believed to be left."""


@settings(max_examples=30)
@given(moves)
def test_progress_never_falls_and_is_one_only_when_done(tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int]]) -> None:
    store = JobStore(tmp_path_factory.mktemp("meter"))
    store.submit("tiny", prepared())
    job = claimed(store)
    seen, done, meter = [0.0], 0, Meter(store, job)
    with store:
        for step, left in moves:
            done += step
            meter(done, done + left)
            seen.append(store.get(job.id).progress)
            assert seen[-1] > seen[-2] if step else seen[-1] == seen[-2], "it moves with every checkpoint, whatever becomes of the total"
            assert seen[-1] < 1
        store.finish(job, "done")
        assert store.get(job.id).progress == 1.0


def test_known_progress(store: JobStore) -> None:
    store.submit("tiny", prepared())
    meter = Meter(store, claimed(store))
    seen = []
    for k in (1, 2, 3):
        meter(k, 3)
        seen.append(store.all()[0].progress)
    assert seen == pytest.approx([1 / 4, 2 / 4, 3 / 4]), "the last share is the end itself"


def test_a_second_attempt_goes_on_from_the_progress_of_the_first(store: JobStore) -> None:
    store.submit("tiny", prepared())
    Meter(store, claimed(store))(50, 100)
    store._write("update jobs set lease = 0")
    second = Meter(store, claimed(store))
    second.begin(40, 100)
    assert store.all()[0].progress == pytest.approx(50 / 101)
    second(41, 100)
    assert 50 / 101 < store.all()[0].progress < 0.55


def test_rate_and_time_left(store: JobStore) -> None:
    store.submit("tiny", prepared())
    meter = Meter(store, claimed(store))
    assert (store.all()[0].rate, store.all()[0].seconds_left) == (None, None)
    meter.begin(10, 10_000)
    assert store.all()[0].rate is None
    store._write("update jobs set began = began - 2000")
    meter(2010, 10_000)
    job = store.all()[0]
    assert job.rate == pytest.approx(1.0, rel=0.1), "2000 more in 2000 seconds"
    assert job.seconds_left == pytest.approx(7990, rel=0.1)


# --- the file ------------------------------------------------------------------------------------------------------------------------------


def test_a_damaged_file_is_named_and_reindex_sets_it_aside(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match=r"strobe\.db is damaged .*strobe reindex"):
        JobStore(tmp_path).all()
    found = CliRunner().invoke(app, ["reindex", "--workspace", str(tmp_path)])
    assert found.exit_code == 0
    assert "0 runs, 0 results" in found.output
    assert len(list(tmp_path.glob("strobe.db.damaged-*"))) == 1
    assert JobStore(tmp_path).all() == []


def test_a_file_of_a_newer_strobe_is_left_alone(tmp_path: Path) -> None:
    JobStore(tmp_path).all()
    connection = sqlite3.connect(tmp_path / NAME)
    connection.execute(f"pragma user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(StoreError, match="newer strobe"):
        JobStore(tmp_path).all()


# --- requests ------------------------------------------------------------------------------------------------------------------------------


def test_a_training_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    a = workspace.submit("train", start=False, target="modular_addition", training=SHORT, **SMALL)
    b = workspace.submit("train", start=False, target="modular_addition", training={**SHORT, "optimizer": "adamw"}, **SMALL)
    c = workspace.submit("train", start=False, target="modular_addition", training=SHORT, **{**SMALL, "p": 11})
    assert a.id == b.id != c.id
    assert [h.id for h in workspace.jobs()] == [a.id, c.id]


@pytest.mark.parametrize(
    ("kind", "request_", "says"),
    [
        ("trian", {}, "did you mean 'train'"),
        ("train", {}, "needs a target"),
        ("train", {"target": "modular_adition"}, "modular_adition"),
        ("train", {"target": "modular_addition", "q": 7}, "no setting 'q'"),
        ("train", {"target": "modular_addition", "training": {"optimizer": "lion"}}, "optimizer"),
        ("train", {"target": "modular_addition", "name": "../elsewhere"}, "letters, digits"),
        ("train", {"target": "modular_addition", "name": "modular_addition"}, "family's name"),
        ("train", {"target": "toy@3"}, "write RUN@STEP"),
        ("analyze", {"analyzers": ["phasess"]}, "did you mean 'phases'"),
        ("analyze", {"runs": ["toi"]}, "did you mean 'toy'"),
        ("analyze", {"run": "toy"}, "takes no 'run'; did you mean 'runs'"),
        ("analyze", {"analyzers": [object()]}, "cannot travel"),
        ("export", {}, "needs an output"),
        ("export", {"output": "x.html", "report": "defalt"}, "defalt"),
    ],
)
def test_a_request_that_cannot_work_is_refused_before_it_is_queued(toy: Path, kind: str, request_: Mapping[str, Any], says: str) -> None:
    workspace = Workspace(toy)
    with pytest.raises(UsageError, match=says):
        workspace.submit(kind, start=False, **request_)
    assert workspace.jobs() == []


def test_a_request_knows_whether_it_is_done_already(toy: Path) -> None:
    workspace = Workspace(toy)
    analysis = {"runs": "toy", "analyzers": ["phases"]}
    assert not kind_of("analyze").prepare(workspace, analysis).finished
    before = kind_of("analyze").prepare(workspace, analysis).fingerprint
    workspace.analyze("toy", ["phases"])
    assert kind_of("analyze").prepare(workspace, analysis).finished
    assert kind_of("analyze").prepare(workspace, analysis).fingerprint == before
    new = {"target": "modular_addition", "name": "toy", "training": SHORT, **SMALL}
    assert kind_of("train").prepare(workspace, new).finished
    assert not kind_of("train").prepare(workspace, {**new, "training": {**SHORT, "epochs": 25}}).finished
    assert kind_of("train").prepare(workspace, {"target": "toy"}).finished
    assert not kind_of("train").prepare(workspace, {"target": "toy", "add": "at:3"}).finished


def test_files_of_a_request_are_found_from_anywhere(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = kind_of("export").prepare(Workspace(toy), {"output": "x.html"}).request
    assert request["output"] == str(tmp_path / "x.html")


# --- the command line ----------------------------------------------------------------------------------------------------------------------


def run(*arguments: str, status: int = 0) -> str:
    found = CliRunner().invoke(app, list(arguments))
    assert found.exit_code == status, found.output
    return found.output


def test_the_commands(store: JobStore) -> None:
    where = ("--workspace", str(store.root))
    assert "has no jobs" in run("jobs", "list", *where)
    job = store.submit("tiny", prepared())
    attempt = claimed(store)
    Meter(store, attempt)(1, 3, "counted 1")
    assert all(text in run("jobs", "list", *where) for text in (job.id, "count a", "running", "25 %"))
    (listed,) = json.loads(run("jobs", "list", "--json", *where))
    assert (listed["id"], listed["state"], listed["progress"], listed["note"]) == (job.id, "running", 0.25, "counted 1")
    assert "is being cancelled" in run("jobs", "cancel", job.id[:6], *where)
    assert "cancelling" in run("jobs", "list", *where)
    store.finish(attempt, "cancelled")
    assert "is cancelled already" in run("jobs", "cancel", job.id, *where)
    assert f"strobe jobs retry {job.id}" in run("jobs", "show", job.id, *where)
    shown = json.loads(run("jobs", "show", job.id, "--json", *where))
    assert (shown["state"], shown["log"]) == ("cancelled", str(store.log(job.id)))
    assert run("jobs", "logs", job.id, *where) == ""
    store.log(job.id).parent.mkdir()
    store.log(job.id).write_text("it said this\n")
    assert run("jobs", "logs", job.id, "--follow", *where) == "it said this\n"
    assert json.loads(run("jobs", "list", "--state", "done", "--json", *where)) == []


def test_a_job_of_a_worker_that_is_gone_says_so(store: JobStore) -> None:
    store.submit("tiny", prepared())
    claimed(store, lease=OVER)
    listed = run("jobs", "list", "--workspace", str(store.root))
    assert "waits for a worker" in listed
    assert "strobe worker" in listed


def test_waiting_ends_after_its_time(store: JobStore) -> None:
    handle = JobHandle(store, store.submit("tiny", prepared()).id)
    before = time.monotonic()
    with pytest.raises(TimeoutError, match="is queued at 0%"):
        handle.wait(timeout=0.1)
    assert time.monotonic() - before >= 0.1
    handle.cancel()
    assert handle.wait() == "cancelled"
