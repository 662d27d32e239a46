"""Names get their roles: Formula + schema + options -> Objective, or one clear error."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import DataError, FitError
from ..types import Array, is_number
from .derive import plus, times
from .functions import ALIASES, callable_names
from .grammar import Formula, parse
from .losses import Loss
from .objective import Layout, Objective, Penalty, listed, numbers, unknown
from .program import Graph

_UNBOUNDED = (-np.inf, np.inf)


def bind(
    formula: Formula,
    schema: Mapping[str, int | None] | None,
    *,
    loss: Loss | None = None,
    parameters: Sequence[str] = (),
    start: Mapping[str, object] | None = None,
    bounds: Mapping[str, object] | None = None,
    fixed: Mapping[str, object] | None = None,
    weights: str | None = None,
    sigma: str | float | None = None,
    penalty: str | None = None,
    where: str | None = None,
    reduce: str = "mean",
    maximise: bool = False,
) -> Objective:
    """Give every name its role and build the objective.

    Parameters: `schema` maps a column to its width (None = scalar column, q = matrix column); None = no data at all:
    every name is a variable. Raises FormulaError for a name that cannot be what it is used for, DataError for a column
    that is missing, FitError for options that do not fit.
    """
    graph = formula.graph
    columns = dict(schema or {})
    for what, option in (("start", start), ("bounds", bounds), ("fixed", fixed)):
        _check_dict(what, option)
    given = {**(start or {}), **(bounds or {}), **(fixed or {})}
    _check_given(given, columns, parameters)
    names = [n for n in formula.names if n not in columns or n in parameters]
    _check_roles(formula, names, columns, given, parameters, schema is not None)
    sides = list(formula.outputs)
    widths = _widths(formula, graph, columns, parameters)

    for name, value in (fixed or {}).items():
        if isinstance(value, str):
            raise FitError(f"fixed {{{name!r}: {value!r}}}: a tie to other parameters is not built yet; give a number")
    numbers_fixed = {
        name: numbers(value, f"fixed value of {name}", widths.get(name)) for name, value in (fixed or {}).items()
    }
    for name in numbers_fixed:
        if name not in names:
            raise FitError(unknown("fixed", name, names))
        if widths.get(name):
            raise FitError(f"fixing the vector parameter {name} is not built yet; leave its columns out")
    replace = {graph.name(n): graph.number(float(np.asarray(v)[0])) for n, v in numbers_fixed.items()}
    sides = graph.substitute(sides, replace) if replace else sides
    free = [n for n in names if n not in numbers_fixed]
    layout = Layout(tuple(free), tuple(widths.get(n) for n in free))
    if len(set(layout.flat)) != layout.size:
        raise FitError("two parameters have the same name once vectors are written out")

    left = prediction = residual = None
    if formula.left is None:
        row_loss = sides[0]
        if maximise:
            row_loss = graph.apply("neg", row_loss)
    else:
        if loss is None:
            raise formula.error("minimize takes a function, not an equation", mend="leave out the left side and =")
        left, prediction = sides
        if graph.depends([left], free):
            name = next(n for n in graph.names([left]) if n in free)
            raise formula.error(
                f"{name} on the left side is no column",
                name,
                "the left side is an expression of columns; write unknowns on the right"
                + (f" (the columns are {listed(columns)})" if columns else ""),
            )
        residual = graph.apply("-", left, prediction)
        row_loss = _row_loss(graph, loss, left, prediction, residual)
        if not loss.residual:
            residual = None

    deviation = None if sigma is None else _deviation(graph, sigma, columns)
    weight = None if weights is None else _extra(graph, weights, "weights", columns)
    if deviation is not None:
        precision = graph.apply("**", deviation, graph.number(-2))
        weight = precision if weight is None else times(graph, weight, precision)
    condition = _extra(graph, where, "where", columns, condition=True) if where is not None else None
    nodes = [n for n in (*sides, weight, condition) if n is not None]
    used = tuple(n for n in graph.names(nodes) if n in columns and n not in parameters)
    if schema is not None and not used:
        raise formula.error("the formula holds no column of the data", mend=f"the columns are {listed(columns)}")
    lower, upper = _bounds(bounds, layout, numbers_fixed)
    return Objective(
        formula, loss, graph, layout, used, row_loss, left, prediction, residual, weight,
        None if penalty is None else _penalty(penalty, layout, numbers_fixed, columns), condition, lower, upper,
        {n: float(np.asarray(v)[0]) for n, v in numbers_fixed.items()}, reduce, -1.0 if maximise else 1.0,
        deviation,
    )  # fmt: skip


def _row_loss(graph: Graph, loss: Loss, left: int, prediction: int, residual: int) -> int:
    if loss.residual:
        return times(graph, graph.number(0.5), graph.apply("**", residual, graph.number(2)))
    formula = loss.formula()
    return graph.copy_from(formula.graph, [formula.right], {"y": left, "prediction": prediction})[0]


def _check_dict(what: str, option: object) -> None:
    if option is not None and not (isinstance(option, Mapping) and all(isinstance(name, str) for name in option)):
        raise FitError(f"{what} is a dict by name, as in {{'a': ...}}; not {option!r}")


def _check_given(given: Mapping[str, object], columns: Mapping[str, object], parameters: Sequence[str]) -> None:
    for name in given:
        if name in columns and name not in parameters:
            raise DataError(
                f"{name} is a column of the data, and stands in start, bounds or fixed as if it were a parameter; "
                f"if it is one, say parameters=[{name!r}]"
            )


def _check_roles(
    formula: Formula,
    names: Sequence[str],
    columns: Mapping[str, object],
    given: Mapping[str, object],
    parameters: Sequence[str],
    data: bool,
) -> None:
    """Refuse a parameter that looks like a misspelt column, a Euler's e, a name that does not occur."""
    for name in parameters:
        if name not in formula.names:
            raise FitError(unknown("parameters", name, list(formula.names)))
    known = {*given, *parameters}
    for name in names:
        if name not in known and (name in ALIASES or name in callable_names()):
            mend = f"write {name}(...), or give it a start if it is a parameter"
            raise formula.error(f"{name} is a function without its argument", name, mend)
    if data:
        unused = [c for c in columns if c not in formula.names]
        for name in names:
            near = [c for c in unused if len(name) >= 4 and name not in known and _near(name, c)]
            if near:
                mend = f"did you mean the column {near[0]}? If {name} is a parameter, say parameters=[{name!r}]"
                raise formula.error(f"{name} is not a column", name, mend)
    euler = formula.graph.name("e") if "e" in formula.names and "e" in names and "e" not in known else None
    if euler is not None:
        for node in formula.graph.reachable(formula.outputs):
            if formula.graph.nodes[node][:2] == ("**", euler):
                raise formula.error("e is a name like any other, not Euler's number", "e", "write exp(...)")


