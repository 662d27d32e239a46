"""What is asked of a pass and of a fit, beside what bench/speed.py saw."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from _asked import Results, Verdict, at_least, at_most, ratio

FORMULAS = {
    "exp": "`a*exp(-b*x) + c`",
    "power": "`a*x**b`",
    "sine": "`a*sin(w*x + p) + c`",
    "logistic": "logistic regression, 10 columns",
    "gauss": "`a*exp(-(x - m)**2/(2*s**2))`",
    "where": "`where(x < 2, a*exp(-b*x), c + d*x)`",
}
NUMPY = {"exp": 12.0, "power": 4.0, "sine": 25.0, "logistic": 10.0, "gauss": 10.0, "where": 10.0}  # at least, times
BLOCKS = {"exp": 5.0}  # the others: 2.5
NORMAL = {"10": 0.4, "30": 0.6, "100": 0.7}  # at most, times NumPy's product
BUILD = {"3": 0.04, "30": 0.2, "100": 1.0}  # seconds at most
MEMORY = 50.0  # MB


def verdicts(results: Results) -> list[Verdict]:
    """Every figure in the order of the list; one whose section is missing or failed says so."""
    return [v for part in (_passes, _peers, _normal, _build, _fits, _bits, _memory) for v in part(results)]


def times_of(results: Results, section: str, case: str | None = None) -> dict[str, float] | None:
    found = results.get(section) or {}
    found = found if case is None else found.get(case) or {}
    return found.get("times")


def peer_time(results: Results, peer: str, case: str) -> float | None:
    return (((results.get("peers") or {}).get(peer) or {}).get(case) or {}).get("warm")


def _passes(results: Results) -> Iterator[Verdict]:
    for case, text in FORMULAS.items():
        times = times_of(results, "passes", case)
        if case == "exp":
            yield at_least(f"{text}: share of the read limit", ratio(times, "read", "steepest"), 0.75, "%")
            narrow = times_of(results, "narrow")
            yield at_least(f"{text}, AVX2: share of the read limit", ratio(narrow, "read", "steepest"), 0.35, "%")
            yield at_most(f"{text}: time of the C loop", ratio(times, "steepest", "C, two threads"), 1.0)
        yield at_least(f"{text}: speed of NumPy", ratio(times, "NumPy", "steepest"), NUMPY[case])
        blocks = ratio(times, "NumPy, blocks, two threads", "steepest")
        yield at_least(f"{text}: speed of NumPy in blocks", blocks, BLOCKS.get(case, 2.5))


def _peers(results: Results) -> Iterator[Verdict]:
    apart = [a for one in (results.get("passes") or {}).values() for a in one["apart"].values()]
    apart += [one["apart"] for peer in (results.get("peers") or {}).values() for one in peer.values() if "apart" in one]
    yield at_most("every contender's loss and gradient apart", max(apart, default=None), 1e-9, "relative")
    theirs, times = peer_time(results, "JAX, blocks (lax.scan)", "exp"), times_of(results, "passes", "exp")
    seen = None if theirs is None or not times else theirs / times["steepest"]
    yield at_least(f"{FORMULAS['exp']}: speed of JAX in blocks", seen, 8.0)


def _normal(results: Results) -> Iterator[Verdict]:
    found = results.get("normal") or {}
    yield at_most("with JᵀJ, 3 parameters: time without", ratio(found.get("3"), "normal", "gradient"), 1.4)
    for width, limit in NORMAL.items():
        times = found.get(width)
        seen = times and times["steepest, C"] / min(times["NumPy, C"], times["NumPy, F"])
        yield at_most(f"with JᵀJ, {width} parameters: time of `A.T @ A`", seen, limit)


def _build(results: Results) -> Iterator[Verdict]:
    found = results.get("build") or {}
    for size, limit in BUILD.items():
        seen = statistics.median(found[size]) if size in found else None
        yield at_most(f"kernel of {size} parameters built in", seen, limit, "s")
    answers = results.get("first_answer")
    yield at_most("text to first answer, 100 rows", answers and statistics.median(answers), 0.005, "s")


def _fits(results: Results) -> Iterator[Verdict]:
    found = results.get("fits") or {}
    for place, rows in enumerate(sorted(found, key=int) or ["100", "10000", "1000000", "10000000"]):
        times = (found.get(rows) or {}).get("times")
        text = f"fit of {int(rows):,} rows:"
        if place < 2:
            yield at_most(f"{text} time of curve_fit", ratio(times, "steepest", "curve_fit"), 1.0)
        else:
            yield at_least(f"{text} speed of curve_fit", ratio(times, "curve_fit", "steepest"), (8.0, 10.0)[place - 2])


def _bits(results: Results) -> Iterator[Verdict]:
    found = results.get("bits") or {}
    for text, names in {
        "same bits for 1 to 8 threads": [name for name in found if name.endswith("threads")],
        "same bits for AVX2 and for this processor": ["x86-64-v3"],
    }.items():
        wrong = different(found, names)
        yield Verdict(text, "" if wrong is None else ", ".join(wrong) or "equal", None if wrong is None else not wrong)
    plain = found.get("as it is")
    for way in ("strides", "backwards", "float32", "other order"):
        wrong = None if plain is None else [c for c, d in plain.items() if way in d and d[way] != d["plain"]]
        label = {"backwards": "negative strides", "other order": "either order of a matrix"}.get(way, way)
        seen = "" if wrong is None else "differ: " + ", ".join(wrong) if wrong else "equal"
        yield Verdict(f"same bits for {label}", seen, None if wrong is None else not wrong)


def different(found: dict[str, Any], names: list[str]) -> list[str] | None:
    """Which formulas differ from those of the process as it is, under which of the settings."""
    plain = found.get("as it is")
    if plain is None or not names or any(found.get(name) is None for name in names):
        return None
    return [
        f"{case} ({name})" for name in names for case in plain if found[name][case]["plain"] != plain[case]["plain"]
    ]


def _memory(results: Results) -> Iterator[Verdict]:
    found = results.get("memory") or {}
    for name in ("call", "fit"):
        one = found.get(name)
        seen = one and one["peak"] - one["code"]
        yield at_most(f"memory beyond data and library code, a {name}:", seen, MEMORY, "MB")
