"""A pass by threads, a fork, and the same pass in the child: its exit status says whether the bits are the same."""

from __future__ import annotations

import os
import sys
import time
import warnings

import numpy as np

from steepest.data.source import Block
from steepest.formula.binding import bind
from steepest.formula.grammar import parse
from steepest.formula.losses import find_loss
from steepest.kernels import running
from steepest.kernels.native import NativeKernel
from steepest.types import Need

running.SHARED = 1
rows = 60_000
columns = {name: np.random.default_rng(k).normal(size=rows) for k, name in enumerate("yx")}
objective = bind(parse("y = a*exp(-b*x) + c"), {"y": None, "x": None}, loss=find_loss("squares"))
kernel = NativeKernel(objective.rows(Need.NORMAL))
block = Block(0, rows, columns)


def answer() -> bytes:
    return kernel.total(np.full(3, 0.1), block).values.tobytes()


right = answer()
warnings.simplefilter("ignore")  # of a fork beside threads
for _ in range(5):
    child = os.fork()
    if child == 0:
        again = all(answer() == right for _ in range(5))
        os._exit(0 if again else 1)
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            sys.exit("the child hangs")
        time.sleep(0.01)
    if ended[1] != 0:
        sys.exit(f"the child ended with {ended[1]}")
    if answer() != right:
        sys.exit("the parent sums otherwise after a fork")
