"""Names get their roles: Formula + schema + options -> Objective, or one clear error."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ..errors import DataError, FitError
from ..types import Array, is_number
from .derive import plus, times
from .functions import ALIASES, callable_names
from .grammar import Formula, parse
from .losses import Loss
from .objective import Layout, Objective, Penalty, listed, numbers, unknown
from .program import Graph
from .ties import Held, ordered

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
    counts: str | None = None,
    prior: Mapping[str, object] | None = None,
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
    for what, option in (("start", start), ("bounds", bounds), ("fixed", fixed), ("prior", prior)):
        _check_dict(what, option)
    given = {**(start or {}), **(bounds or {}), **(fixed or {}), **(prior or {})}
    _check_given(given, columns, parameters)
    for name in parameters:
        if name not in formula.names:
            raise FitError(unknown("parameters", name, list(formula.names)))
    names = [n for n in formula.names if n not in columns or n in parameters]
    rowwise = {name: width for name, width in columns.items() if name not in parameters}
    condition = None if where is None else _extra(graph, where, "where", rowwise, condition=True)
    if sigma is not None and formula.left is None:
        raise FitError("sigma belongs to residuals; a formula without = is the loss of a row: write the sigma into it")
    if sigma is not None and loss is not None and loss.kind == "likelihood":
        raise FitError(f"sigma belongs to residuals; the loss {loss.name} knows how far y scatters: leave sigma out")
    deviation = None if sigma is None else _deviation(graph, sigma, rowwise)
    weight = _weight(graph, weights, deviation, rowwise)
    count = None if counts is None else _extra(graph, counts, "counts", rowwise)
    if count is not None:
        weight = count if weight is None else times(graph, weight, count)

    unused = [c for c in columns if c not in formula.names and c not in graph.names(_present(weight, condition))]
    _check_roles(formula, names, unused, {*given, *parameters})
    widths = _widths(formula, graph, rowwise)
    held = hold(fixed or {}, names, widths, rowwise)
    free = [n for n in names if n not in held]
    layout = Layout(tuple(free), tuple(widths.get(n) for n in free))
    if len(set(layout.flat)) != layout.size:
        raise FitError("two parameters have the same name once vectors are written out")

    replace = {graph.name(name): node for name, node in held.nodes(graph).items()}
    sides = graph.substitute(formula.outputs, replace) if replace else list(formula.outputs)
    left = prediction = residual = domain = None
    if formula.left is None:
        if loss is not None and loss.name != "squares":
            raise formula.error(
                "a formula without = is the loss of a row itself", mend="leave loss out, or write y = ..."
            )
        row_loss = graph.apply("neg", sides[0]) if maximise else sides[0]
    else:
        if loss is None:
            raise formula.error("minimize takes a function, not an equation", mend="leave out the left side and =")
        left, prediction = sides
        _check_left(formula, left, free, columns)
        difference = graph.apply("-", left, prediction)
        row_loss = _row_loss(graph, loss, left, prediction, difference)
        residual = difference if loss.residual else None
        domain = None if loss.domain is None else _of_left(graph, loss.domain[0], left, condition=True)

    used = tuple(n for n in graph.names(_present(*sides, weight, condition)) if n in rowwise)
    if schema is not None and not used:
        raise formula.error("the formula holds no column of the data", mend=f"the columns are {listed(columns)}")
    lower, upper = _bounds(bounds, layout, held)
    _check_prior(prior, loss, formula, deviation is not None)
    beside = None if penalty is None else _penalty(penalty, layout, held, columns)
    return Objective(
        formula=formula, graph=graph, layout=layout, columns=used, loss=row_loss, left=left, prediction=prediction,
        residual=residual, weight=weight, sigma=deviation, condition=condition,
        penalty=_with_prior(beside, prior or {}, layout, held), lower=lower, upper=upper,
        held=held, reduce=reduce, sign=-1.0 if maximise else 1.0, family=None if formula.left is None else loss,
        domain=domain, counts=count, biased=penalty is not None,
    )  # fmt: skip


def hold(fixed: Mapping[str, object], names: Sequence[str], widths: Mapping[str, int | None],
         columns: Collection[str]) -> Held:  # fmt: skip
    """`fixed` read: a number, or the text of a formula of other parameters. Raises FitError, FormulaError."""
    for name in fixed:
        if name not in names:
            raise FitError(unknown("fixed", name, names))
        if widths.get(name):
            raise FitError(f"fixing the vector parameter {name} is not built yet; leave its columns out")
    ties = {name: _tie(name, text, names, widths, columns) for name, text in fixed.items() if isinstance(text, str)}
    held = {
        name: float(numbers(value, f"fixed value of {name}")[0]) for name, value in fixed.items() if name not in ties
    }
    return Held(held, {name: ties[name] for name in ordered(ties)})


def _tie(name: str, text: str, names: Sequence[str], widths: Mapping[str, int | None],
         columns: Collection[str]) -> Formula:  # fmt: skip
    formula = parse(text)
    if formula.left is not None:
        raise formula.error(f"the tie of {name} is an expression, not an equation", mend=f"as in {{{name!r}: '2*a'}}")
    for other in formula.names:
        if other not in names:
            problem = f"{other} in the tie of {name} is " + (
                "a column; a tie holds parameters alone" if other in columns else "no parameter of the formula"
            )
            raise formula.error(problem, other, f"the parameters are {listed([n for n in names if n != name])}")
        if widths.get(other):
            raise formula.error(f"{other} in the tie of {name} is a vector", other, "a tie holds single numbers")
    return formula


def _check_left(formula: Formula, left: int, free: Sequence[str], columns: Mapping[str, object]) -> None:
    if formula.graph.depends([left], free):
        name = next(n for n in formula.graph.names([left]) if n in free)
        raise formula.error(
            f"{name} on the left side is no column",
            name,
            "the left side is an expression of columns; write unknowns on the right"
            + (f" (the columns are {listed(columns)})" if columns else ""),
        )


def _row_loss(graph: Graph, loss: Loss, left: int, prediction: int, residual: int) -> int:
    if loss.residual:
        return times(graph, graph.number(0.5), graph.apply("**", residual, graph.number(2)))
    formula = loss.formula()
    known = {n: graph.number(int(v) if v.is_integer() else v) for n, v in loss.constants.items()}
    node = graph.copy_from(formula.graph, [formula.right], {"y": left, "prediction": prediction, **known})[0]
    op, *arguments = graph.nodes[prediction]
    if op == "exp" and loss.positive:  # its logarithm is known, and finite where it over- or underflows
        node = graph.substitute([node], {graph.apply("log", prediction): arguments[0]})[0]
    return node


def _of_left(graph: Graph, text: str, left: int, *, condition: bool = False) -> int:
    """A formula of y, y being the left side."""
    formula = parse(text, condition=condition)
    return graph.copy_from(formula.graph, [formula.right], {"y": left})[0]


def _present(*nodes: int | None) -> list[int]:
    return [node for node in nodes if node is not None]


def _check_dict(what: str, option: object) -> None:
    if option is not None and not (isinstance(option, Mapping) and all(isinstance(name, str) for name in option)):
        raise FitError(f"{what} is a dict by name, as in {{'a': ...}}; not {option!r}")


def _check_given(given: Mapping[str, object], columns: Mapping[str, object], parameters: Sequence[str]) -> None:
    for name in given:
        if name in columns and name not in parameters:
            raise DataError(
                f"{name} is a column of the data, and stands in start, bounds, fixed or prior as a parameter does; "
                f"if it is one, say parameters=[{name!r}]"
            )


def _check_roles(formula: Formula, names: Sequence[str], unused: Sequence[str], known: Collection[str]) -> None:
    """Refuse a parameter that looks like a function, like a misspelt column among the unused ones, or like Euler's e.

    `known` are the names that the user has called parameters.
    """
    for name in names:
        if name not in known and (name in ALIASES or name in callable_names()):
            mend = f"write {name}(...), or give it a start if it is a parameter"
            raise formula.error(f"{name} is a function without its argument", name, mend)
    for name in names:
        near = [c for c in unused if len(name) >= 4 and name not in known and _near(name, c)]
        if near:
            mend = f"did you mean the column {near[0]}? If {name} is a parameter, say parameters=[{name!r}]"
            raise formula.error(f"{name} is not a column", name, mend)
    if "e" in names and "e" not in known:
        power_of_e = ("**", formula.graph.name("e"))
        if any(formula.graph.nodes[node][:2] == power_of_e for node in formula.graph.reachable(formula.outputs)):
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
        return sum(a != b for a, b in zip(short, long, strict=True)) == 1
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


def _widths(formula: Formula, graph: Graph, columns: Mapping[str, int | None]) -> dict[str, int | None]:
    """The width of every vector parameter, from the matrix that it multiplies; a matrix stands nowhere else."""
    widths: dict[str, int | None] = {}
    scalars: set[str] = set()

    def scalar(node: int) -> None:
        kind, *rest = graph.nodes[node]
        if kind == "name":
            if columns.get(rest[0]) is not None:
                raise formula.error(f"{rest[0]} is a matrix column", rest[0], f"write {rest[0]} @ B")
            scalars.add(rest[0])

    for node in graph.reachable(formula.outputs):
        if graph.nodes[node][0] != "@":
            for argument in graph.arguments(node):
                scalar(argument)
            continue
        matrix, vector = graph.arguments(node)
        width, name = _matrix_width(formula, graph, matrix, columns), graph.nodes[vector][1]
        if name in columns:
            raise formula.error(f"{name} is a column", name, "the right of @ is a vector of parameters")
        if widths.setdefault(name, width) != width:
            raise formula.error(f"{name} multiplies matrices of {widths[name]} and of {width} columns", name)
    for output in formula.outputs:
        scalar(output)
    for name in widths:
        if name in scalars:
            raise formula.error(
                f"{name} is a vector after @ and a number elsewhere", name, "give the two different names"
            )
    return widths


def _matrix_width(formula: Formula, graph: Graph, matrix: int, columns: Mapping[str, int | None]) -> int:
    """How many columns stand on the left of @: a list of columns, or a matrix column."""
    op, *rest = graph.nodes[matrix]
    if op == "stack":
        held = next((n for column in rest for n in graph.names([column]) if n not in columns), None)
        if held is not None:
            raise formula.error(f"{held} in the list is no column", held, "the columns of a matrix hold no parameter")
        return len(rest)
    name = rest[0]
    if name not in columns:
        raise formula.error(f"{name} is not a column", name, "X @ B: X is a matrix column or a list of columns")
    width = columns[name]
    if width is None:
        mend = f"write {name}*b for a scalar column, or a list [x1, x2] @ B"
        raise formula.error(f"{name} has one number a row", name, mend)
    return width


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


def precision(
    graph: Graph, weights: str | None, sigma: str | float | None, columns: Mapping[str, int | None]
) -> int | None:
    """The node of weights/σ²; None where neither is given."""
    return _weight(graph, weights, None if sigma is None else _deviation(graph, sigma, columns), columns)


def _weight(graph: Graph, weights: str | None, deviation: int | None, columns: Mapping[str, int | None]) -> int | None:
    weight = None if weights is None else _extra(graph, weights, "weights", columns)
    if deviation is None:
        return weight
    known = graph.apply("**", deviation, graph.number(-2))
    return known if weight is None else times(graph, weight, known)


def _deviation(graph: Graph, sigma: str | float, columns: Mapping[str, int | None]) -> int:
    """The node of the known standard deviations."""
    if isinstance(sigma, str):
        return _extra(graph, sigma, "sigma", columns)
    if not is_number(sigma) or not 0 < sigma <= sys.float_info.max:
        raise FitError(f"sigma is {sigma!r}; give a positive number, or a column's name or an expression as text")
    return graph.number(float(sigma))


def _penalty(text: str, layout: Layout, held: Held, columns: Mapping[str, object]) -> Penalty:
    """A formula of parameters alone, in a graph of its own: fixed ones put in, vectors written out by element."""
    formula = parse(text)
    if formula.left is not None:
        raise formula.error("a penalty is an expression, not an equation")
    for name in formula.names:
        if name not in layout.names and name not in held:
            what = (
                "is a column; a penalty holds parameters alone" if name in columns else "in the penalty is no parameter"
            )
            raise formula.error(f"{name} {what}", name, f"the parameters are {listed(layout.names)}")
    source, graph = formula.graph, Graph()
    new: dict[int, int] = {}
    widths, given = layout.width_of, held.nodes(graph)
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
                new[node] = given[args[0]] if args[0] in given else graph.name(args[0])
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


def _check_prior(prior: object, loss: Loss | None, formula: Formula, known_sigma: bool) -> None:
    """A prior weighs against the data: what a row says must have a scale."""
    if not prior or formula.left is None or known_sigma or (loss is not None and loss.absolute_scale):
        return
    assert loss is not None
    mends = {"residual": "give sigma, the standard deviation of y", "likelihood": f"say {loss.name}(dispersion=...)"}
    mend = mends.get(loss.kind, "write the likelihood of a row, without =")
    raise FitError(f"a prior needs a scale for the data, and the loss {loss.name} has none: {mend}")


def _with_prior(penalty: Penalty | None, prior: Mapping[str, object], layout: Layout, held: Held) -> Penalty | None:
    """The penalty and ½((b - mean)/sd)² for each prior, element by element."""
    if not prior:
        return penalty
    graph = Graph() if penalty is None else penalty.graph
    total = graph.number(0) if penalty is None else penalty.node
    for name, pair in prior.items():
        if name not in layout.slices:
            raise _not_free(name, "a prior", layout, held)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise FitError(f"prior of {name}: give (mean, standard deviation), as in {{{name!r}: (0, 2.5)}}")
        place = layout.slices[name]
        means, spreads = (numbers(side, f"prior of {name}", layout.width_of[name]) for side in pair)
        if not np.all(spreads > 0):
            raise FitError(f"prior of {name}: the standard deviation is {pair[1]}; give a positive number")
        for flat, mean, spread in zip(layout.flat[place], means.tolist(), spreads.tolist(), strict=True):
            away = graph.apply("/", graph.apply("-", graph.name(flat), graph.number(mean)), graph.number(spread))
            half = graph.apply("*", graph.number(0.5), graph.apply("**", away, graph.number(2)))
            total = plus(graph, total, half)
    return Penalty(graph, total, layout)


def _not_free(name: str, what: str, layout: Layout, held: Held) -> FitError:
    """The error for bounds or a prior of what is no free parameter."""
    if name in held.ties:
        tie, it = held.ties[name], "it" if what.startswith("a ") else "them"
        return FitError(
            f"{name} is tied ({name} = {tie.text}) and has {what}: give {it} to {listed(tie.names)} instead"
        )
    if name in held:
        return FitError(f"{name} is fixed and has {what}: leave one of the two out")
    return FitError(unknown(what.removeprefix("a "), name, layout.names))


def _bounds(bounds: Mapping[str, object] | None, layout: Layout, held: Held) -> tuple[Array, Array]:
    """The lower and the upper bounds of theta, infinite where there is none."""
    lower, upper = np.full(layout.size, -np.inf), np.full(layout.size, np.inf)
    for name, pair in (bounds or {}).items():
        if name not in layout.slices:
            raise _not_free(name, "bounds", layout, held)
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
    lower.flags.writeable = upper.flags.writeable = False  # an objective is shared
    return lower, upper
