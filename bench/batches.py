"""Batch sizes side by side on measured data and on a million rows; and what the order of a file does to plain SGD.

python bench/batches.py [rows] [folder for the pictures]
"""

from __future__ import annotations

import sys
import warnings

import numpy as np

import steepest
from steepest import Stop, datasets

warnings.simplefilter("ignore")
rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else 1_000_000
folder = sys.argv[2] if len(sys.argv) > 2 else None

print("measured data\n")
line = steepest.compare("log(response) = a + b*distance", datasets.path("chwirut2"), batches=[1, 8, None])
print(line)

print(f"\n{rows:,} rows\n")
random = np.random.default_rng(0)
x = random.uniform(0, 3, rows)
decay = {"x": x, "y": 5 * np.exp(-x) + 1 + 0.1 * random.normal(size=rows)}
start = {"a": 1.0, "b": 2.0, "c": 0.0}
options = {"batches": [100, 1_000, 10_000, None], "rate": 0.5, "seeds": 2, "stop": Stop(passes=5)}
curve = steepest.compare("y = a*exp(-b*x) + c", decay, start=start, **options)
print(curve)
if folder:
    print(line.plot(f"{folder}/measured.png"), line.plot_paths(f"{folder}/paths.png"))
    print(curve.plot(f"{folder}/million.png"))

print("\nlocal minima: 20 starts, y = sin(w*t)\n")
t = random.uniform(0, 6, 200)
wave = {"t": t, "y": np.sin(2 * t) + 0.05 * random.normal(size=200)}
starts = [{"w": 0.5 + 0.15 * k} for k in range(20)]
print(steepest.compare("y = sin(w*t)", wave, batches=[1, None], starts=starts, seeds=1, rate=0.1, stop=Stop(passes=60)))

print("\na file sorted by x: plain SGD, two passes over 20,000 rows, distance to the minimum in the loss\n")
x = np.sort(random.uniform(0, 3, 20_000))
table = {"x": x, "y": 5 * np.exp(-x) + 1 + 0.1 * random.normal(size=x.size)}
best = steepest.fit("y = a*exp(-b*x) + c", table, start=start).loss
for shuffle in (True, False):
    fit = steepest.fit(
        "y = a*exp(-b*x) + c", table, start=start, method="sgd", rate=0.05, shuffle=shuffle, stop=Stop(passes=2)
    )
    print(f"  {'shuffled' if shuffle else 'in file order':14} {fit.loss - best:.3g}  {' '.join(fit.notes)}")
