"""Checkpoint schedules: what each form means, and where a wrong one is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strobe import Training
from strobe.errors import UsageError
from strobe.training.schedules import steps


@pytest.mark.parametrize(
    ("schedule", "last", "expected"),
    [
        ("every:100", 250, (0, 100, 200, 250)),
        ("every:1000", 250, (0, 250)),
        ("log:4", 1000, (0, 1, 10, 100, 1000)),
        ("log:60", 3, (0, 1, 2, 3)),
        ("at:10,3,10", 20, (0, 3, 10, 20)),
        ("at:0", 20, (0, 20)),
        ("0-20:10,20-100:40", 120, (0, 10, 20, 60, 100, 120)),
        ("5-12:3", 40, (0, 5, 8, 11, 40)),
        ("7-7:1", 40, (0, 7, 40)),
        ("at:3+10-20:5+every:50", 100, (0, 3, 10, 15, 20, 50, 100)),
        ("at:3,500+10-900:5", 12, (0, 3, 10, 12)),
    ],
)
def test_known_schedules(schedule: str, last: int, expected: tuple[int, ...]) -> None:
    assert steps(schedule, last) == expected


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("", "expected every:N.* at character 1, found the end"),
        ("hourly", "at character 1, found 'h'"),
        ("every:0", "at least 1 at character 7, found '0'"),
        ("every", "at character 1, found 'e'"),
        ("log:1", "at least 2 at character 5, found '1'"),
        ("at:1,,2", "a whole number at character 6, found ','"),
        ("at:1,x2", "a whole number at character 6, found 'x'"),
        ("at:-5", "a whole number at character 4, found '-'"),
        ("at:1+every:2.5", "no more after the number at character 13, found '.'"),
        ("100", "'-' and the end of a range, as in 0-1500:100 at character 4, found the end"),
        ("0-100", "':' and a stride, as in 0-1500:100 at character 6, found the end"),
        ("0-1500:100,9000-1500:500", "an end of at least 9000 at character 17, found '1'"),
        ("0-10:0", "at least 1 at character 6, found '0'"),
        ("every:5+", "at character 9, found the end"),
        ("every: 5", "a whole number at character 7, found ' '"),
        ("at:1234567890123", "a number of at most 12 digits at character 16, found '3'"),
    ],
)
def test_a_wrong_schedule_is_pointed_at(schedule: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        steps(schedule, 100)
    with pytest.raises(UsageError, match=message):
        Training(schedule=schedule)


number = st.integers(0, 400)
positive = st.integers(1, 400)
span = st.tuples(number, number, positive).map(lambda t: (min(t[:2]), max(t[:2]), t[2]))
term = st.one_of(
    positive.map(lambda n: (f"every:{n}", set(range(0, 10_000, n)))),
    st.lists(number, min_size=1, max_size=5).map(lambda ns: ("at:" + ",".join(map(str, ns)), set(ns))),
    st.lists(span, min_size=1, max_size=3).map(
        lambda spans: (",".join(f"{a}-{b}:{n}" for a, b, n in spans), {step for a, b, n in spans for step in range(a, b + 1, n)})
    ),
)


@given(st.lists(term, min_size=1, max_size=4), st.integers(1, 500))
def test_a_union_is_the_union_of_its_terms(terms: list[tuple[str, set[int]]], last: int) -> None:
    schedule = "+".join(text for text, _ in terms)
    meant = {step for _, of_term in terms for step in of_term if step <= last}
    assert steps(schedule, last) == tuple(sorted({0, last} | meant))


@given(st.integers(2, 200), st.integers(1, 100_000))
def test_logarithmic_steps_thin_out(count: int, last: int) -> None:
    kept = steps(f"log:{count}", last)
    assert kept[:2] == (0, 1)
    assert kept[-1] == last
    assert len(kept) <= count + 1


@given(st.text("atevrylog:+-,0123456789 x", max_size=14))
def test_any_text_gives_steps_or_a_usage_error(schedule: str) -> None:
    if wrong := complaint(schedule):
        assert repr(schedule) in wrong
        assert " at character " in wrong
        return
    kept = steps(schedule, 30)
    assert kept[0] == 0
    assert kept[-1] == 30
    assert list(kept) == sorted(set(kept))


def complaint(schedule: str) -> str:
    try:
        steps(schedule, 30)
    except UsageError as error:
        return str(error)
    return ""