def _near(name: str, column: str) -> bool:
    """Equal but for letter case, or for one letter (not merely a digit at the end)."""
    if name.lower() == column.lower():
        return True
    if abs(len(name) - len(column)) > 1:
        return False
    if name.rstrip("0123456789") == column.rstrip("0123456789"):
        return False
    short, long = sorted((name.lower(), column.lower()), key=len)
    if len(short) == len(long):
        differing = [i for i, (a, b) in enumerate(zip(short, long, strict=True)) if a != b]
        swapped = (
            len(differing) == 2
            and short[differing[0]] == long[differing[1]]
            and short[differing[1]] == long[differing[0]]
        )
        return len(differing) == 1 or (swapped and differing[1] == differing[0] + 1)
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


def _widths(
    formula: Formula, graph: Graph, columns: Mapping[str, int | None], parameters: Sequence[str]
) -> dict[str, int | None]:
    """The width of every vector parameter, from the matrix that it multiplies."""
    widths: dict[str, int | None] = {}
    scalars: set[str] = set()

    def role(node: int) -> str:
        name = str(graph.nodes[node][1])
        return "column" if name in columns and name not in parameters else "parameter"

    for node in graph.reachable(formula.outputs):
        op, *args = graph.nodes[node]
        if op == "@":
            matrix, vector = args
            if graph.nodes[matrix][0] == "stack":
                width: int | None = len(graph.nodes[matrix]) - 1
                for column in graph.arguments(matrix):
                    held = [n for n in graph.names([column]) if n not in columns or n in parameters]
                    if held:
                        raise formula.error(
                            f"{held[0]} in the list is no column", held[0], "the columns of a matrix hold no parameter"
                        )
            else:
                name = graph.nodes[matrix][1]
                if role(matrix) != "column":
                    raise formula.error(
                        f"{name} is not a column", name, "X @ B: X is a matrix column or a list of columns"
                    )
                width = columns[name]
                if width is None:
                    raise formula.error(
                        f"{name} has one number a row",
                        name,
                        f"write {name}*b for a scalar column, or a list [x1, x2] @ B",
                    )
            name = graph.nodes[vector][1]
            if role(vector) == "column":
                raise formula.error(f"{name} is a column", name, "the right of @ is a vector of parameters")
            if widths.setdefault(name, width) != width:
                raise formula.error(f"{name} multiplies matrices of {widths[name]} and of {width} columns", name)
        else:
            for a in graph.arguments(node):
                kind, *rest = graph.nodes[a]
                if kind == "name":
                    if role(a) == "column" and columns[rest[0]] is not None:
                        raise formula.error(f"{rest[0]} is a matrix column", rest[0], f"write {rest[0]} @ B")
                    if role(a) == "parameter":
                        scalars.add(rest[0])
    for output in formula.outputs:
        kind, *rest = graph.nodes[output]
        if kind == "name" and role(output) == "column" and columns[rest[0]] is not None:
            raise formula.error(f"{rest[0]} is a matrix column", rest[0], f"write {rest[0]} @ B")
    for name in scalars & set(widths):
        raise formula.error(f"{name} is a vector after @ and a number elsewhere", name, "give the two different names")
    return widths


