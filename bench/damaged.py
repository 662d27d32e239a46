"""Damaged and odd inputs: what each prints. Asked: no traceback, and no answer that is silently wrong.

    python bench/damaged.py

The rows lie on y = 2x + 1; whatever still gives an answer must give a = 2, b = 1.
"""

from __future__ import annotations

import datetime
import decimal
import gzip
import os
import sqlite3
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

import steepest

X = np.arange(1.0, 9.0)
Y = 2 * X + 1
GOOD = {"x": X, "y": Y}
CSV = "x,y\n" + "\n".join(f"{a},{b}" for a, b in zip(X, Y, strict=True)) + "\n"


def text(content: str | bytes, name: str = "t.csv") -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return make


def files(**contents: bytes) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        for name, content in contents.items():
            (folder / name.replace("__", ".")).write_bytes(content)
        return str(folder)

    return make


def packed(table: Any, write: Callable[[Any, str], Any], name: str, keep: float = 1.0) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        path = folder / name
        write(table, str(path))
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])
        return str(path)

    return make


def database(query: str) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        with sqlite3.connect(folder / "t.db") as connection:
            connection.execute("create table t (x, y, s)")
            connection.executemany("insert into t values (?, ?, 'a')", zip(X.tolist(), Y.tolist(), strict=True))
        return f"sqlite:{folder / 't.db'}: {query}"

    return make


TABLE = pa.table(GOOD)
PART = CSV.encode()
CASES: dict[str, Any] = {
    "empty file": text(""),
    "header alone": text("x,y\n"),
    "no header": text(CSV[4:]),
    "semicolons": text(CSV.replace(",", ";")),
    "decimal commas": text('x,y\n"1,0","3,0"\n"2,0","5,0"\n'),
    "tabs in .csv": text(CSV.replace(",", "\t")),
    "byte order mark": text("\ufeff" + CSV),
    "UTF-16": text(CSV.encode("utf-16")),
    "Latin-1": text("x,y,ü\n".encode("latin-1") + b"1,3,a\n2,5,b\n"),
    "blank lines": text(CSV.replace("\n", "\n\n")),
    "a word in a cell": text(CSV + "nine,19\n"),
    "percent sign": text(CSV + "9%,19\n"),
    "thousands": text(CSV + '"1,000",2001\n'),
    "a short row": text(CSV + "9\n"),
    "a long row": text(CSV + "9,19,1\n"),
    "infinite cell": text(CSV + "inf,19\n"),
    "empty cells": text(CSV + ",19\n9,\n"),
    "NA cells": text(CSV + "NA,NaN\n"),
    "quoted numbers": text(CSV.replace("3.0", '"3.0"')),
    "names with spaces around": text(CSV.replace("x,y", " x , y ")),
    "duplicate column": text(CSV.replace("x,y", "x,x")),
    "comment on top": text("# measured\n" + CSV),
    "Windows line ends": text(CSV.replace("\n", "\r\n")),
    "binary rubbish": text(os.urandom(300)),
    "NUL in a cell": text(CSV + "9\x00,19\n"),
    "hex numbers": text(CSV + "0x9,19\n"),
    "a CSV called parquet": text(CSV, "t.parquet"),
    "a CSV called gz": text(CSV, "t.csv.gz"),
    "a CSV called arrow": text(CSV, "t.arrow"),
    "gzip cut short": text(gzip.compress(PART * 50)[:80], "t.csv.gz"),
    "another ending": text(CSV, "t.xlsx"),
    "missing file": lambda folder: str(folder / "no.csv"),
    "empty folder": str,
    "empty path": lambda _: "",
    "folder, other columns": files(a__csv=PART, b__csv=b"x,z\n1,2\n"),
    "folder, two kinds": files(a__csv=PART, b__tsv=PART),
    "folder, a foreign file": files(a__csv=PART, b__txt=b"hello"),
    "folder, an empty file": files(a__csv=PART, b__csv=b""),
    "pattern without files": lambda folder: str(folder / "*.csv"),
    "the same file twice": lambda f: [text(CSV)(f), text(CSV)(f)],
    "parquet cut short": packed(TABLE, pq.write_table, "t.parquet", 0.6),
    "arrow cut short": packed(TABLE, feather.write_feather, "t.arrow", 0.6),
    "parquet, text column": packed(pa.table({"x": ["a"] * 8, "y": Y}), pq.write_table, "t.parquet"),
    "parquet, no rows": packed(TABLE.slice(0, 0), pq.write_table, "t.parquet"),
    "parquet, dates": packed(
        pa.table({"x": [datetime.date(2026, 1, d) for d in range(1, 9)], "y": Y}), pq.write_table, "t.parquet"
    ),
    "sql, no such table": database("select * from u"),
    "sql, text column": database("select s as x, y from t"),
    "sql, no rows": database("select * from t where x > 99"),
    "sql, not a query": database("drop table t"),
    "sql": database("select x, y from t"),
    "unequal lengths": {"x": X, "y": Y[:-1]},
    "no columns": {},
    "no rows": {"x": [], "y": []},
    "a number for a column": {"x": 3, "y": Y},
    "three dimensions": {"x": np.zeros((8, 1, 1)), "y": Y},
    "text": {"x": list("abcdefgh"), "y": Y},
    "complex": {"x": X + 1j, "y": Y},
    "dates": {"x": pd.date_range("2026", periods=8), "y": Y},
    "categories": pd.DataFrame({"x": pd.Categorical(list("abcdefgh")), "y": Y}),
    "infinite": {"x": [*X, np.inf], "y": [*Y, 1.0]},
    "all null": {"x": [None] * 8, "y": Y},
    "Decimal": {"x": [decimal.Decimal(int(v)) for v in X], "y": Y},
    "float32, strided": {"x": np.repeat(X, 2).astype("f4")[::2], "y": Y},
    "booleans": {"x": [False, True], "y": [1.0, 3.0]},
    "masked": {"x": np.ma.masked_array([*X, 1e9], [0] * 8 + [1]), "y": [*Y, 0.0]},
    "a plain array": np.c_[X, Y],
    "None": None,
    "a list of rows": [{"x": 1, "y": 3}],
    "names that are no text": {0: X, 1: Y},
    "a series": pd.Series(X),
    "an integer": 7,
}

tracebacks = wrong = 0
with tempfile.TemporaryDirectory() as root, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for number, (name, case) in enumerate(CASES.items()):
        folder = Path(root, str(number))
        folder.mkdir()
        try:
            fit = steepest.fit("y = a*x + b", case(folder) if callable(case) else case)
            right = abs(fit.values.get("a", 0) - 2) < 1e-9 and abs(fit.values.get("b", 0) - 1) < 1e-9
            wrong += not right
            said = f"a = {fit.values.get('a')}, b = {fit.values.get('b')}, {fit.rows} rows, {fit.dropped} left out"
        except steepest.SteepestError as error:
            said = str(error).replace(str(folder), "").replace("\n", " | ")
        except Exception as error:
            tracebacks += 1
            said = f"TRACEBACK {type(error).__name__}: {error}"
        print(f"{name:26} {said}")
print(f"\n{len(CASES)} inputs; tracebacks {tracebacks} (asked 0), silently wrong {wrong} (asked 0)")
