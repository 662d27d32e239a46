"""What follows from a formula before anything runs: roles, derivatives, structure, safe rates, program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .formula.derive import Partial, gradient, hessian
from .formula.grammar import Formula
from .formula.objective import Objective
from .formula.printing import to_latex, to_text
from .formula.program import Graph, Program
from .formula.structure import Structure
from .formula.sympy import tidy, to_sympy
from .report.text import explanation_text
from .strategy import Guarantee

LONG = 2_000  # characters of a derivative that are shown


class Derivatives(Mapping[Any, Any]):
    """SymPy expressions by name, made when they are looked at."""

    def __init__(self, keys: Sequence[Any], make: Callable[[Any], Any]) -> None:
        self._keys, self._make = tuple(keys), make
        self._made: dict[Any, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True)
class Explanation:
    """What follows from a formula before anything runs; it prints itself.

    gradient: `["a"]` -> SymPy expression of the derivative (of the row loss with data, else of the function or of the
    right-hand side); hessian: `["a", "b"]`. `guarantees` by reduction ("sum", "mean") where data are given and the loss
    is quadratic.
    """

    formula: str
    roles: dict[str, str]
    gradient: Mapping[str, Any]
    hessian: Mapping[tuple[str, str], Any]
    partials: dict[str, tuple[str, str]]  # name -> formula text, LaTeX
    of: str
    row_loss: str
    quadratic: bool
    guarantees: dict[str, Guarantee]
    rates: tuple[str, ...]
    program: tuple[str, ...]
    structure: tuple[str, ...] = ()  # linear parameters, what no data tell apart, symmetries, domain, in words
    kernel: str = ""  # which kernel runs over the data given, and why

    def text(self) -> str:
        """Roles, partial derivatives, structure, rates, program as plain text."""
        return explanation_text(
            self.formula,
            self.roles,
            self.of,
            self.row_loss,
            self.partials,
            self.quadratic,
            self.rates,
            self.program,
            self.kernel,
            self.structure,
        )

    __str__ = text

    def _repr_html_(self) -> str:
        """The same as a table, with the derivatives in LaTeX, for notebooks."""
        from .report.html import explanation_html

        return explanation_html(
            self.formula,
            self.roles,
            self.of,
            self.row_loss,
            self.partials,
            self.quadratic,
            self.rates,
            self.program,
            self.kernel,
            self.structure,
        )

    @cached_property
    def latex(self) -> dict[str, str]:
        """LaTeX of each partial derivative, by name."""
        return {name: tex for name, (_, tex) in self.partials.items()}


def explained(
    formula: Formula,
    objective: Objective | None,
    guarantees: Mapping[str, Guarantee],
    rates: Sequence[str],
    kernel: str = "",
) -> Explanation:
    """The explanation of an objective, or without data of the formula as a function of every name in it."""
    columns: tuple[str, ...]
    if objective is None:
        graph, output, columns = formula.graph, formula.right, ()
        of = "the function" if formula.left is None else "the right-hand side"
        names, other = tuple(graph.names([output])), "variable"
    else:
        graph, output, columns = objective.graph, objective.loss, objective.columns
        of, names, other = "the loss of a row", objective.layout.names, "parameter"
    first = gradient(graph, output, names)
    scalars = [name for name in names if all(matrix is None for _, matrix in first[name].terms)]
    second = hessian(graph, first, scalars)
    zero = graph.number(0)

    def slope(name: str) -> Any:
        node = first[name].node
        return to_sympy(graph, zero if node is None else node)

    def bend(pair: tuple[str, str]) -> Any:
        return to_sympy(graph, second.get(pair, second.get(pair[::-1], zero)), order=2)

    program: list[tuple[str, int]] = [(of, output)]
    for name in names:
        program += [(f"d/d {name}{_times(graph, matrix)}", node) for node, matrix in first[name].terms]
    pairs = [(a, b) for a in scalars for b in scalars]
    quadratic = objective.quadratic if objective is not None else not graph.depends(second.values(), names)
    return Explanation(
        formula=formula.text,
        roles={name: "data" if name in columns else other for name in formula.names},
        gradient=Derivatives(scalars, slope),
        hessian=Derivatives(pairs, bend),
        partials={name: _shown(graph, first[name]) for name in names},
        of=of,
        row_loss="" if objective is None else to_text(graph, output, LONG),
        quadratic=quadratic and len(scalars) == len(names) if objective is None else quadratic,
        guarantees=dict(guarantees),
        rates=tuple(rates),
        program=tuple(Program(graph, tuple(program)).lines()),
        structure=tuple(_structure(objective, graph, output, names).lines(roles=objective is not None)),
        kernel=kernel,
    )


def _structure(objective: Objective | None, graph: Graph, output: int, names: Sequence[str]) -> Structure:
    """That of the prediction, or of the function; without data no column is known, and every name is a variable."""
    return Structure(graph, output, tuple(names), {}) if objective is None else objective.structure


def _shown(graph: Graph, partial: Partial) -> tuple[str, str]:
    """A derivative as formula text and as LaTeX, tidied by SymPy."""
    texts, latexes = [], []
    for node, matrix in partial.terms or ((graph.number(0), None),):
        tidied, place = tidy(graph, node)
        text, latex = to_text(tidied, place, LONG), to_latex(tidied, place)
        texts.append(text if matrix is None else f"({text})*{to_text(graph, matrix)}")
        latexes.append(latex if matrix is None else rf"\left({latex}\right) {to_latex(graph, matrix)}")
    return " + ".join(texts), " + ".join(latexes)


def _times(graph: Graph, matrix: int | None) -> str:
    return "" if matrix is None else f" (times {to_text(graph, matrix)})"
