"""Shuffles in machine code are NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from steepest.data.order import WINDOW
from steepest.kernels.permutation import shuffle


def generator(seed):
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))


@pytest.mark.parametrize("rows", [*range(20), 31, 32, 33, 127, 128, 129, 1000, 4095, 4096, 4097, WINDOW - 1, WINDOW])
def test_a_shuffle_is_that_of_numpy(rows):
    for seed in range(3 if rows > 5000 else 40):
        numbers = 7 * np.arange(rows, dtype=np.int64) - 3
        expected = numbers.copy()
        generator(seed).shuffle(expected)
        shuffle(generator(seed), numbers)
        np.testing.assert_array_equal(numbers, expected)
        np.testing.assert_array_equal(expected, 7 * generator(seed).permutation(rows) - 3)


def test_a_shuffle_leaves_its_generator_as_it_was():
    used, fresh = generator(0), generator(0)
    shuffle(used, np.arange(100, dtype=np.int64))
    assert used.integers(1 << 60) == fresh.integers(1 << 60)
