"""Suites to inherit. One test per check of `strobe plugins check`; pytest and unittest both run them, and both skip what does not apply."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from ..analyzer import Analyzer
from ..family import Family
from ..renderer import Renderer
from . import analyzers, bad_input, families, renderers, subject
from .state import unharmed


class _Conformance:
    """Runs checks by name on one subject, which is made once per class."""

    @classmethod
    @functools.cache
    def _subject(cls) -> Any:
        raise NotImplementedError


def _test(check: Any) -> Any:
    """A test that runs one check."""

    def test(self: _Conformance) -> None:
        with unharmed():
            check(self._subject())

    test.__doc__ = check.__doc__
    return test


class AnalyzerConformance(_Conformance):
    """Everything that Strobe expects of an analyzer.

    ```python
    class TestMine(AnalyzerConformance):
        analyzer = Mine              # or Mine(threshold=0.5)
    ```

    `family` is the model it is tried on; left out, the smallest member of the first installed family that the analyzer applies to.
    """

    analyzer: ClassVar[type[Analyzer] | Analyzer]
    family: ClassVar[Family | None] = None

    @classmethod
    @functools.cache
    def _subject(cls) -> subject.Subject:
        return subject.Subject(cls.analyzer, cls.family)

    test_it_registers = _test(analyzers.registers)
    test_it_is_documented = _test(analyzers.is_documented)
    test_it_gives_what_it_declares = _test(analyzers.gives_what_it_declares)
    test_it_is_deterministic = _test(analyzers.is_deterministic)
    test_it_leaves_its_inputs_alone = _test(analyzers.leaves_its_inputs_alone)
    test_it_leaves_the_process_alone = _test(analyzers.leaves_the_process_alone)
    test_it_declares_what_it_reads = _test(analyzers.declares_what_it_reads)
    test_it_takes_nan = _test(bad_input.takes_nan)
    test_it_takes_nothing = _test(bad_input.takes_nothing)
    test_it_is_independent_of_the_batch_split = _test(analyzers.is_independent_of_the_batch_split)
    test_it_is_bounded_in_memory = _test(analyzers.is_bounded_in_memory)


class RendererConformance(_Conformance):
    """Everything that Strobe expects of a renderer.

    ```python
    class TestMyChart(RendererConformance):
        renderer = MyChart
    ```

    `table` is what it is tried on; left out, the table it names, or for a generic renderer some tables that its slots fit.
    """

    renderer: ClassVar[type[Renderer] | Renderer]
    table: ClassVar[str] = ""

    @classmethod
    @functools.cache
    def _subject(cls) -> renderers.Subject:
        return renderers.Subject(cls.renderer, cls.table)

    test_it_registers = _test(renderers.registers)
    test_it_is_documented = _test(renderers.is_documented)
    test_it_draws = _test(renderers.draws)
    test_it_keeps_the_cursor_out_of_the_chart = _test(renderers.keeps_the_cursor_out_of_the_chart)
    test_it_takes_no_rows = _test(renderers.takes_no_rows)
    test_it_leaves_its_frame_alone = _test(renderers.leaves_its_frame_alone)
    test_it_draws_large_maps_as_images = _test(renderers.draws_large_maps_as_images)


class FamilyConformance(_Conformance):
    """Everything that Strobe expects of a family.

    ```python
    class TestMyFamily(FamilyConformance):
        family = MyFamily             # its `tiny()` member, or an instance
    ```
    """

    family: ClassVar[type[Family] | Family]

    @classmethod
    @functools.cache
    def _subject(cls) -> families.Subject:
        return families.Subject(cls.family)

    test_it_is_documented = _test(families.is_documented)
    test_it_has_what_it_names = _test(families.has_what_it_names)
    test_it_splits_its_inputs = _test(families.splits_its_inputs)
    test_it_makes_its_probes = _test(families.makes_its_probes)
    test_it_answers = _test(families.answers)
    test_it_agrees_with_its_module = _test(families.agrees_with_its_module)
    test_it_agrees_with_its_fixed_forward = _test(families.agrees_with_its_fixed_forward)
    test_it_has_its_sites = _test(families.has_its_sites)
    test_it_is_independent_of_the_batch_split = _test(families.is_independent_of_the_batch_split)
    test_it_loads_what_it_saves = _test(families.loads_what_it_saves)
    test_it_trains = _test(families.trains)
    test_it_names_its_files = _test(families.names_its_files)
