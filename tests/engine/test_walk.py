"""The walk over a graph of jobs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spica.engine.walk import Walk

graphs = st.integers(1, 12).flatmap(
    lambda count: st.tuples(
        *(st.sets(st.integers(0, max(0, job - 1))) if job else st.just(set()) for job in range(count))
    )
)


@given(graphs, st.randoms(use_true_random=False))
def test_every_job_comes_once_and_after_all_that_it_needs(graph: tuple[set[int], ...], chance: object) -> None:
    walk = Walk({job: sorted(needs) for job, needs in enumerate(graph)})
    ended: list[int] = []
    while walk.left:
        for job in walk.take(2):
            assert graph[job] <= set(ended)
            walk.finish(job)
            ended.append(job)
    assert sorted(ended) == list(range(len(graph)))


@given(graphs, st.data())
def test_a_failure_ends_what_needs_it_and_nothing_else(graph: tuple[set[int], ...], data: st.DataObject) -> None:
    culprit = data.draw(st.integers(0, len(graph) - 1))
    below = {culprit}
    for job, needs in enumerate(graph):
        if needs & below:
            below.add(job)
    walk = Walk({job: sorted(needs) for job, needs in enumerate(graph)})
    done: set[int] = set()
    refused: list[tuple[int, int]] = []
    while walk.left:
        for job in walk.take(3):
            if job == culprit:
                refused = walk.fail(job)
            else:
                walk.finish(job)
                done.add(job)
    assert {job for job, _ in refused} | {culprit} == below
    assert all(before in graph[job] for job, before in refused)
    assert done == set(range(len(graph))) - below


def test_lower_numbers_go_first() -> None:
    walk = Walk({3: [], 1: [], 2: [1]})
    assert walk.take(1) == [1]
    assert walk.take(5) == [3]
    walk.finish(1)
    assert (walk.take(5), walk.out, walk.left) == ([2], 2, 2)
