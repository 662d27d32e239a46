"""Formula + schema + loss -> Objective: what is minimised, as sums over rows. Knows no arrays of data.

An objective says *what* to sum (`RowSums`: row expressions, and columns whose pairwise products are summed); a kernel
sums it; `evaluate` turns the sums and the penalty into loss, gradient and curvature. Everything is a derivative of the
formula by the sweep of `derive.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..errors import DataError, FitError
from ..types import Array, Evaluation, Need, Total
from .derive import Partial, gradient, hessian, plus, times
from .evaluate import Evaluator
from .grammar import Formula, parse
from .losses import Loss
from .program import Graph

MAX_HESSIAN = 1_000  # parameters: above, no Hessian is formed
_UNBOUNDED = (-np.inf, np.inf)


@dataclass(frozen=True)
class Layout:
    """The free parameters in order: names, the width of each (1, or q for a vector), and their flat names."""

    names: tuple[str, ...]
    widths: tuple[int | None, ...]  # None: a scalar

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each name stands in theta."""
        places, at = {}, 0
        for name, width in zip(self.names, self.widths, strict=True):
            places[name] = slice(at, at + (width or 1))
            at += width or 1
        return places

    @cached_property
    def flat(self) -> tuple[str, ...]:
        """`a`, `B[0]`, `B[1]`, ...: one name for each number of theta."""
        return tuple(
            name if width is None else f"{name}[{j}]"
            for name, width in zip(self.names, self.widths, strict=True)
            for j in range(width or 1)
        )

    @property
    def size(self) -> int:
        """p, the number of free parameters."""
        return len(self.flat)

    def values(self, theta: Array) -> dict[str, float | Array]:
        """theta as a dict: a float for a scalar, an array for a vector."""
        return {
            name: float(theta[place.start]) if width is None else theta[place].copy()
            for (name, place), width in zip(self.slices.items(), self.widths, strict=True)
        }


@dataclass(frozen=True)
class Item:
    """One thing to sum over rows: Σ of (row scalar) · (matrix row, or 1); `width` numbers for each row."""

    terms: tuple[tuple[int, int | None], ...]
    width: int = 1


