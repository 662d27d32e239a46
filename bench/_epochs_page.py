"""Results of epochs and steps -> verdicts, and the part of docs/performance.md that bench/epochs.py writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _asked import Results, Verdict, at_least, at_most, clock
from _curve import COMMON, NEAR
from _epochs_data import BATCH
from _epochs_scale import MOST, PASSES, ROWS
from _page import EPOCHS, aligned, loads, packages, saved, table_of, versions_of

MINIMA = ("PyTorch, L-BFGS", "JAX, L-BFGS (optax)", "JAX, Newton")  # peers that go to the minimum
WAYS = ("in order", "shuffled")
RULES = ("gd", "adam")
READS = {"in order": 1.3, "shuffled": 10.0}  # at most, times a bare read
SINGLE = {"in order": 3.0, "shuffled": 7.0}  # at least, times the speed of scikit-learn
USED = ("jax", "numpy", "optax", "scikit-learn", "scipy", "torch")  # whose versions the page names
BOUNDS = {
    "C": 0.6, "JAX": 2.0, "text": 1.2, "steps": 500.0, "apart": 1e-9, "digits": 6.0, "files": 2.2,
}  # fmt: skip


def verdicts(results: Results) -> list[Verdict]:
    """Every figure that is asked of batches and steps."""
    return [v for part in (_batches, _single, _others) for v in part(results)]


def over(above: float | None, below: float | None) -> float | None:
    """Their ratio; None where one is missing, or where a difference of two fits was lost in noise."""
    return above / below if above and below and min(above, below) > 0 else None


def peer(results: Results, name: str, task: str) -> dict[str, Any]:
    return ((results.get("peers") or {}).get(name) or {}).get(task) or {}


def apart(results: Results) -> dict[str, float]:
    """How far the parameters of the others lie from those of steepest after one epoch in order by gd, relatively."""
    batches, single = results.get("batches") or {}, results.get("single") or {}
    found = {"C": batches.get("C apart"), "scikit-learn (every row a step)": single.get("apart")}
    theirs = peer(results, "JAX, scan", "gd in order")
    if "theta" in theirs and "theta" in batches and results["row count"] % BATCH == 0:
        mine = batches["theta"]
        largest = max(abs(a - b) for a, b in zip(mine, theirs["theta"], strict=True))
        found["JAX"] = largest / max(map(abs, mine))
    return {name: value for name, value in found.items() if value is not None}


def _batches(results: Results) -> Iterator[Verdict]:
    found = results.get("batches") or {}
    for way in WAYS:
        for rule in RULES:
            name = f"{rule} {way}"
            text = f"epoch, batches of 32, {rule}, {way}:"
            yield at_most(f"{text} time of a bare read", over(found.get(name), found.get("read")), READS[way])
            if name == "gd in order":
                yield at_most(f"{text} time of the C loop", over(found.get(name), found.get("C")), BOUNDS["C"])
            theirs = peer(results, "JAX, scan", name).get("time")
            yield at_least(f"{text} speed of JAX's scan", over(theirs, found.get(name)), BOUNDS["JAX"])


def _single(results: Results) -> Iterator[Verdict]:
    found = results.get("single") or {}
    for way, limit in SINGLE.items():
        mine, theirs = ((found.get(name) or {}).get(way) for name in ("steepest", "scikit-learn"))
        yield at_least(f"every row a step, {way}: speed of scikit-learn", over(theirs, mine), limit)


def _others(results: Results) -> Iterator[Verdict]:
    rules, steps = results.get("text") or {}, results.get("steps") or {}
    yield at_most(
        "an epoch in order: parameters apart", max(apart(results).values(), default=None), BOUNDS["apart"], "relative"
    )
    yield at_most("momentum as text: time of the built-in", over(rules.get("text"), rules.get("built in")), 1.2)
    speed = over(steps.get("NumPy"), steps.get("steepest"))
    yield at_least("5,000 steps on all rows: speed of NumPy", speed, BOUNDS["steps"])
    far = max(steps["apart"], steps["apart at the end"]) if steps else None
    yield at_most("5,000 steps on all rows: parameters apart", far, BOUNDS["apart"], "relative")
    files = results.get("larger") or {}
    read = over(files.get("steepest"), files.get("read"))
    yield at_most("exact linear regression over 100 × the rows in Parquet: time of a bare read", read, BOUNDS["files"])
    digits = [one["digits"] for one in (results.get("nist_linear") or {}).values()]
    yield at_least(
        "NIST's linear problems, worst of three starts: digits", min(digits, default=None), BOUNDS["digits"], ""
    )


# the page ------------------------------------------------------------------------------------------------------------


def part(results: Results, folder: Path) -> list[str]:
    """The part of the page; sections that were not measured are left out."""
    m = results["machine"]
    blocks = [
        EPOCHS,
        f"Written by `bench/epochs.py` on {m['date']}, {m['processor']}, {loads(results)};"
        f" a matrix of {results['row count']:,} rows and 10 columns of float64, rows contiguous;"
        f" medians of {results['rounds']} repeats; {_versions(results)}.",
        table_of(verdicts(results)),
    ]
    for section in (_epochs, _rows, _steps, _larger, _digits, _reach, _scale):
        blocks += section(results)
    return [*blocks, *_curve(results, folder)]


def _versions(results: Results) -> str:
    single = (results.get("single") or {}).get("versions", {})
    return packages(*versions_of(results), results["machine"]["versions"], single, only=USED)


def _epochs(results: Results) -> Iterator[str]:
    found = results.get("batches")
    if not found:
        return
    yield "### An epoch of batches of 32, one thread"
    table = []
    for name in (f"{rule} {way}" for rule in RULES for way in WAYS):
        loop = clock(found.get("C")) if name == "gd in order" else ""
        mine = found[name]
        theirs = [_cell(peer(results, one, name)) for one in ("JAX, scan", "PyTorch, loop")]
        table.append([name, clock(found["read"]), clock(mine), f"{mine / found['read']:.2f} ×", loop, *theirs])
    yield aligned(["", "bare read", "steepest", "of a read", "C loop", "JAX, scan", "PyTorch, loop"], table)
    rules = results.get("text") or {}
    written = f" As text, momentum takes {clock(rules['text'])}; built in, {clock(rules['built in'])}." if rules else ""
    yield (
        "*steepest* is the whole API: the difference of fits of 15 and of 9 passes, a sixth of it; a fit looks at all"
        " rows after passes 1, 2, 4, 8, ..., which is the same in both. *Bare read*: every number added up once in C;"
        " it and the C loop are timed between the fits, the peers in processes of their own."
        " *C loop*: batches in order, row by row, `gcc -O3 -march=native -ffast-math`. The order of *JAX, scan* comes"
        f" from NumPy's permutation. *PyTorch, loop* is measured on 32,000 rows and scaled. {_apart(results)}{written}"
    )


def _cell(one: dict[str, Any]) -> str:
    return clock(one["time"]) if "time" in one else one.get("absent", "")


def _apart(results: Results) -> str:
    words = ", ".join(f"{name} {value:.0e}" for name, value in apart(results).items())
    return f"Parameters apart after an epoch of gd in order: {words}." if words else ""


def _rows(results: Results) -> Iterator[str]:
    found = results.get("single")
    if not found:
        return
    yield "### Every row a step, one thread"
    rows = results["row count"]
    table = [
        [way, *(f"{clock(one[way])}, {rows / one[way] / 1e6:.3g} million rows/s" if one else "not installed"
                for one in (found["steepest"], found.get("scikit-learn")))]
        for way in WAYS
    ]  # fmt: skip
    yield aligned(["an epoch", "steepest", "scikit-learn, SGDRegressor"], table)
    yield (
        "Like with like: squares, no penalty, a constant rate, no intercept, no averaging, no test of the end; both"
        " the difference of fits of more and of fewer passes."
    )


def _steps(results: Results) -> Iterator[str]:
    found = results.get("steps")
    if not found:
        return
    yield "### 5,000 steps on all rows"
    yield (
        f"Linear regression by gd at a rate of 0.001: steepest {clock(found['steepest'])} for {found['steps']:,} steps,"
        f" NumPy (`b - rate*(X.T @ (X @ b - y)/n)`, 20 steps, scaled) {clock(found['NumPy'])}. Parameters apart:"
        f" {found['apart']:.0e} after 20 steps, {found['apart at the end']:.0e} after all, there beside NumPy on"
        " `X.T @ X`. steepest reads the rows once and collects their sums: NumPy could do the same by hand."
    )


def _larger(results: Results) -> Iterator[str]:
    found = results.get("larger")
    if not found:
        return
    yield "### Exact linear regression over files"
    mine, read = found["steepest"], found["read"]
    yield (
        f"`y = a + b*x1 + c*x2` by the default call over {found['rows']:,} rows of {found['files']} files of Parquet,"
        f" three columns of float64, {found['size'] / 1e9:.2g} GB, row groups of 1,048,576 rows, in the page cache:"
        f" {clock(mine)} and {found['passes']:g} passes, one that collects the sums and one that certifies. pyarrow's"
        f" `read_row_group` of the same columns, with its threads, nothing computed: {clock(read)}. That is"
        f" {mine / read:.2f} bare reads. Values apart from NumPy's `lstsq` on sums by row groups:"
        f" {found['apart']:.0e} relative. Peak memory of the process {found['peak']:,.0f} MB; after a fit of 100 rows"
        f" {found['peak of few rows']:,.0f} MB."
    )


def _digits(results: Results) -> Iterator[str]:
    found = results.get("nist_linear")
    if not found:
        return
    yield "### NIST's linear problems by `auto`"
    starts = list(next(iter(found.values()))["from"])
    table = [
        [name, str(one["parameters"]), f"{one['condition']:.1e}", *(f"{one['from'][start]:.1f}" for start in starts),
         f"{one['digits']:.1f}", one["status"]]
        for name, one in found.items()
    ]  # fmt: skip
    yield aligned(["problem", "parameters", "condition", *(f"from {s}" for s in starts), "worst", "status"], table)
    yield (
        "*Condition* of the columns as they stand; digits of the worst parameter that agree, fifteen at most, every"
        " parameter begun at 0, 1 and 1000: NIST gives no starts, and 1 is the certified answer of Wampler's."
    )


def _reach(results: Results) -> Iterator[str]:
    found = results.get("reach")
    if not found:
        return
    yield "### Seconds to within 1e-6 of the lowest loss"
    for model, ways in found.items():
        every = ways | {name: peer(results, name, model) for name in MINIMA}
        table = [[name, *_reached(one)] for name, one in every.items()]
        yield f"{model.capitalize()} regression, two threads, from zeros:"
        yield aligned(["", "time", "passes", "above the minimum", ""], table)
    yield (
        "A fit from beginning to end after one that is not counted, compilation apart. Batches: fits of 1, 2, 4, ..."
        " passes, the first that comes so near; gd stops at the loss that is asked. The rates of batches were chosen by"
        " hand; `auto` and gd have the rate that follows from the curvature. *SciPy* is L-BFGS-B, given"
        " `steepest.function` or a gradient by NumPy; PyTorch, JAX and SciPy end at a gradient of 1e-4 (JAX, PyTorch:"
        " what is compiled and the data in place before)."
    )


def _reached(one: dict[str, Any]) -> list[str]:
    if "time" not in one:
        return [one.get("absent", "not measured"), "", "", ""]
    there = "" if one["excess"] <= 1e-6 else "**not reached**"
    rate = f"rate {one['rate']}" if "rate" in one else ""
    above = f"{max(one['excess'], 0.0):.1e}"
    return [clock(one["time"]), str(one.get("passes", "")), above, " ".join(filter(None, (there, rate)))]


def _scale(results: Results) -> Iterator[str]:
    found = results.get("scale")
    if not found:
        return
    yield '### Raw units, and `scale="auto"`'
    for one in found.values():
        table = [[way, *_there(kinds["raw"]), *_there(kinds["scaled"])] for way, kinds in one["ways"].items()]
        yield (
            f"`{one['formula']}` on {ROWS:,} readings, T about 300 kelvin, P about 1e5 pascal: condition"
            f" {one['raw']:.2g}, standardised {one['standardised']:.2g}. Steps and time until the loss is within 1e-6"
            ' of its minimum, raw and with `scale="auto"`:'
        )
        yield aligned(["", "raw: steps", "time", "above", "scaled: steps", "time", "above"], table)
    yield f"A run that does not come so near is ended after {MOST:,} steps, on batches after {PASSES} passes."
    peers = found["line"]["peers"]
    if "absent" not in peers:
        yield "Stochastic descent on the same readings as an estimator, with its defaults but for what is written:"
        yield aligned(["", "time", "R²"], [[name, clock(p["time"]), f"{p['score']:.4g}"] for name, p in peers.items()])


def _there(one: dict[str, Any]) -> list[str]:
    return [f"{one['steps']:,}", clock(one["time"]), f"{max(one['excess'], 0.0):.1e}"]


def _curve(results: Results, folder: Path) -> Iterator[str]:
    found = results.get("curve")
    if not found:
        return
    yield "### Seconds to a given loss, over batch sizes"
    table = []
    for batch in (name for name in next(iter(found.values())) if name != "one step"):
        cells = []
        for ways in found.values():
            one = ways[batch]
            cells += (
                [
                    clock(one["time"]),
                    f"{one['steps']:,}",
                    f"{one['rows'] / results['row count']:.3g}",
                    f"{one['rate']:g}",
                ]
                if one
                else ["not reached", "", "", ""]
            )
        table.append([_rows_of(batch, results), *cells])
    head = [
        f"{model}: {what}" if what == "time" else what
        for model in found
        for what in ("time", "steps", "passes", "rate")
    ]
    yield aligned(["batch", *head], table)
    yield _drawn(found, results, folder)
    costs = ", ".join(f"{clock(ways['one step']['time'])} ({model})" for model, ways in found.items())
    heights = ", ".join(f"{NEAR[model]:g} ({model})" for model in found)
    yield (
        "Gradient descent from zeros on two threads, shuffled, a constant rate, on columns of which any two have the"
        f" correlation {COMMON:g}, to {heights} above the lowest loss: twenty times what the noise leaves unknown of"
        " it. Every batch size has the same grid of rates, 4, 2, 1, 1/2, ..., and the one that is there first counts;"
        " the steps are the fewest that are near enough, to a fifth. A time is a whole fit, medians of 3; with *all*"
        " every step reads all rows, without the collected sums that a fit without `batch` would use. Of it a fit of"
        f" one step takes {costs}: what a fit looks at before and after its steps. *Not reached*: every rate of the"
        " grid hovers above that loss, or takes more than ten seconds."
    )


def _rows_of(batch: str, results: Results) -> str:
    return "all" if int(batch) == results["row count"] else f"{int(batch):,}"


def _drawn(found: dict[str, Any], results: Results, folder: Path) -> str:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for (model, ways), color, mark in zip(found.items(), ("tab:blue", "tab:orange"), "os", strict=True):
        points = {int(batch): one["time"] for batch, one in ways.items() if batch != "one step" and one}
        axes.plot(list(points), list(points.values()), f"{mark}-", color=color, label=f"{model} regression")
        axes.axhline(ways["one step"]["time"], color=color, ls=":", lw=1, label="a fit of one step")
    sizes = [int(batch) for batch in next(iter(found.values())) if batch != "one step"]
    axes.set(xscale="log", yscale="log", xlabel="rows of a batch", ylabel="seconds to the loss")
    axes.set_xticks(sizes, [_rows_of(str(size), results) for size in sizes], rotation=30, fontsize=8)
    axes.minorticks_off()
    low, high = axes.get_ylim()
    ticks = [tick for k in range(-4, 4) for tick in (10.0**k, 2 * 10.0**k, 5 * 10.0**k) if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return saved(figure, folder, "batches", "seconds to a loss near the lowest over batch sizes")
