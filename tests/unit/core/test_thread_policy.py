"""How many processors a run gets: whatever happens, it is the way that answers sooner."""

from __future__ import annotations

import pytest

from handful_core.runtime.thread_policy import AdaptivePolicy, Clock, InFlightRuns, RunTicket


class Machine:
    """Clocks that go as they are told to, and runs on them."""

    def __init__(self, processors: int = 2, crowd: InFlightRuns | None = None) -> None:
        self.processors = processors
        self.wall = self.used = 100.0
        self.breadth = AdaptivePolicy(processors, crowd or InFlightRuns(), lambda: Clock(self.wall, self.used))

    def run(self, wide: float = 0.010, narrow: float = 0.020, share: float = 1.0, *, failed: bool = False) -> bool:
        """A run: whether it had all processors. It takes `wide` or `narrow` seconds, and gets a share of their time."""
        run = self.breadth.begin()
        seconds = wide if run.wide else narrow
        self.wall += seconds
        self.used += seconds * self.processors * share
        self.breadth.end(run, failed=failed)
        return run.wide

    def beside(self, others: int) -> list[RunTicket]:
        """Runs that begin one after another, and end together."""
        runs = [self.breadth.begin() for _ in range(others)]
        self.wall += 0.02
        for run in runs:
            self.breadth.end(run)
        return runs


def test_who_is_alone_has_all_processors() -> None:
    machine = Machine()
    assert all(machine.run() for _ in range(10))


def test_as_many_as_there_are_processors_have_one_each_and_so_do_the_next_few() -> None:
    machine = Machine()
    assert [run.wide for run in machine.beside(2)] == [True, False]
    assert [machine.run() for _ in range(4)] == [False, False, False, True]


def test_a_few_runs_on_many_processors_share_them() -> None:
    machine = Machine(processors=8)
    assert all(run.wide for run in machine.beside(7))
    assert machine.run()


def test_runs_of_another_graph_count() -> None:
    crowd = InFlightRuns()
    one, other = Machine(crowd=crowd), Machine(crowd=crowd)
    running = one.breadth.begin()
    assert not other.run()
    one.breadth.end(running)


def test_all_graphs_of_a_process_are_one_crowd() -> None:
    one, other = AdaptivePolicy(2), AdaptivePolicy(2)
    runs = [one.begin(), other.begin()]
    assert not runs[1].wide
    one.end(runs[0])
    other.end(runs[1])


def test_beside_a_busy_program_one_processor_is_tried_and_kept_to_for_a_moment() -> None:
    machine = Machine()
    assert machine.run(wide=0.050, share=0.6)
    assert machine.run(wide=0.030, share=0.6)
    assert not machine.run(narrow=0.020), "one is tried"
    began = machine.wall
    while machine.wall < began + 0.09:
        assert not machine.run(narrow=0.020), "it is faster"
    machine.wall += 0.1
    assert all(machine.run(wide=0.010) for _ in range(10)), "the other has gone"


def test_the_longer_a_program_is_busy_the_more_seldom_all_processors_are_tried() -> None:
    machine = Machine()
    waits = [_narrow_seconds(machine) for _ in range(8)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0], abs=0.03)
    machine.run(wide=0.010)
    assert _narrow_seconds(machine) == pytest.approx(0.1, abs=0.03), "it had ended, and is back"


def _narrow_seconds(machine: Machine) -> float:
    """How long one processor is kept to, once it was found to be faster."""
    while machine.run(wide=0.030, share=0.6):
        pass
    began = machine.wall
    while not machine.run(wide=0.030, share=0.6):
        pass
    return machine.wall - 0.030 - began


def test_all_processors_are_kept_to_where_they_are_faster_even_so() -> None:
    machine = Machine(processors=8)
    assert machine.run(wide=0.100, share=0.6)
    assert machine.run(wide=0.030, share=0.6)
    assert not machine.run(narrow=0.080), "slower than the faster of the two"
    began = machine.wall
    while machine.wall < began + 1.9:
        assert machine.run(wide=0.030, share=0.6), "it is not tried at each run"
    machine.wall += 0.2
    assert machine.run(wide=0.030, share=0.6)
    assert not machine.run(narrow=0.080), "but again after a while"


@pytest.mark.parametrize("share", [0.96, 1.0, 1.05])
def test_a_run_that_has_the_processors_for_itself_may_take_long(share: float) -> None:
    machine = Machine()
    assert all(machine.run(wide=seconds, share=share) for seconds in (0.01, 0.5, 0.01, 0.3))


def test_only_a_run_that_is_alone_tries_one_processor() -> None:
    machine = Machine(processors=8)
    assert machine.run(share=0.6)
    assert machine.run(share=0.6)
    assert [run.wide for run in machine.beside(3)] == [False, True, True]
    assert not machine.run(), "the first was not alone to the end: once more"
    assert [run.wide for run in machine.beside(3)] == [True, True, True]


def test_a_moment_of_something_else_changes_nothing() -> None:
    machine = Machine()
    assert all(machine.run(wide=0.030, share=share) for share in (0.5, 1.0, 0.5, 1.0))


def test_runs_that_fail_or_have_company_tell_nothing() -> None:
    machine = Machine()
    assert all(machine.run(share=0.1, failed=True) for _ in range(3))
    assert machine.run()
    machine = Machine(processors=3)
    machine.beside(2)
    machine.beside(2)
    assert machine.run(), "two of three at once got less than all"


def test_memory_is_given_back_once_after_a_rush() -> None:
    machine = Machine()
    assert not machine.breadth.begin().tidy
    machine = Machine()
    machine.beside(2)
    assert not _tidies(machine), "the next rush may come"
    machine.wall += 10
    assert _tidies(machine)
    machine.wall += 100
    assert not _tidies(machine)


def _tidies(machine: Machine) -> bool:
    run = machine.breadth.begin()
    machine.breadth.end(run)
    return run.tidy
