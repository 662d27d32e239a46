"""From text to derivatives: how long, how exact, and what the parser does with nonsense; beside what is asked.

    python bench/formulas.py [random formulas] [fuzzed texts]

"cold" is the first call in a process of its own, "warm" the median of many calls in one process. SymPy's own time for
the same derivatives (`diff`, no simplification) stands beside them.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "formula"))

from steepest.errors import FormulaError
from steepest.formula.derive import gradient, hessian
from steepest.formula.grammar import parse, parse_rule
from steepest.formula.printing import to_text

THREE = ("a*exp(-b*x) + c", ["a", "b", "c"])
HUNDRED = (
    " + ".join(f"a{i}*exp(-(x - m{i})**2/(2*s{i}**2))" for i in range(33)) + " + c",
    [f"{letter}{i}" for i in range(33) for letter in "ams"] + ["c"],
)
DEEP = ("sin(a*" * 80 + "x" + ")" * 80, ["a", "x"])


def derive(case: tuple[str, list[str]], second: bool) -> None:
    """Text to gradient program, and to the Hessian's."""
    text, names = case
    formula = parse(text)
    first = gradient(formula.graph, formula.right, names)
    if second:
        hessian(formula.graph, first, names)


CASES: dict[str, tuple[Callable[[], None], float | None, int]] = {
    "3 parameters, gradient": (lambda: derive(THREE, False), 2.0, 301),
    "3 parameters, with Hessian": (lambda: derive(THREE, True), None, 301),
    "100 parameters, gradient": (lambda: derive(HUNDRED, False), None, 51),
    "100 parameters, with Hessian": (lambda: derive(HUNDRED, True), 300.0, 31),
    "80-deep sine, gradient": (lambda: derive(DEEP, False), None, 101),
    "80-deep sine, with Hessian": (lambda: derive(DEEP, True), None, 31),
}


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cold(name: str, rounds: int = 7) -> float:
    """The median of first calls, each in a fresh interpreter, without the imports, in ms."""
    here = Path(__file__)
    code = (
        f"import sys; sys.path.insert(0, {str(here.parent)!r}); import {here.stem} as b\n"
        f"print(b.seconds(b.CASES[{name!r}][0]))"
    )
    times = [float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(rounds)]
    return 1e3 * statistics.median(times)


def sympy_time(case: tuple[str, list[str]], second: bool) -> str:
    """SymPy's `diff` of an expression that it already holds, its cache emptied before each run."""
    from oracle import symbolic
    from sympy import Symbol, diff
    from sympy.core.cache import clear_cache

    expression, symbols = symbolic(case[0]), [Symbol(name) for name in case[1]]

    def run() -> None:
        slopes = [diff(expression, s) for s in symbols]
        for i, slope in enumerate(slopes if second else []):
            for s in symbols[i:]:
                diff(slope, s)

    times = []
    for _ in range(6):
        clear_cache()
        try:
            times.append(seconds(run))
        except RecursionError:
            return "RecursionError"
        if sum(times) > 3:
            break
    return f"{1e3 * statistics.median(times[1:] or times):.1f} ms"


def times() -> None:
    print(f"{'text -> program':<32}{'cold ms':>9}{'warm ms':>9}   asked           SymPy's diff alone")
    for name, (call, asked, rounds) in CASES.items():
        call()
        warm = 1e3 * statistics.median(seconds(call) for _ in range(rounds))
        first = cold(name)
        verdict = "" if asked is None else f"<= {asked:g} ms {'met' if max(first, warm) <= asked else 'missed'}"
        case = {"3": THREE, "1": HUNDRED, "8": DEEP}[name[0]]
        print(f"{name:<32}{first:>9.2f}{warm:>9.2f}   {verdict:<16}{sympy_time(case, 'Hessian' in name)}")


def exactness(formulas: int) -> None:
    """Errors as multiples of u·Σ|node·∂out/∂node|; 64 is allowed."""
    from oracle import compare_random_formulas, compare_table

    head = (
        f"{'derivatives against 50 digits':<32}{'formulas':>9}{'points':>8}{'numbers':>9}{'NaN':>5}{'worst':>8}   asked"
    )
    print("\n" + head)
    table = compare_table()
    rows = [("every function, 1st and 2nd", table)]
    rows.append(("random formulas, gradient", compare_random_formulas(formulas, 10, seed=0)))
    rows.append(("random formulas, Hessian", compare_random_formulas(formulas // 4, 10, seed=0, second=True, depth=3)))
    for name, tally in rows:
        met = "met" if not tally.bad and tally.worst[0] <= 64 else "missed"
        print(
            f"{name:<32}{tally.formulas:>9}{tally.points:>8}{tally.numbers:>9}{len(tally.bad):>5}{tally.worst[0]:>8.2f}"
            f"   <= 64, 0 NaN  {met}"
        )
    edges = sum(tally.edges for _, tally in rows)
    print(f"(left out: {edges} points where rounding or underflow alone puts a function onto the edge of its domain)")


def fuzz(count: int) -> None:
    """Texts of every kind; the slowest reading, its gradient not included."""
    from fuzzing import HARD, random_text

    generator, slowest, read, printed = random.Random(0), (0.0, ""), 0, 0
    texts = [*HARD.values(), *(random_text(generator) for _ in range(count))]
    for text in texts:
        for reader in (parse, parse_rule):
            start = time.perf_counter()
            try:
                result = reader(text)
            except FormulaError:
                result = None
            slowest = max(slowest, (time.perf_counter() - start, text))
            if reader is parse and result is not None:
                read += 1
                shown = to_text(result.graph, result.right)  # type: ignore[union-attr]
                printed += len(shown) > 10_000 or to_text(*_again(shown)) == shown
    print(f"\nparser: {len(texts):,} texts, {read:,} formulas, the rest FormulaError")
    print(f"print -> parse -> print is fixed for {printed:,} of the {read:,}")
    print(f"slowest {1e3 * slowest[0]:.0f} ms (asked <= 1000): {slowest[1][:60]!r}, {len(slowest[1]):,} characters")


def _again(text: str) -> tuple[object, int]:
    formula = parse(text)
    return formula.graph, formula.right


def main(formulas: int = 200, texts: int = 10_000) -> None:
    times()
    exactness(formulas)
    fuzz(texts)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