@dataclass(frozen=True)
class RowSums:
    """What a kernel adds up over rows.

    `sums`: each item summed. `columns`: the sum of all pairwise products (a Gram matrix of the columns side by side).
    `crosses`: for each pair the sum of left ⊗ right. `weight` is the row's weight, None = 1. `check`: the row
    expressions that must be finite; the first row where one is not is the bad row.
    """

    graph: Graph
    layout: Layout
    columns_used: tuple[str, ...]
    sums: tuple[Item, ...] = ()
    columns: tuple[Item, ...] = ()
    crosses: tuple[tuple[Item, Item], ...] = ()
    weight: int | None = None

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """Every node that is needed."""
        items = [*self.sums, *self.columns, *(side for pair in self.crosses for side in pair)]
        nodes = {n: None for item in items for term in item.terms for n in term if n is not None}
        return (*nodes, *(() if self.weight is None else (self.weight,)))

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the sums, the Gram matrix and the crosses as they stand one after the other in a Total."""
        gram = sum(item.width for item in self.columns)
        grams = ((gram, gram),) if gram else ()
        return (*((i.width,) for i in self.sums), *grams, *((a.width, b.width) for a, b in self.crosses))

    def split(self, values: Array) -> list[Array]:
        """The numbers of a Total in their shapes."""
        parts, at = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            parts.append(values[at : at + size].reshape(shape))
            at += size
        return parts


@dataclass(frozen=True)
class Objective:
    """T(theta) = Σ over rows of weight · loss + penalty, and what is reported of it.

    `left`, `prediction`, `residual` (y - prediction), `loss` (of one row) and `weight` are nodes of `graph`; `reduce` is
    "mean", "sum" or "rmse"; `sign` is -1 where the user maximises; `fixed` holds the numbers that were substituted.
    """

    formula: Formula
    loss_spec: Loss | None
    graph: Graph
    layout: Layout
    columns: tuple[str, ...]
    loss: int
    left: int | None
    prediction: int | None
    residual: int | None
    weight: int | None
    penalty: Penalty | None
    condition: int | None
    lower: Array
    upper: Array
    fixed: Mapping[str, float | Array] = field(default_factory=dict)
    reduce: str = "mean"
    sign: float = 1.0
    known_sigma: bool = False

    @property
    def squares(self) -> bool:
        """Whether the loss of a row is half a squared residual."""
        return self.residual is not None

    @cached_property
    def loss_partials(self) -> dict[str, Partial]:
        """∂(row loss)/∂(parameter)."""
        if self.residual is None:
            return gradient(self.graph, self.loss, self.layout.names)
        minus = self.graph.apply("neg", self.residual)
        scaled = {
            name: tuple((times(self.graph, minus, node), matrix) for node, matrix in partial.terms)
            for name, partial in self.model_partials.items()
        }
        return {name: Partial(terms) for name, terms in scaled.items()}

    @cached_property
    def model_partials(self) -> dict[str, Partial]:
        """∂prediction/∂(parameter): the columns of the Jacobian."""
        assert self.prediction is not None
        return gradient(self.graph, self.prediction, self.layout.names)

    def rows(self, need: Need) -> RowSums:
        """What to sum over rows for a need: the value, the gradient, the normal equations, the exact Hessian."""
        if need not in self._rows:
            self._rows[need] = self._build(need)
        return self._rows[need]

    @cached_property
    def _rows(self) -> dict[Need, RowSums]:
        return {}

    def _build(self, need: Need) -> RowSums:
        def sums(*items: Item, columns: tuple[Item, ...] = (), crosses: tuple[tuple[Item, Item], ...] = ()) -> RowSums:
            return RowSums(self.graph, self.layout, self.columns, items, columns, crosses, self.weight)

        loss = self._weighted(Partial(((self.loss, None),)))
        if need is Need.VALUE:
            return sums(loss)
        if need is Need.GRADIENT:
            return sums(loss, *self._items(self.loss_partials))
        if need is Need.NORMAL:
            assert self.residual is not None
            root = None if self.weight is None else self.graph.apply("sqrt", self.weight)
            partials = {**self.model_partials, "": Partial(((self.residual, None),))}
            return sums(columns=tuple(self._items(partials, root)))
        second, crosses = self._second()
        if self.residual is not None:
            return sums(*second, columns=self.rows(Need.NORMAL).columns, crosses=crosses)
        return sums(loss, *self._items(self.loss_partials), *second, crosses=crosses)

    def _items(self, partials: Mapping[str, Partial], factor: int | None = -1) -> list[Item]:
        widths = dict(zip(self.layout.names, self.layout.widths, strict=True))
        return [self._weighted(p, widths.get(name) or 1, factor) for name, p in partials.items()]

    def _weighted(self, partial: Partial, width: int = 1, factor: int | None = -1) -> Item:
        """A partial times the row's weight (or another factor) as an item."""
        factor = self.weight if factor == -1 else factor
        terms = partial.terms or ((self.graph.number(0), None),)
        if factor is not None:
            terms = tuple((times(self.graph, factor, node), matrix) for node, matrix in terms)
        return Item(terms, width)

    @cached_property
    def second_pairs(self) -> tuple[dict[tuple[str, str], int], list[tuple[str, int | None, str, Partial]]]:
        """Second derivatives of the prediction (residual losses) or of the row loss: scalar pairs, and vector blocks."""
        base = self.loss_partials if self.residual is None else self.model_partials
        widths = dict(zip(self.layout.names, self.layout.widths, strict=True))
        scalars = [n for n in self.layout.names if widths[n] is None]
        vectors = [n for n in self.layout.names if widths[n] is not None]
        pairs = hessian(self.graph, base, scalars)
        blocks: list[tuple[str, int | None, str, Partial]] = []
        for i, name in enumerate(vectors):
            for node, matrix in base[name].terms:
                for other, partial in gradient(self.graph, node, [*scalars, *vectors[i:]]).items():
                    if partial.terms:
                        blocks.append((name, matrix, other, partial))
        return pairs, blocks

    def _second(self) -> tuple[list[Item], tuple[tuple[Item, Item], ...]]:
        """Items of the exact Hessian of S; for residual losses of -Σ w·r·∂²prediction, which JᵀWJ lacks."""
        factor = self.weight
        if self.residual is not None:
            minus = self.graph.apply("neg", self.residual)
            factor = minus if factor is None else times(self.graph, factor, minus)
        pairs, blocks = self.second_pairs
        items = [self._weighted(Partial(((node, None),)), 1, factor) for node in pairs.values()]
        widths = dict(zip(self.layout.names, self.layout.widths, strict=True))
        one = self.graph.number(1)
        crosses = []
        for name, matrix, other, partial in blocks:
            right = self._weighted(partial, widths[other] or 1, factor)
            crosses.append((Item(((one, matrix),), widths[name] or 1), right))
        return items, tuple(crosses)

    # evaluation --------------------------------------------------------------------------------------------
    def evaluate(self, need: Need, total: Total, theta: Array, penalty_share: float = 1.0) -> Evaluation:
        """Sums over rows + penalty -> loss, gradient and curvature of T, and the reduced loss and gradient.

        `penalty_share`: the part of the penalty that a mini-batch carries.
        """
        rows = self.rows(need)
        parts = rows.split(total.values)
        p, names = self.layout.size, len(self.layout.names)
        slope: Array | None = None
        gauss: Array | None = None
        curvature: Array | None = None
        if rows.columns:
            gram = parts[len(rows.sums)]
            gauss, slope, s = gram[:p, :p].copy(), -gram[:p, p], 0.5 * float(gram[p, p])
            curvature = gauss
            if need is Need.HESSIAN:
                curvature = gauss + self._assemble(parts[: len(rows.sums)] + parts[len(rows.sums) + 1 :])
        else:
            s = float(parts[0][0])
            if need is not Need.VALUE:
                slope = np.concatenate([np.zeros(0), *parts[1 : 1 + names]])
            if need is Need.HESSIAN:
                curvature = self._assemble(parts[1 + names :])
        t = s
        if self.penalty is not None:
            value, first, second = (penalty_share * part for part in self.penalty.at(theta))
            t += value
            slope = None if slope is None else slope + first
            curvature = None if curvature is None else curvature + second
            gauss = None if gauss is None else gauss + second
        return Evaluation.make(self.reduce, self.sign, t, s, slope, curvature, gauss, total)

    def _assemble(self, parts: Sequence[Array]) -> Array:
        pairs, blocks = self.second_pairs
        matrix = np.zeros((self.layout.size, self.layout.size))
        places = self.layout.slices
        for (a, b), part in zip(pairs, parts, strict=False):
            i, j = places[a].start, places[b].start
            matrix[i, j] += part[0]
            if i != j:
                matrix[j, i] += part[0]
        for (name, _, other, _), part in zip(blocks, parts[len(pairs) :], strict=True):
            matrix[places[name], places[other]] += part
            if name != other:
                matrix[places[other], places[name]] += part.T
        return matrix

    @cached_property
    def quadratic(self) -> bool:
        """Whether T is a quadratic: its Hessian holds no free parameter."""
        names = self.layout.names
        if self.penalty is not None and not self.penalty.quadratic:
            return False
        if self.residual is not None:
            nodes = [n for partial in self.model_partials.values() for n, _ in partial.terms]
        else:
            pairs, blocks = self.second_pairs
            nodes = [*pairs.values(), *(n for *_, partial in blocks for n, _ in partial.terms)]
        return not self.graph.depends(nodes, names)

    def gram_free_rows(self, source_rows: int) -> bool:
        """Whether there are fewer rows than free parameters."""
        return source_rows < self.layout.size

    def bounded(self) -> bool:
        """Whether any free parameter has a bound."""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    def start(self, start: Mapping[str, object] | None) -> tuple[Array, tuple[str, ...]]:
        """theta at the start, and the names that had no start value (they begin at 1)."""
        theta = np.ones(self.layout.size)
        given = dict(start or {})
        missing = []
        for name, place in self.layout.slices.items():
            if name not in given:
                missing.append(name)
                continue
            width = place.stop - place.start
            theta[place] = numbers(given.pop(name), f"start of {name}", width)
        for name in given:
            if name not in self.fixed:
                raise FitError(unknown("start", name, self.layout.names))
        return np.clip(theta, self.lower, self.upper), tuple(missing)


