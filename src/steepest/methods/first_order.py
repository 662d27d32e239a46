"""First-order methods: a table, name -> update rule as text; any other text is a rule of the user's.

A rule is assignments in order, separated by `;`. Reserved: `g theta rate step epoch loss`; any other assigned name is
state (0 at the start, one number for each parameter); every other name is a number given in the call, as in
`adam(beta1=0.8)`. The famous ones are entries of the same language.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import FitError
from ..formula.evaluate import Evaluator
from ..formula.grammar import Formula, parse, parse_rule
from ..formula.program import Graph, UpdateRule
from ..types import Array, Evaluation, Need, is_number
from .method import State

SMALLEST_RATE = 1e-300
DROWNED = 1e-10  # a difference relative to what is subtracted: five digits are left of it
RESERVED = ("g", "theta", "rate", "step", "epoch", "loss")


@dataclass(frozen=True)
class Rule:
    """An update rule as published: its text, its numbers, its rate (None: from the curvature), the source.

    `limit` is the largest stable rate on a quadratic of curvature L, times L, as a function of the numbers.
    """

    text: str
    numbers: Mapping[str, float]
    rate: float | None
    source: str
    limit: Callable[[Mapping[str, float]], float] | None = None


RULES = {
    "gd": Rule("theta = theta - rate*g", {}, None, "Cauchy (1847)", lambda _: 2.0),
    "momentum": Rule(
        "v = beta*v + g; theta = theta - rate*v", {"beta": 0.9}, None, "Polyak (1964), heavy ball",
        lambda n: 2.0 * (1.0 + n["beta"]),
    ),
    "nesterov": Rule(
        "v = beta*v + g; theta = theta - rate*(g + beta*v)", {"beta": 0.9}, None,
        "Nesterov (1983), as in Sutskever et al. (2013)",
        lambda n: 2.0 * (1.0 + n["beta"]) / (1.0 + 2.0 * n["beta"]),
    ),
    "adagrad": Rule(
        "s = s + g**2; theta = theta - rate*g/(sqrt(s) + epsilon)", {"epsilon": 1e-10}, 0.01,
        "Duchi, Hazan and Singer (2011)",
    ),
    "rmsprop": Rule(
        "s = beta*s + (1 - beta)*g**2; theta = theta - rate*g/(sqrt(s) + epsilon)", {"beta": 0.9, "epsilon": 1e-8},
        0.001, "Tieleman and Hinton (2012)",
    ),
    "adam": Rule(
        "m = beta1*m + (1 - beta1)*g; s = beta2*s + (1 - beta2)*g**2; "
        "theta = theta - rate*(m/(1 - beta1**step))/(sqrt(s/(1 - beta2**step)) + epsilon)",
        {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}, 0.001, "Kingma and Ba (2015), algorithm 1",
    ),
}  # fmt: skip
RULES["sgd"] = replace(RULES["gd"], source="Robbins and Monro (1951)")
CALL = re.compile(r"\s*([A-Za-z][\w-]*)\s*(?:\((.*)\))?\s*", re.DOTALL)


@dataclass(frozen=True)
class FirstOrder:
    """theta, gradient, state -> theta by a rule; `schedule` gives the rate at (step, epoch)."""

    name: str
    rule: Rule
    numbers: Mapping[str, float]
    schedule: Schedule
    need: Need = Need.GRADIENT

    @cached_property
    def _parsed(self) -> tuple[Formula, list[tuple[str, int]]]:
        return read_rule(self.rule.text, self.numbers)

    @cached_property
    def _state_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name, _ in self._parsed[1] if name != "theta"))

    @property
    def program(self) -> UpdateRule:
        """The rule and the schedule as programs, for whoever compiles them."""
        formula, assigned = self._parsed
        final = dict(assigned)
        state = tuple((name, final[name]) for name in self._state_names)
        return UpdateRule(formula.graph, final["theta"], state, tuple(self.numbers.items()), self.schedule.program)

    @cached_property
    def _evaluator(self) -> Evaluator:
        formula, assigned = self._parsed
        final = dict(assigned)
        names = {name: name for name in formula.names}
        return Evaluator(formula.graph, [final["theta"], *(final[n] for n in self._state_names)], (), names)

    def init(self, theta: Array) -> State:
        """State variables at zero."""
        return State(memory={name: np.zeros_like(theta) for name in self._state_names})

    def update(self, evaluation: Evaluation, state: State, theta: Array, step: int, epoch: int) -> tuple[Array, State]:
        """One application of the rule."""
        inputs: dict[str, Any] = {
            **self.numbers,
            **state.memory,
            "theta": theta,
            "g": evaluation.gradient,
            "rate": self.schedule.at(step, epoch),
            "step": np.float64(step),
            "epoch": np.float64(epoch),
            "loss": np.float64(evaluation.loss),
        }
        with np.errstate(all="ignore"):
            new, *memory = self._evaluator(inputs)
        return np.asarray(new), State(memory=dict(zip(self._state_names, memory, strict=True)))

    def with_rate(self, rate: float) -> FirstOrder:
        """The same method with a constant rate."""
        return replace(self, schedule=Schedule(rate))

    @property
    def rate_limit(self) -> float | None:
        """The largest stable rate on a quadratic, times its curvature L; None where no theorem says."""
        return None if self.rule.limit is None else self.rule.limit(self.numbers)


@dataclass(frozen=True)
class Schedule:
    """The learning rate: a number, or a formula of `step` (1 at the first update) and `epoch` (0 in the first)."""

    rate: float
    text: str = ""

    @staticmethod
    def read(rate: float | str) -> Schedule:
        """A number or the text of a formula. Raises FitError or FormulaError."""
        if isinstance(rate, str):
            try:
                return Schedule.read(float(rate))
            except ValueError:
                pass
            formula = parse(rate)
            if formula.left is not None:
                raise formula.error("a schedule has no =", mend="as in 0.1/(1 + 0.01*step)")
            for name in formula.names:
                if name not in ("step", "epoch"):
                    raise formula.error(f"{name} is neither step nor epoch", name, "as in 0.1/(1 + 0.01*step)")
            if not formula.names:
                return Schedule.read(float(Evaluator(formula.graph, [formula.right], (), {})({})[0]))
            return Schedule(float("nan"), rate)
        if not is_number(rate) or not 0 < rate <= sys.float_info.max:
            raise FitError(f"the rate is {rate!r}; give a positive number, or a formula of step and epoch")
        return Schedule(float(rate))

    @cached_property
    def _evaluator(self) -> Evaluator:
        formula = parse(self.text)
        return Evaluator(formula.graph, [formula.right], (), {name: name for name in formula.names})

    @property
    def program(self) -> tuple[Graph, int] | None:
        """Graph and node of a formula; None for a number."""
        if not self.text:
            return None
        formula = parse(self.text)
        return formula.graph, formula.right

    def at(self, step: int, epoch: int) -> float:
        """The rate of an update."""
        if not self.text:
            return self.rate
        with np.errstate(all="ignore"):
            rate = float(self._evaluator({"step": np.float64(step), "epoch": np.float64(epoch)})[0])
        if not 0 <= rate < float("inf"):
            raise FitError(f"the rate {self.text} is {rate:g} at step {step}, epoch {epoch}; it must stay positive")
        return rate


@dataclass(frozen=True)
class Backtracking:
    """A rule whose rate is found by trial: a step is kept where the loss falls as a curvature of 1/rate would have it.

    The test is the descent lemma along the step d: f(θ+d) ≤ f(θ) + g·d + ‖d‖²/(2·rate) (Beck and Teboulle 2009);
    a rejected step is tried again at half the rate, an accepted one lets the rate grow by a fifth. Where the fall
    drowns in the rounding of f it is taken from the gradients at both ends. Tested, not proved.
    """

    inner: FirstOrder
    name: str = field(init=False)
    need: Need = Need.GRADIENT

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.inner.name)

    def init(self, theta: Array) -> State:
        """Nothing accepted yet."""
        return State(memory=None)

    def update(self, evaluation: Evaluation, state: State, theta: Array, step: int, epoch: int) -> tuple[Array, State]:
        """Accept or reject the trial; propose the next."""
        if state.memory is None:
            norm = float(np.linalg.norm(evaluation.gradient))
            rate = max(0.1 * max(float(np.linalg.norm(theta)), 1.0) / norm, SMALLEST_RATE) if norm > 0 else 1.0
            return self._propose(evaluation, self.inner.init(theta), theta, rate, step, epoch)
        old, before, inner, rate, inner_after = state.memory
        d = theta - before
        # along the negative gradient of the user's loss also when maximising: gradients here are those of the descent
        rise = evaluation.total - old.total
        scale = float(np.linalg.norm(old.slope)) / max(float(np.linalg.norm(old.gradient)), 1e-300)
        bound = scale * (float(old.gradient @ d) + float(d @ d) / (2.0 * rate))
        if abs(rise) <= DROWNED * abs(old.total):
            rise = scale * 0.5 * float((old.gradient + evaluation.gradient) @ d)
        if evaluation.finite and rise <= bound:
            return self._propose(evaluation, inner_after, theta, rate * 1.2, step, epoch)
        rate /= 2.0
        if rate < SMALLEST_RATE or rate * float(np.linalg.norm(old.gradient)) <= 1e-16 * max(
            float(np.linalg.norm(before)), 1e-300
        ):
            return before, State(False, "no step, however small, lowers the loss any further", state.memory)
        proposal, new = self._propose(old, inner, before, rate, step - 1, epoch - 1)  # the same step once more
        return proposal, replace(new, accepted=False)

    def _propose(
        self, evaluation: Evaluation, inner: State, theta: Array, rate: float, step: int, epoch: int
    ) -> tuple[Array, State]:
        proposal, after = self.inner.with_rate(rate).update(evaluation, inner, theta, step, epoch)
        still = not evaluation.gradient.any() and np.array_equal(proposal, theta)  # the rate would grow for ever
        return proposal, State(True, "the gradient is zero" * still, (evaluation, theta, inner, rate, after))


def first_order(text: str, rate: float | str | None) -> FirstOrder | None:
    """A method from its name, `name(number=...)` or the text of a rule; None if the text is neither.

    A rate of None stays open (nan) where the curvature decides it. Raises FitError or FormulaError.
    """
    if re.match(r"\s*[^\W\d]\w*\s*=(?!=)", text):
        read_rule(text, {})
        if rate is None:
            raise FitError("an update rule of your own needs a rate: rate=0.01, or a formula of step and epoch")
        return FirstOrder("rule", Rule(text, {}, None, "the user's"), {}, Schedule.read(rate))
    match = CALL.fullmatch(text)
    if match is None or match[1] not in RULES:
        return None
    rule = RULES[match[1]]
    numbers = {**rule.numbers, **call_numbers(text, match[2], rule.numbers)}
    chosen = rule.rate if rate is None else rate
    return FirstOrder(match[1], rule, numbers, Schedule(float("nan")) if chosen is None else Schedule.read(chosen))


def call_numbers(text: str, arguments: str | None, known: Mapping[str, float]) -> dict[str, float]:
    """The numbers of a call such as `adam(beta1=0.8, beta2=0.99)`."""
    numbers: dict[str, float] = {}
    for part in (arguments or "").split(","):
        if not part.strip():
            continue
        name, sign, value = (word.strip() for word in part.partition("="))
        if not sign or name not in known:
            listed = ", ".join(f"{n}={v:g}" for n, v in known.items()) or "no numbers"
            raise FitError(f"{text}: {name} is not one of its numbers; it takes {listed}")
        try:
            number = float(value)
        except ValueError:
            raise FitError(f"{text}: {value!r} is not a number") from None
        if not math.isfinite(number):
            raise FitError(f"{text}: {value!r} is not a finite number")
        if name in numbers:
            raise FitError(f"{text}: {name} is given twice")
        numbers[name] = number
    return numbers


def read_rule(text: str, numbers: Mapping[str, float]) -> tuple[Formula, list[tuple[str, int]]]:
    """Parse and check the text of a rule: what may be assigned, what must be given."""
    formula, assigned = parse_rule(text)
    targets = [name for name, _ in assigned]
    for name in targets:
        if name in RESERVED and name != "theta":
            raise formula.error(f"{name} is given to the rule and cannot be assigned", name)
        if name in numbers:
            raise formula.error(f"{name} is a number of the call and cannot be assigned", name)
    if "theta" not in targets:
        raise formula.error("the rule assigns no theta", mend="as in theta = theta - rate*g")
    for name in formula.names:
        if name not in RESERVED and name not in targets and name not in numbers:
            raise formula.error(
                f"{name} is neither given nor assigned", name, f"write its number; given are {', '.join(RESERVED)}"
            )
    return formula, assigned
