"""Results of the solvers, and the figures of the other scripts -> verdicts, and a part of docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _asked import Results, Verdict, at_least, at_most, clock
from _figures import kept
from _nist import ASKED, MOST, WRONG, agreement, problems
from _page import SOLVERS, aligned, loads, packages, saved, table_of
from _solvers_data import FORMULA, START

OTHERS = ("nist", "starts", "functions", "degenerate", "intervals", "rates")  # scripts whose figures stand here
WITHIN = (0.93, 0.97)  # the share of 95 % intervals that hold the truth
USED = ("R", "iminuit", "jax", "lmfit", "numpy", "optimistix", "scipy", "steepest")  # whose versions the page names
NEEDED = {"steepest": "none"} | dict.fromkeys(("SciPy, curve_fit", "R, nls", "R, nls port"), "all, or ones")


def all_of(asked: str, count: int | None, of: int | None) -> Verdict:
    return Verdict(f"{asked}: all", "" if count is None else f"{count} of {of}", None if count is None else count == of)


def none_of(asked: str, count: int | None, of: int | None) -> Verdict:
    return Verdict(f"{asked}: none", "" if count is None else f"{count} of {of}", None if count is None else not count)


def verdicts(results: Results) -> list[Verdict]:
    """Every figure that is asked of answers."""
    return [*_nist(), *_models(), *_intervals(), *_rates(), *_fits(results)]


def _nist() -> Iterator[Verdict]:
    found = kept("nist")
    started, without = found.get("nonlinear", {}), found.get("without", {})
    text = "NIST's nonlinear problems from both starts"
    yield all_of(f"{text}: {ASKED:g} digits in every parameter", started.get("found"), started.get("fits"))
    yield at_least(f"{text}: 8 digits in", started.get("eight"), 0.85, "%")
    yield at_least(f"{text}: digits of every error", started.get("errors"), 4.0, "")
    yield none_of(f"{text}: converged below {WRONG:g} digits", started.get("false"), started.get("fits"))
    text = "the same with no start, ten seeds"
    yield all_of(f"{text}: {ASKED:g} digits in every parameter", without.get("found"), without.get("fits"))
    yield none_of(f"{text}: converged below {WRONG:g} digits", without.get("false"), without.get("fits"))


def _models() -> Iterator[Verdict]:
    functions, models, shapes = kept("functions"), kept("degenerate"), kept("starts")
    text = f"{functions.get('functions', 40)} test functions, auto and lbfgs: converged where no minimum is"
    yield none_of(text, functions.get("false"), functions.get("runs"))
    named = models["models"] - models["odd"] if models else None
    yield all_of("degenerate models: named as what they are", named, models.get("models"))
    yield none_of("degenerate models: converged, which they are not", models.get("false"), models.get("models"))
    yield none_of("planted curves with no start: converged in a worse minimum", shapes.get("false"), shapes.get("fits"))
    text = (
        f"passes with no start over {shapes.get('rows', 1_000_000):,} rows, median of {shapes.get('shapes', 10)} shapes"
    )
    yield at_most(text, shapes.get("passes"), 4.0, "")


def _intervals() -> Iterator[Verdict]:
    found = kept("intervals")
    low, high = WITHIN
    for kind, name in {"wald": "95 % intervals", "profile": "95 % profile intervals"}.items():
        share = found.get(kind)
        asked = f"{name} of {found.get('fits', 1000):,} planted problems hold the truth in {low:.0%} to {high:.0%}"
        met = None if share is None else low <= share <= high
        yield Verdict(asked.replace("%", " %").replace("  ", " "), "" if share is None else f"{100 * share:.1f} %", met)


def _rates() -> Iterator[Verdict]:
    found = kept("rates")
    yield all_of("random convex problems: the rate of gd is proved", found.get("proved"), found.get("problems"))
    yield none_of("random convex problems: diverged at that rate", found.get("diverged"), found.get("problems"))
    yield none_of("random convex problems: the loss ever rose", found.get("risen"), found.get("problems"))


def _fits(results: Results) -> Iterator[Verdict]:
    found = solvers(results, "tables")
    mine, theirs = (found.get(name, [{}])[0].get("seconds") for name in ("steepest", "SciPy, curve_fit"))
    speed = theirs / mine if mine and theirs else None
    yield at_least("fits a second of 100 rows, start given: those of curve_fit", speed, 1.0)


# the page ------------------------------------------------------------------------------------------------------------


def part(results: Results, folder: Path) -> list[str]:
    """The part of the page; sections that were not measured are left out."""
    m = results["machine"]
    versions = [one.get("versions", {}) for name in ("starts", "none", "tables") if (one := results.get(name))]
    blocks = [
        SOLVERS,
        f"Written by `bench/solvers.py` on {m['date']}, {m['processor']}, {loads(results)};"
        f" {packages(*versions, only=USED)}.",
        table_of(verdicts(results)),
        _dates(),
    ]
    for section in (_started, _unstarted, _tables):
        blocks += section(results, folder)
    return blocks


def solvers(results: Results, section: str) -> dict[str, Any]:
    """The fits of every solver that is installed."""
    return {name: fits for name, fits in _every(results, section).items() if not isinstance(fits, str)}


def _every(results: Results, section: str) -> dict[str, Any]:
    found: dict[str, Any] = (results.get(section) or {}).get("solvers", {})
    return found


def _absent(results: Results, section: str) -> str:
    """What was left out, and why."""
    reasons: dict[str, list[str]] = {}
    for name, why in _every(results, section).items():
        if isinstance(why, str):
            reasons.setdefault(why, []).append(name)
    return "".join(f" Left out, {why}: {'; '.join(names)}." for why, names in reasons.items())


def _dates() -> str:
    figures = {f"`{name}.py`": kept(name).get("date") for name in OTHERS}
    dates = sorted(set(filter(None, figures.values())))
    by_date = [f"{', '.join(n for n, date in figures.items() if date == one)} on {one}" for one in dates]
    text = f"Figures of {'; '.join(by_date)}, fits a second from the last table. " if by_date else ""
    larger = kept("rates").get("larger")
    if larger:
        text += (
            f"The largest rate that never raises the loss in 300 steps is {larger['median']:.3g} times the proved one"
            f" in the median of the convex problems, {larger['nine tenths']:.3g} times or less in nine tenths of them."
        )
    return text.rstrip()


def _judged(fits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fits of NIST's problems with the digits of their parameters and errors; 0 where there are no values."""
    known = {problem["name"]: problem for problem in problems("nonlinear")}
    judged = []
    for fit in fits:
        digits, spread = 0.0, None
        if fit["values"] is not None:
            digits, spread = agreement(known[fit["problem"]], fit["values"], fit["errors"], MOST["nonlinear"])
        judged.append(fit | {"digits": digits, "error digits": spread})
    return judged