@dataclass(frozen=True)
class Penalty:
    """A formula of parameters alone, on the scale of the sum; vector parameters are written out by element."""

    graph: Graph
    node: int
    layout: Layout

    @cached_property
    def _partials(self) -> tuple[list[int], dict[tuple[str, str], int]]:
        flat = self.layout.flat
        first = gradient(self.graph, self.node, flat)
        zero = self.graph.number(0)
        return [zero if first[n].node is None else first[n].terms[0][0] for n in flat], hessian(self.graph, first, flat)

    @cached_property
    def quadratic(self) -> bool:
        """Whether the second derivatives are constants."""
        return not self.graph.depends(self._partials[1].values(), self.layout.flat)

    @cached_property
    def _evaluator(self) -> Evaluator:
        slopes, bends = self._partials
        return Evaluator(
            self.graph, [self.node, *slopes, *bends.values()], (), {n: i for i, n in enumerate(self.layout.flat)}
        )

    def at(self, theta: Array) -> tuple[float, Array, Array]:
        """Value, gradient (p,), Hessian (p, p) at theta."""
        with np.errstate(all="ignore"):
            values = np.array([float(v) for v in self._evaluator(theta)])
        p = self.layout.size
        index = {name: i for i, name in enumerate(self.layout.flat)}
        bend = np.zeros((p, p))
        for (a, b), value in zip(self._partials[1], values[1 + p :], strict=True):
            bend[index[a], index[b]] = bend[index[b], index[a]] = value
        return float(values[0]), values[1 : 1 + p], bend


