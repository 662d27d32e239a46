"""Passes by threads, with an interrupt at any moment: it must arrive, and the next pass must have the right bits."""

from __future__ import annotations

import random
import signal
import sys
import time

import numpy as np

from steepest.data.source import Block
from steepest.formula.binding import bind
from steepest.formula.grammar import parse
from steepest.formula.losses import find_loss
from steepest.kernels import running
from steepest.kernels.native import NativeKernel
from steepest.types import Need

running.SHARED = 1
rows = 300_000
columns = {name: np.random.default_rng(k).normal(size=rows) for k, name in enumerate("yx")}
objective = bind(parse("y = a*exp(-b*x) + c*sin(d*x)"), {"y": None, "x": None}, loss=find_loss("squares"))
kernel = NativeKernel(objective.rows(Need.NORMAL))
block = Block(0, rows, columns)
thetas = [np.full(4, 0.1), np.full(4, 0.2)]
right = [kernel.total(theta, block).values.tobytes() for theta in thetas]
delay = random.Random(7)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGALRM, signal.default_int_handler)
end = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else time.monotonic() + 2
count = 0
while time.monotonic() < end:
    arrived = False
    try:
        signal.setitimer(signal.ITIMER_REAL, delay.uniform(1e-4, 1e-2))
        for _ in range(10_000):
            kernel.total(thetas[0], block)
    except KeyboardInterrupt:
        arrived = True
    if not arrived:
        sys.exit("the interrupt is lost")
    count += 1
    for theta, bits in zip(thetas[::-1], right[::-1], strict=True):
        if kernel.total(theta, block).values.tobytes() != bits:
            sys.exit(f"other bits after interrupt {count}")