def _counted(name: str, fits: list[dict[str, Any]]) -> list[str]:
    """A row of a table: how often it converged, how right that was, what its errors are worth, how long it takes."""
    sure = [fit for fit in _judged(fits) if fit["word"] == "converged"]
    right = [fit for fit in sure if fit["digits"] >= WRONG]
    wrong = len(sure) - len(right)
    spread = [fit["error digits"] for fit in right if fit["error digits"] is not None]
    return [
        name, NEEDED.get(name, "all"), str(len(sure)), str(sum(fit["digits"] >= ASKED for fit in right)),
        str(len(right)), f"**{wrong}**" if wrong else "0", str(len(fits) - len(sure)),
        f"{min(spread):.1f}" if spread else "", clock(statistics.median(fit["seconds"] for fit in fits)),
    ]  # fmt: skip


HEAD = ("", "start values needed", "converged", "6 digits", "4 digits", "wrong, unsaid", "warned or gave up",
        "errors, digits", "a fit")  # fmt: skip


def _started(results: Results, folder: Path) -> Iterator[str]:
    found = solvers(results, "starts")
    if not found:
        return
    fits = len(next(iter(found.values())))
    yield "### NIST's nonlinear problems, from both starts"
    yield aligned(HEAD, [_counted(name, one) for name, one in found.items()])
    yield _drawn(found, folder)
    yield (
        f"{fits // 2} problems, {fits} fits, each solver with its defaults. *Converged*: by its own word, and without a"
        f" warning (of no covariance, say); of these, those with {ASKED:g} and with {WRONG:g} certified digits in every"
        f" parameter; *wrong, unsaid*: with fewer than {WRONG:g}. *Errors*: the fewest digits among fits of {WRONG:g}"
        " digits and more. *A fit*: the median of these fits, each after one that is not counted, so that nothing is"
        " compiled; steepest, curve_fit and least_squares in turn in one process, the others in three."
        " BFGS and L-BFGS-B: `minimize` of the sum of squares, without a gradient. iminuit: `LeastSquares`, `migrad`,"
        " `hesse`; it wants a known error of y and stops in its units: 1 here, and the errors scaled by the residuals."
        " optimistix has no default tolerances: 1e-8 as its documentation writes, `jax.jit`, float64."
        f"{_absent(results, 'starts')}"
    )