# binding -----------------------------------------------------------------------------------------------------


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
    given = {**(start or {}), **(bounds or {}), **(fixed or {})}
    _check_given(given, columns, parameters)
    names = [n for n in formula.names if n not in columns or n in parameters]
    _check_roles(formula, names, columns, given, parameters, schema is not None)
    sides = list(formula.outputs)
    widths = _widths(formula, graph, columns, parameters)

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
                + (f" (the columns are {_listed(columns)})" if columns else ""),
            )
        residual = graph.apply("-", left, prediction)
        row_loss = _row_loss(graph, loss, left, prediction, residual)
        if not loss.residual:
            residual = None

    weight = _weight(graph, weights, sigma, columns)
    condition = _extra(graph, where, "where", columns, condition=True) if where is not None else None
    nodes = [n for n in (*sides, weight, condition) if n is not None]
    used = tuple(n for n in graph.names(nodes) if n in columns and n not in parameters)
    if schema is not None and not used:
        raise formula.error("the formula holds no column of the data", mend=f"the columns are {_listed(columns)}")
    lower, upper = _bounds(bounds, layout, numbers_fixed)
    return Objective(
        formula, loss, graph, layout, used, row_loss, left, prediction, residual, weight,
        None if penalty is None else _penalty(penalty, layout, numbers_fixed, columns), condition, lower, upper,
        {n: float(np.asarray(v)[0]) for n, v in numbers_fixed.items()}, reduce, -1.0 if maximise else 1.0,
        sigma is not None,
    )  # fmt: skip


def _row_loss(graph: Graph, loss: Loss, left: int, prediction: int, residual: int) -> int:
    if loss.residual:
        return times(graph, graph.number(0.5), graph.apply("**", residual, graph.number(2)))
    formula = loss.formula()
    return graph.copy_from(formula.graph, [formula.right], {"y": left, "prediction": prediction})[0]


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
            mend = f"did you mean {near[0]}?" if near else f"the columns are {_listed(columns)}"
            raise formula.error(f"{name} in {what} is not a column", name, mend)
        if columns[name] is not None:
            raise formula.error(f"{name} in {what} is a matrix column", name)
    return graph.copy_from(formula.graph, [formula.right], {})[0]


def _weight(
    graph: Graph, weights: str | None, sigma: str | float | None, columns: Mapping[str, int | None]
) -> int | None:
    factors = []
    if weights is not None:
        factors.append(_extra(graph, weights, "weights", columns))
    if sigma is not None:
        node = graph.number(float(sigma)) if isinstance(sigma, int | float) else _extra(graph, sigma, "sigma", columns)
        factors.append(graph.apply("**", node, graph.number(-2)))
    return None if not factors else factors[0] if len(factors) == 1 else times(graph, *factors)


def _penalty(text: str, layout: Layout, fixed: Mapping[str, Array], columns: Mapping[str, object]) -> Penalty | None:
    formula = parse(text)
    if formula.left is not None:
        raise formula.error("a penalty is an expression, not an equation")
    for name in formula.names:
        if name not in layout.names and name not in fixed:
            what = (
                "is a column; a penalty holds parameters alone" if name in columns else "in the penalty is no parameter"
            )
            raise formula.error(f"{name} {what}", name, f"the parameters are {_listed(layout.names)}")
    source, graph = formula.graph, Graph()
    new: dict[int, int] = {}
    widths = dict(zip(layout.names, layout.widths, strict=True))
    for node in source.reachable([formula.right]):
        op, *args = source.nodes[node]
        if op == "@":
            a, b = (source.nodes[x][1] if source.nodes[x][0] == "name" else None for x in args)
            if a is None or widths.get(a) is None or widths.get(a) != widths.get(b):
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


def numbers(value: object, what: str, width: int | None = 1, *, finite: bool = True) -> Array:
    """A number or, for a vector parameter, `width` numbers as an array; FitError otherwise."""
    try:
        array = np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError):
        raise FitError(f"{what}: {value!r} is not a number") from None
    if width is not None and array.size == 1:
        array = np.full(width, float(array.reshape(-1)[0]))
    if array.ndim != 1 or (width is not None and array.size != width):
        raise FitError(f"{what}: {array.size} numbers where {width} are needed")
    if np.isnan(array).any() or (finite and not np.isfinite(array).all()):
        raise FitError(f"{what}: {value!r} is not a finite number")
    return array


def unknown(where: str, name: str, names: Sequence[str]) -> str:
    """The sentence for a name in an option that the formula does not hold."""
    near = difflib.get_close_matches(name, names, 1, 0.6)
    hint = f"did you mean {near[0]}?" if near else f"the parameters are {_listed(names)}"
    return f"{name} stands in {where} but is no parameter of the formula; {hint}"


def _listed(names: Sequence[str] | Mapping[str, object], most: int = 12) -> str:
    words = list(names)
    return ", ".join(words[:most]) + (f", ... ({len(words)} in all)" if len(words) > most else "") if words else "none"