def _extra(graph: Graph, text: str, what: str, columns: Mapping[str, int | None], *, condition: bool = False) -> int:
    """A formula of columns alone (`weights`, `sigma`, `where`), built in the graph."""
    formula = parse(text, condition=condition)
    if formula.left is not None:
        raise formula.error(f"{what} is an expression, not an equation")
    for name in formula.names:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, 1, 0.6)
            mend = f"did you mean {near[0]}?" if near else f"the columns are {listed(columns)}"
            raise formula.error(f"{name} in {what} is not a column", name, mend)
        if columns[name] is not None:
            raise formula.error(f"{name} in {what} is a matrix column", name)
    return graph.copy_from(formula.graph, [formula.right], {})[0]


def _deviation(graph: Graph, sigma: str | float, columns: Mapping[str, int | None]) -> int:
    """The node of the known standard deviations."""
    if isinstance(sigma, str):
        return _extra(graph, sigma, "sigma", columns)
    if not is_number(sigma) or not 0 < sigma <= sys.float_info.max:
        raise FitError(f"sigma is {sigma!r}; give a positive number, or a column's name or an expression as text")
    return graph.number(float(sigma))


def _penalty(text: str, layout: Layout, fixed: Mapping[str, Array], columns: Mapping[str, object]) -> Penalty | None:
    formula = parse(text)
    if formula.left is not None:
        raise formula.error("a penalty is an expression, not an equation")
    for name in formula.names:
        if name not in layout.names and name not in fixed:
            what = (
                "is a column; a penalty holds parameters alone" if name in columns else "in the penalty is no parameter"
            )
            raise formula.error(f"{name} {what}", name, f"the parameters are {listed(layout.names)}")
    source, graph = formula.graph, Graph()
    new: dict[int, int] = {}
    widths = dict(zip(layout.names, layout.widths, strict=True))
    for node in source.reachable([formula.right]):
        op, *args = source.nodes[node]
        if op == "@":
            a, b = (source.nodes[x][1] if source.nodes[x][0] == "name" else None for x in args)
            if a is None or b is None or widths.get(a) is None or widths.get(a) != widths.get(b):
                raise formula.error("@ in a penalty stands between vectors of parameters", str(b), "as in 0.1*(B @ B)")
            total = graph.number(0)
            for j in range(widths[a] or 0):
                total = plus(graph, total, graph.apply("*", graph.name(f"{a}[{j}]"), graph.name(f"{b}[{j}]")))
            new[node] = total
        elif op == "name":
            if widths.get(args[0]) is None:
                value = fixed.get(args[0])
                new[node] = graph.name(args[0]) if value is None else graph.number(float(np.asarray(value)[0]))
        elif op == "number":
            new[node] = graph.number(args[0])
        elif op == "pi":
            new[node] = graph.pi()
        else:
            vector = next((source.nodes[a][1] for a in args if a not in new), None)
            if vector is not None:
                raise formula.error(
                    f"{vector} is a vector", vector, f"write {vector} @ {vector} for its sum of squares"
                )
            new[node] = graph.rebuild(op, [new[a] for a in args])
    if formula.right not in new:
        raise formula.error("the penalty is a vector", mend="as in 0.1*(B @ B)")
    return Penalty(graph, new[formula.right], layout)


def _bounds(bounds: Mapping[str, object] | None, layout: Layout, fixed: Mapping[str, object]) -> tuple[Array, Array]:
    lower, upper = np.full(layout.size, -np.inf), np.full(layout.size, np.inf)
    for name, pair in (bounds or {}).items():
        if name not in layout.slices:
            if name in fixed:
                raise FitError(f"{name} is fixed and has bounds: leave one of the two out")
            raise FitError(unknown("bounds", name, layout.names))
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise FitError(f"bounds of {name}: give a pair, as in {{{name!r}: (0, None)}}")
        place = layout.slices[name]
        low, high = (
            numbers(
                side if side is not None else _UNBOUNDED[i], f"bounds of {name}", place.stop - place.start, finite=False
            )
            for i, side in enumerate(pair)
        )
        if np.any(low > high):
            raise FitError(f"bounds of {name}: the lower one, {pair[0]}, is above the upper one, {pair[1]}")
        if np.any(low == high):
            raise FitError(f"bounds of {name} leave one value: say fixed={{{name!r}: {pair[0]}}}")
        lower[place], upper[place] = low, high
    return lower, upper
