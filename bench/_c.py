"""The loop that one would write in C, on two threads, and the sum of the same columns: the limit set by memory."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _cases import Case, Data, Pass
from _timing import THREADS, seconds

# -ffast-math with -lm: exp, sin, ... come from glibc's vector mathematics; sin and cos of one angle stay two calls,
# since gcc has no vector form of the pair.
FLAGS = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-fdisable-tree-sincos", "-shared", "-fPIC"]
HEAD = "#include <math.h>\n#define pick(c, a, b) ((c) ? (a) : (b))\n"
LOOP = """
void run(long n, const double *const *columns, const double *t, double *out) {{
{before}
#pragma omp parallel for simd schedule(static) num_threads({threads}) reduction(+:{sums})
    for (long i = 0; i < n; i++) {{
{body}
    }}
{after}
}}
"""


class NoCompiler(Exception):
    """There is no gcc, or it does not take the flags."""


def source(columns: Sequence[str], names: Sequence[str], loop: str) -> str:
    """C for a loop body that sums into s0, s1, ..."""
    sums = sorted(set(re.findall(r"\bs\d+\b", loop)), key=lambda s: int(s[1:]))
    before = [f"    const double *{c}_ = columns[{j}];" for j, c in enumerate(columns)]
    before += [f"    const double {n} = t[{j}];" for j, n in enumerate(names)] + [f"    double {s} = 0;" for s in sums]
    body = [f"        const double {c} = {c}_[i];" for c in columns]
    for statement in loop.split("; "):
        body.append(f"        {'' if '+=' in statement else 'const double '}{statement};")
    after = [f"    out[{j}] = {s};" for j, s in enumerate(sums)]
    parts = {"before": before, "body": body, "after": after}
    text = {name: "\n".join(lines) for name, lines in parts.items()}
    return HEAD + LOOP.format(**text, threads=THREADS, sums=",".join(sums))


def build(text: str) -> Callable[..., None]:
    """The compiled function; a first line `// width 512` asks for vectors of so many bits."""
    if shutil.which("gcc") is None:
        raise NoCompiler("no gcc")
    width = re.match(r"// width (\d+)\n", text)
    flags = [*FLAGS, *([f"-mprefer-vector-width={width[1]}"] if width else [])]
    name = hashlib.sha256((text + " ".join(flags)).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / "steepest-bench"
    folder.mkdir(exist_ok=True)
    library = folder / f"{name}.so"
    if not library.exists():
        path = folder / f"{name}.c"
        path.write_text(text)
        try:
            subprocess.run(["gcc", *flags, str(path), "-o", str(library), "-lm"], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            raise NoCompiler(error.stderr.decode().strip()) from error
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else a waiting thread takes the core from the next contender
    run = ctypes.CDLL(str(library)).run
    run.restype = None
    return run


def bound(text: str, columns: Sequence[np.ndarray], outputs: int) -> Callable[[np.ndarray], np.ndarray]:
    """The function over these columns: theta -> its sums."""
    run = build(text)
    for column in columns:
        assert column.dtype == np.float64 and column.flags.c_contiguous
    pointers = (ctypes.c_void_p * len(columns))(*(column.ctypes.data for column in columns))
    out = np.empty(outputs)

    def call(theta: np.ndarray) -> np.ndarray:
        rows = ctypes.c_long(len(columns[0]))
        run(rows, pointers, ctypes.c_void_p(theta.ctypes.data), ctypes.c_void_p(out.ctypes.data))
        return out

    return call


def c_loop(case: Case, data: Data) -> Callable[[np.ndarray], Pass]:
    """The loop of a case, with vectors of 256 or of 512 bits: what is faster here."""
    text = source(case.columns, case.names, case.loop)
    columns, theta = [data[n] for n in case.columns], np.array(case.theta)
    widths = [bound(f"// width {width}\n" + text, columns, len(theta) + 1) for width in (256, 512)]
    call = min(widths, key=lambda one: min(seconds(lambda: one(theta)) for _ in range(5)))

    def evaluate(theta: np.ndarray) -> Pass:
        sums = call(theta)
        return float(sums[0]), sums[1:].copy()

    return evaluate


def read_limit(columns: Sequence[np.ndarray]) -> Callable[[], object]:
    """Add up each column once, on two threads."""
    names = [f"x{j}" for j in range(len(columns))]
    theta = np.zeros(1)
    try:
        loop = "; ".join(f"s{j} += {n}" for j, n in enumerate(names))
        call = bound("// width 512\n" + source(names, [], loop), columns, len(columns))
    except NoCompiler:
        pool = ThreadPoolExecutor(THREADS)
        halves = [half for column in columns for half in np.array_split(column, THREADS)]
        return lambda: list(pool.map(np.add.reduce, halves))
    return lambda: call(theta)
