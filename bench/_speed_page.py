"""Results of a pass and of a fit -> the part of docs/performance.md that bench/speed.py writes, and its pictures."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _asked import Results, clock
from _page import EPOCHS, SOLVERS, SPEED, aligned, link, packages, saved, table_of, versions_of
from _speed_asked import FORMULAS, times_of, verdicts


def part(results: Results, folder: Path) -> list[str]:
    """The part of the page; sections that were not measured are left out."""
    blocks = [*_head(results), *_asked(results)]
    for section in (_passes, _peers, _normal, _build, _fits, _bits, _memory, _growth):
        blocks += section(results, folder)
    return blocks


def _head(results: Results) -> Iterator[str]:
    m = results["machine"]
    yield SPEED
    yield from _short(results)
    yield (
        f"Below: a pass and a fit, written by `bench/speed.py` on {m['date']}; {link(EPOCHS)}; {link(SOLVERS)}."
        " `make bench` measures all of it anew; losses stand here like wins."
    )
    yield (
        f"{m['processor']} ({m['family']}, {m['vectors']}, {m['cores']} cores, L3 {m['cache']}), {m['memory']} GiB,"
        f" {m['system']}, Python {m['python']}; {m['compiler'] or 'no C compiler'};"
        f" {packages(m['versions'], *versions_of(results))}."
    )
    yield (
        f"Everything is held to the same two cores. A number is the median of {results['rounds']} repeats after a"
        " call that is not counted, unless it says *first*. What stands in one table is timed in turn in one"
        " process, the peers each in a process of its own with an environment of its own. Every contender must"
        " give the same loss and gradient: *apart* is the largest relative difference to steepest. A pass is loss"
        f" and gradient over {results['row count']:,} rows of float64."
    )


def _short(results: Results) -> Iterator[str]:
    """A pass and a fit in two sentences."""
    times, fits = times_of(results, "passes", "exp"), results.get("fits")
    if not times or not fits:
        return
    mine, others = times["steepest"], [clock(times[name]) for name in times if name.startswith("NumPy")]
    whole = [
        f"{clock(one['times']['steepest'])} at {int(rows):,} rows (`curve_fit`: {clock(one['times']['curve_fit'])})"
        for rows, one in fits.items()
    ]
    yield (
        f"Loss and gradient of {FORMULAS['exp']} over {results['row count']:,} rows take {clock(mine)};"
        f" reading the numbers alone takes {clock(times['read'])}, NumPy {' or, in blocks, '.join(others)}. A whole fit"
        f" of it takes {', '.join(whole)}."
    )


def _asked(results: Results) -> Iterator[str]:
    yield "## What is asked"
    yield table_of(verdicts(results))


def _passes(results: Results, folder: Path) -> Iterator[str]:
    found = results.get("passes")
    if not found:
        return
    yield "## One pass"
    names = [n for n in next(iter(found.values()))["times"] if n != "read"]
    table = []
    for case, one in found.items():
        times = one["times"]
        share = times["read"] / times["steepest"]
        worst = max(one["apart"].values())
        cells = [clock(times["read"]), *(clock(times.get(n)) for n in names), f"{100 * share:.0f} %", f"{worst:.0e}"]
        table.append([FORMULAS[case], *cells])
    yield aligned(["formula", "read limit", *names, "share of the limit", "apart"], table)
    rate = 16 * results["row count"] / found["exp"]["times"]["read"] / 1e9
    text = (
        "*Read limit*: the columns of the formula added up once by a C loop on two threads"
        f" ({rate:.0f} GB/s for the first formula). *C*: the loop over the rows with the derivatives written by hand,"
        " `gcc -O3 -march=native -ffast-math` with glibc's vector functions and OpenMP. *NumPy*: whole arrays,"
        " derivatives by hand, sums by BLAS; *blocks*: the same over slices that stay in the cache, on two threads."
        " The logistic is `softplus(X @ B) - y*(X @ B)`, of ten columns, without overflow for all; NumPy has its"
        " columns as one matrix for BLAS, and takes `logaddexp`."
    )
    narrow = times_of(results, "narrow")
    if narrow:
        text += (
            " With steepest held to AVX2 (`STEEPEST_CPU=x86-64-v3`) the first formula takes"
            f" {clock(narrow['steepest'])}, {100 * narrow['read'] / narrow['steepest']:.0f} % of the read limit."
        )
    yield text


def _peers(results: Results, folder: Path) -> Iterator[str]:
    found = results.get("peers")
    if not found:
        return
    yield "## Peers, cold and warm"
    table, absent = [], []
    for peer, cases in found.items():
        first = cases["exp"]
        if all("warm" not in one for one in cases.values()):
            absent.append(f"{peer} ({first['absent']})")
            continue
        warm = [clock(one["warm"]) if "warm" in one else one["absent"] for one in cases.values()]
        apart = max(one.get("apart", 0.0) for one in cases.values())
        table.append([peer, clock(first.get("import")), clock(first.get("first")), *warm, f"{apart:.0e}"])
    yield aligned(["", "import", "first call", *found["steepest"], "apart"], table)
    text = "*Import* and *first call* (with what is compiled for it) are those of `exp`; the rest are later calls;"
    text += " NumPy was imported before."
    yield text + (f" Left out: {', '.join(absent)}." if absent else "")
    if times_of(results, "passes", "exp"):
        yield _points(results, folder)


def _normal(results: Results, folder: Path) -> Iterator[str]:
    found = results.get("normal")
    if not found:
        return
    three = found["3"]
    yield "## The pass with JᵀJ"
    yield (
        f"`a*exp(-b*x) + c`: {clock(three['normal'])} with JᵀJ, {clock(three['gradient'])} without."
        " Linear models `y = X @ B` over a matrix in memory (1e6 rows at most; C: rows contiguous, F: columns);"
        " steepest gives JᵀJ, gradient and loss, NumPy `A.T @ A` alone:"
    )
    widths = [w for w in found if w != "3"]
    names = list(found[widths[0]])
    yield aligned(["parameters", *names], [[w, *(clock(found[w][n]) for n in names)] for w in widths])


def _build(results: Results, folder: Path) -> Iterator[str]:
    found, answers = results.get("build"), results.get("first_answer")
    if not found or not answers:
        return
    yield "## From text to the first answer"
    table = [[f"kernel of {size} parameters", clock(statistics.median(v)), clock(max(v))] for size, v in found.items()]
    table.append(["first answer over 100 rows", clock(statistics.median(answers)), clock(max(answers))])
    yield aligned(["a formula not seen before, in a warm process", "median", "slowest"], table)


def _fits(results: Results, folder: Path) -> Iterator[str]:
    found = results.get("fits")
    if not found:
        return
    yield "## A whole fit"
    names = list(next(iter(found.values()))["times"])
    table = [
        [f"{int(n):,}", *(clock(one["times"][c]) for c in names), f"{one['passes']:g}", f"{one['apart']:.0e}"]
        for n, one in found.items()
    ]
    yield aligned(["rows", *names, "passes of steepest", "values apart"], table)
    yield "`a*exp(-b*x) + c` from a = 4, b = 1, c = 0; the formula was fitted before, so that nothing is compiled."


def _bits(results: Results, folder: Path) -> Iterator[str]:
    found = results.get("bits")
    if not found or not found.get("as it is"):
        return
    yield "## The same bits"
    plain = found["as it is"]
    settings = {name: [name] for name in found if name.startswith("x86")}
    settings = {"1 to 8 threads": [name for name in found if name.endswith("threads")]} | settings
    table = []
    for case, ways in plain.items():
        groups = [[(found[s] or {}).get(case, {}).get("plain") for s in group] for group in settings.values()]
        groups += [[ways[w]] if w in ways else [] for w in WAYS]
        marks = ["" if not g else "equal" if set(g) == {ways["plain"]} else "**differ**" for g in groups]
        table.append([case, *marks])
    yield aligned(["", *settings, *WAYS], table)
    yield (
        "Loss, gradient and JᵀJ (the logistic: Hessian) beside those of the process as it is, of data that float32"
        " holds exactly: another number of threads, a processor forced down (`x86-64-v3` is AVX2), every third"
        " element of an array, negative strides, float32 columns, the other order of a matrix."
    )


WAYS = ("strides", "backwards", "float32", "other order")


def _memory(results: Results, folder: Path) -> Iterator[str]:
    found = results.get("memory")
    if not found:
        return
    yield "## Memory"
    words = {"few": "a call over few rows, which loads the compiler", "call": "a call", "fit": "a fit"}
    table = [[words[name], *(f"{one[key]:.0f} MB" for key in ("peak", "code"))] for name, one in found.items()]
    yield aligned(["one process, in this order", "peak", "of it code of libraries"], table)
    yield (
        f"Resident memory beyond that with `import steepest` and the data of {results['row count']:,} rows; code of"
        " libraries is mapped from their files."
    )


# pictures ------------------------------------------------------------------------------------------------------------


def _points(results: Results, folder: Path) -> str:
    import matplotlib.pyplot as plt

    times = dict(times_of(results, "passes", "exp") or {})
    times |= {p: c["exp"]["warm"] for p, c in results["peers"].items() if p != "steepest" and "warm" in c["exp"]}
    names = sorted(times, key=lambda n: times[n], reverse=True)
    figure, axes = plt.subplots(figsize=(7, 0.3 * len(names) + 0.8), layout="constrained")
    for place, name in enumerate(names):  # points: a length on a logarithmic scale would say nothing
        color = {"steepest": "tab:orange", "read": "0.45"}.get(name, "tab:blue")
        axes.plot(1e3 * times[name], place, "o", color=color)
        at = (1e3 * times[name], place)
        axes.annotate(clock(times[name]), at, (7, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(names)), ["read limit" if n == "read" else n for n in names])
    axes.set(xscale="log", xlabel=f"ms: loss and gradient of a*exp(-b*x) + c, {results['row count']:,} rows")
    axes.margins(x=0.15)
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    return saved(figure, folder, "speed", "times of one pass of every contender")


def _growth(results: Results, folder: Path) -> Iterator[str]:
    found = results.get("growth")
    if not found:
        return
    yield "## Growth"
    yield _lines(found, folder)
    sizes = list(found["rows"])
    names = list(found["rows"][sizes[0]])
    table = [
        [f"{int(n):,}", *(f"{1e9 * found['rows'][n][c] / int(n):.3g}" if c in found["rows"][n] else "" for c in names)]
        for n in sizes
    ]
    yield "Nanoseconds a row of `a*exp(-b*x) + c`, loss and gradient:"
    yield aligned(["rows", *("read limit" if n == "read" else n for n in names)], table)


def _lines(found: dict[str, Any], folder: Path) -> str:
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name in next(iter(found["rows"].values())):
        points = {int(n): 1e9 * one[name] / int(n) for n, one in found["rows"].items() if name in one}
        label, style = ("read limit", "k:") if name == "read" else (name, ".-")
        left.plot(list(points), list(points.values()), style, label=label)
    left.set(xscale="log", yscale="log", xlabel="rows", ylabel="ns a row", title="a*exp(-b*x) + c")
    for name in next(iter(found["linear"].values())):
        points = {int(p): 1e9 * one[name] / 200_000 for p, one in found["linear"].items()}
        right.plot(list(points), list(points.values()), ".-", label=f"X @ B, {name}")
    points = {int(p): 1e9 * one["steepest"] / 200_000 for p, one in found["peaks"].items()}
    right.plot(list(points), list(points.values()), "s--", label="sum of Gaussians, steepest")
    right.set(xscale="log", yscale="log", xlabel="parameters", title="200,000 rows")
    for axes in (left, right):
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return saved(figure, folder, "growth", "time per row by rows and by parameters")
