"""The random order is a pure function of seed, epoch and place."""

import numpy as np
import pytest

from steepest.data.order import unit_order, window_permutation


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_an_order_is_a_permutation(count):
    assert sorted(unit_order(0, 0, count)) == list(range(count))
    assert sorted(window_permutation(0, 0, 0, count)) == list(range(count))


def test_the_same_key_gives_the_same_order():
    assert (unit_order(3, 4, 99) == unit_order(3, 4, 99)).all()
    assert (window_permutation(3, 4, 5, 99) == window_permutation(3, 4, 5, 99)).all()


def test_every_part_of_the_key_matters():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**40, 0, 0)]
    orders = [tuple(window_permutation(*key, 99)) for key in keys]
    orders += [tuple(unit_order(seed, epoch, 99)) for seed, epoch in [(0, 0), (1, 0), (0, 1)]]
    assert len(set(orders)) == len(orders)


def test_the_order_does_not_change_between_releases():
    assert unit_order(0, 0, 8).tolist() == UNITS
    assert window_permutation(0, 1, 2, 8).tolist() == WINDOW


def test_every_place_is_equally_likely():
    draws = np.array([window_permutation(0, epoch, 0, 5) for epoch in range(4000)])
    for place in range(5):
        counts = np.bincount(draws[:, place], minlength=5)
        assert abs(counts - 800).max() < 5 * np.sqrt(800 * 0.8)


UNITS = [2, 1, 6, 5, 7, 0, 3, 4]
WINDOW = [2, 7, 0, 1, 5, 6, 4, 3]
