"""How many threads a run gets: whatever happens, as many as answer it sooner."""

from __future__ import annotations

import pytest

from handful_core.runtime.thread_policy import AdaptivePolicy, Clock, FixedPolicy, InFlightRuns, RunTicket, ThreadPolicy


class Machine:
    """Clocks that go as they are told to, and runs on them."""

    def __init__(self, processors: int = 2, in_flight: InFlightRuns | None = None) -> None:
        self.processors = processors
        self.wall = self.cpu = 100.0
        self.policy = AdaptivePolicy(processors, in_flight or InFlightRuns(), lambda: Clock(self.wall, self.cpu))

    def run(self, every: float = 0.010, single: float = 0.020, share: float = 1.0, *, failed: bool = False) -> bool:
        """A run: whether it had all threads. It takes `every` or `single` seconds, and gets a share of their time."""
        ticket = self.policy.begin()
        seconds = every if ticket.all_threads else single
        self.wall += seconds
        self.cpu += seconds * self.processors * share
        self.policy.end(ticket, failed=failed)
        return ticket.all_threads

    def simultaneous(self, others: int) -> list[RunTicket]:
        """Runs that begin one after another, and end together."""
        runs = [self.policy.begin() for _ in range(others)]
        self.wall += 0.02
        for run in runs:
            self.policy.end(run)
        return runs


def test_a_run_that_is_alone_has_all_threads() -> None:
    machine = Machine()
    assert all(machine.run() for _ in range(10))


def test_as_many_runs_as_processors_have_one_thread_each_and_so_do_the_next_few() -> None:
    machine = Machine()
    assert [run.all_threads for run in machine.simultaneous(2)] == [True, False]
    assert [machine.run() for _ in range(4)] == [False, False, False, True]


def test_a_few_runs_on_many_processors_share_them() -> None:
    machine = Machine(processors=8)
    assert all(run.all_threads for run in machine.simultaneous(7))
    assert machine.run()


def test_runs_of_another_graph_count() -> None:
    in_flight = InFlightRuns()
    one, other = Machine(in_flight=in_flight), Machine(in_flight=in_flight)
    running = one.policy.begin()
    assert not other.run()
    one.policy.end(running)


def test_all_graphs_of_a_process_are_counted_together() -> None:
    one, other = AdaptivePolicy(2), AdaptivePolicy(2)
    runs = [one.begin(), other.begin()]
    assert not runs[1].all_threads
    one.end(runs[0])
    other.end(runs[1])


def test_beside_a_busy_program_a_single_thread_is_tried_and_kept_for_a_moment() -> None:
    machine = Machine()
    assert machine.run(every=0.050, share=0.6)
    assert machine.run(every=0.030, share=0.6)
    assert not machine.run(single=0.020), "one is tried"
    began = machine.wall
    while machine.wall < began + 0.09:
        assert not machine.run(single=0.020), "it is faster"
    machine.wall += 0.1
    assert all(machine.run(every=0.010) for _ in range(10)), "the other has gone"


def test_the_longer_a_program_is_busy_the_more_seldom_all_threads_are_tried() -> None:
    machine = Machine()
    waits = [_single_seconds(machine) for _ in range(8)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0], abs=0.03)
    machine.run(every=0.010)
    assert _single_seconds(machine) == pytest.approx(0.1, abs=0.03), "it had ended, and is back"


def _single_seconds(machine: Machine) -> float:
    """How long a single thread is kept, once it was found to be faster."""
    while machine.run(every=0.030, share=0.6):
        pass
    began = machine.wall
    while not machine.run(every=0.030, share=0.6):
        pass
    return machine.wall - 0.030 - began


def test_all_threads_are_kept_where_they_are_faster_even_so() -> None:
    machine = Machine(processors=8)
    assert machine.run(every=0.100, share=0.6)
    assert machine.run(every=0.030, share=0.6)
    assert not machine.run(single=0.080), "slower than the faster of the two"
    began = machine.wall
    while machine.wall < began + 1.9:
        assert machine.run(every=0.030, share=0.6), "it is not tried at each run"
    machine.wall += 0.2
    assert machine.run(every=0.030, share=0.6)
    assert not machine.run(single=0.080), "but again after a while"


@pytest.mark.parametrize("share", [0.96, 1.0, 1.05])
def test_a_run_that_has_the_processors_for_itself_may_take_long(share: float) -> None:
    machine = Machine()
    assert all(machine.run(every=seconds, share=share) for seconds in (0.01, 0.5, 0.01, 0.3))


def test_only_a_run_that_is_alone_tries_a_single_thread() -> None:
    machine = Machine(processors=8)
    assert machine.run(share=0.6)
    assert machine.run(share=0.6)
    assert [run.all_threads for run in machine.simultaneous(3)] == [False, True, True]
    assert not machine.run(), "the first was not alone to the end: once more"
    assert [run.all_threads for run in machine.simultaneous(3)] == [True, True, True]


def test_a_moment_of_something_else_changes_nothing() -> None:
    machine = Machine()
    assert all(machine.run(every=0.030, share=share) for share in (0.5, 1.0, 0.5, 1.0))


def test_runs_that_fail_or_have_company_tell_nothing() -> None:
    machine = Machine()
    assert all(machine.run(share=0.1, failed=True) for _ in range(3))
    assert machine.run()
    machine = Machine(processors=3)
    machine.simultaneous(2)
    machine.simultaneous(2)
    assert machine.run(), "two of three at once got less than all"


def test_memory_is_given_back_once_after_a_burst() -> None:
    machine = Machine()
    assert not machine.policy.begin().trim_memory
    machine = Machine()
    machine.simultaneous(2)
    assert not _trims(machine), "the next burst may come"
    machine.wall += 10
    assert _trims(machine)
    machine.wall += 100
    assert not _trims(machine)


def test_who_cannot_give_memory_back_leaves_that_to_who_can() -> None:
    in_flight = InFlightRuns()
    one = Machine(in_flight=in_flight)
    one.simultaneous(2)
    one.wall += 10
    other = AdaptivePolicy(2, in_flight, lambda: Clock(one.wall, one.cpu), trims=False)
    ticket = other.begin()
    other.end(ticket)
    assert not ticket.trim_memory
    assert _trims(one)


def _trims(machine: Machine) -> bool:
    run = machine.policy.begin()
    machine.policy.end(run)
    return run.trim_memory


@pytest.mark.parametrize(("policy", "spin"), [(FixedPolicy(), False), (AdaptivePolicy(2, InFlightRuns()), True)])
def test_only_a_policy_that_adapts_lets_threads_spin(policy: ThreadPolicy, spin: bool) -> None:
    assert policy.spin is spin
    policy.end(policy.begin())


def test_a_fixed_policy_gives_every_run_all_threads() -> None:
    policy = FixedPolicy()
    tickets = [policy.begin() for _ in range(3)]
    for ticket in tickets:
        policy.end(ticket, failed=True)
    assert [*tickets, policy.begin()] == [RunTicket(all_threads=True)] * 4