def _unstarted(results: Results, folder: Path) -> Iterator[str]:
    found = solvers(results, "none")
    if not found:
        return
    yield "### The same without a start"
    yield aligned(HEAD, [_counted(name, one) for name, one in found.items()])
    without = kept("nist").get("without")
    seeds = f" With ten seeds steepest is right in {without['found']} of {without['fits']} fits." if without else ""
    yield (
        "steepest finds starts from the formula and the data; `curve_fit` and R's `nls` begin at ones; the others must"
        f" be given all values.{seeds}"
    )


def _tables(results: Results, folder: Path) -> Iterator[str]:
    found = solvers(results, "tables")
    if "steepest" not in found:
        return
    yield "### Larger tables"
    sizes = [fit["problem"] for fit in next(iter(found.values()))]
    mine = {fit["problem"]: fit["values"] for fit in found["steepest"]}
    table = []
    for name, fits in found.items():
        cells = [clock(fit["seconds"]) + ("" if fit["word"] == "converged" else f", {fit['word']}") for fit in fits]
        apart = max(_apart(fit["values"], mine[fit["problem"]]) for fit in fits)
        table.append([name, *cells, "" if name == "steepest" else f"{apart:.0e}"])
    yield aligned(["", *(f"{int(size):,} rows" for size in sizes), "apart"], table)
    began = ", ".join(f"{name} = {value:g}" for name, value in zip("abc", START, strict=True))
    yield (
        f"Seconds of a fit of `{FORMULA}` from {began} (*no start*: from nothing), after one that is not counted;"
        " otherwise as above. *Apart*: values relative to those of steepest, the largest difference."
        f"{_absent(results, 'tables')}"
    )


def _apart(values: list[float] | None, mine: list[float]) -> float:
    if values is None:
        return float("inf")
    return max(abs(a - b) / abs(b) for a, b in zip(values, mine, strict=True))


def _drawn(found: dict[str, Any], folder: Path) -> str:
    """A point for each fit: the digits of its worst parameter, and what the solver said of it."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 0.36 * len(found) + 1.1), layout="constrained")
    kinds = {
        "converged": {"marker": "o", "color": "tab:blue"},
        "warned or gave up": {"marker": "o", "color": "0.6", "markerfacecolor": "none"},
        f"converged, fewer than {WRONG:g} digits": {"marker": "x", "color": "tab:red"},
    }
    names = list(found)[::-1]
    for place, name in enumerate(names):
        fits = _judged(found[name])
        for number, fit in enumerate(fits):
            sure = fit["word"] == "converged"
            kind = list(kinds)[1 if not sure else 0 if fit["digits"] >= WRONG else 2]
            height = place + 0.6 * (number / max(1, len(fits) - 1) - 0.5)  # apart, so that equal ones are seen
            axes.plot(fit["digits"], height, ls="", ms=4, **kinds[kind])
    for kind, style in kinds.items():
        axes.plot([], [], ls="", ms=4, label=kind, **style)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="certified digits of the worst parameter", xlim=(-0.4, MOST["nonlinear"] + 0.4))
    axes.axvline(ASKED, color="0.8", lw=1, zorder=0)
    axes.grid(axis="x", color="0.93")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    return saved(figure, folder, "solvers", "certified digits of every fit of every solver")
