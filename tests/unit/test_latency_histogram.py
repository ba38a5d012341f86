"""Histograms of durations: two digits, as an HDR histogram keeps them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rotomdb.commands.latency_histogram import measured

DURATIONS = st.lists(st.integers(1, 1_000_000_000), min_size=1, max_size=60)


@given(DURATIONS, st.floats(0.1, 100))
def test_a_percentile_is_at_most_one_percent_above_the_exact_one(durations: list[int], percent: float) -> None:
    exact = sorted(durations)[max(int(percent / 100 * len(durations) + 0.5), 1) - 1]
    (found,), _ = measured(durations, [percent])
    assert exact <= found <= exact * 1.01


@given(DURATIONS)
def test_steps_double_and_end_with_all_durations(durations: list[int]) -> None:
    _, steps = measured(durations, [])
    limits, counts = steps[::2], steps[1::2]
    assert counts[-1] == len(durations)
    assert all(before < after for before, after in pairwise(counts))
    for limit, count in zip(limits, counts, strict=True):
        assert sum(duration <= limit * 1000 for duration in durations) <= count
        assert count <= sum(duration < (limit + 1) * 1000 for duration in durations)


def test_the_figures_are_those_of_redis() -> None:
    """Read off redis-server 7.0.15: calls of 8, 35 and 130 us show as these."""
    percentiles, steps = measured([8_000, 35_000, 130_000], [0, 50, 100])
    assert percentiles == [8_000, 35_071, 130_047]
    assert steps == [8, 1, 66, 2, 132, 3]


def test_what_is_too_short_or_too_long_counts_at_the_end_of_the_scale() -> None:
    percentiles, steps = measured([0, 5_000_000_000], [0, 100])
    assert percentiles[0] == 1 and percentiles[1] >= 1_000_000_000
    assert steps[1::2] == [1, 2]
