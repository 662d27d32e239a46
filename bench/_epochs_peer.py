"""One peer in a process of its own: an epoch of batches, or seconds to the minimum, as one line of JSON.

python bench/_epochs_peer.py CONTENDER TASK ROWS ROUNDS
TASK: an epoch (`gd in order`, `adam shuffled`, ...) or a model (`linear`, `logistic`)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from _epochs_data import BATCH, RATES, excess, hold_to_one_core, logistic, regression
from _timing import answer, in_turn, seconds, versions

Epoch = Callable[[], np.ndarray]
SMALL = 1e-4  # norm of the gradient at which a minimum is near enough
TORCH_ROWS = 32_000  # a loop of Python takes seconds for a million: measured on these, and scaled


def jax_epoch(X: np.ndarray, y: np.ndarray, rule: str, shuffled: bool) -> Epoch:
    """`lax.scan` over the batches, compiled; the order comes from NumPy, whose permutation is faster."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    rows = len(y) // BATCH * BATCH
    rate = RATES[rule]

    def step(carry: Any, batch: Any) -> Any:
        theta, m, s, k = carry
        A, b = batch
        g = jax.grad(lambda t: 0.5 * jnp.mean((A @ t - b) ** 2))(theta)
        if rule == "gd":
            return (theta - rate * g, m, s, k), None
        k, m, s = k + 1, 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        return (theta - rate * (m / (1 - 0.9**k)) / (jnp.sqrt(s / (1 - 0.999**k)) + 1e-8), m, s, k), None

    def begun() -> Any:
        zero = jnp.zeros(X.shape[1])
        return zero, zero, zero, 0.0

    A, b = jnp.asarray(X[:rows]).reshape(-1, BATCH, X.shape[1]), jnp.asarray(y[:rows]).reshape(-1, BATCH)
    ordered = jax.jit(lambda A, b: jax.lax.scan(step, begun(), (A, b))[0][0])
    flat, right = jnp.asarray(X), jnp.asarray(y)
    gathered = jax.jit(lambda A, b, order: jax.lax.scan(lambda c, i: step(c, (A[i], b[i])), begun(), order)[0][0])
    random = np.random.default_rng(0)
    if not shuffled:
        return lambda: np.asarray(ordered(A, b))
    return lambda: np.asarray(gathered(flat, right, random.permutation(len(y))[:rows].reshape(-1, BATCH)))


def torch_epoch(X: np.ndarray, y: np.ndarray, rule: str, shuffled: bool) -> Epoch:
    """The loop of the manuals, without a loader."""
    import torch

    torch.set_num_threads(1)
    A, b = torch.from_numpy(X), torch.from_numpy(y)

    def epoch() -> np.ndarray:
        theta = torch.zeros(X.shape[1], dtype=torch.float64, requires_grad=True)
        make = torch.optim.SGD if rule == "gd" else torch.optim.Adam
        optimizer = make([theta], lr=RATES[rule])
        order = torch.randperm(len(y)) if shuffled else None
        for first in range(0, len(y), BATCH):
            chosen = slice(first, first + BATCH) if order is None else order[first : first + BATCH]
            optimizer.zero_grad()
            loss = 0.5 * ((A[chosen] @ theta - b[chosen]) ** 2).mean()
            loss.backward()
            optimizer.step()
        return theta.detach().numpy()

    return epoch


def torch_minimum(model: str, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Full-batch L-BFGS with a line search."""
    import torch

    A, b = torch.from_numpy(X), torch.from_numpy(y)
    theta = torch.zeros(X.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([theta], max_iter=100, tolerance_grad=SMALL, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        z = A @ theta
        rows = 0.5 * (z - b) ** 2 if model == "linear" else torch.nn.functional.softplus(z) - b * z
        loss = rows.mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return theta.detach().numpy()


Minimum = Callable[[np.ndarray, np.ndarray], Callable[[], np.ndarray]]


def jax_minimum(model: str, second: bool) -> Minimum:
    """Full-batch L-BFGS of optax with its zoom line search, or Newton's method; the whole loop compiled."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def loss(theta: Any, A: Any, b: Any) -> Any:
        z = A @ theta
        return jnp.mean(0.5 * (z - b) ** 2 if model == "linear" else jnp.logaddexp(0.0, z) - b * z)

    def newton(A: Any, b: Any) -> Any:
        def step(state: Any) -> Any:
            theta, g, k = state
            theta = theta - jnp.linalg.solve(jax.hessian(loss)(theta, A, b), g)
            return theta, jax.grad(loss)(theta, A, b), k + 1

        zero = jnp.zeros(A.shape[1])
        begun = zero, jax.grad(loss)(zero, A, b), 0
        return jax.lax.while_loop(lambda s: (jnp.linalg.norm(s[1]) > SMALL) & (s[2] < 100), step, begun)[0]

    def lbfgs(A: Any, b: Any) -> Any:
        import optax

        solver = optax.lbfgs()
        both = optax.value_and_grad_from_state(lambda t: loss(t, A, b))

        def step(state: Any) -> Any:
            theta, inner, _, k = state
            value, g = both(theta, state=inner)
            moved, inner = solver.update(g, inner, theta, value=value, grad=g, value_fn=lambda t: loss(t, A, b))
            theta = optax.apply_updates(theta, moved)
            return theta, inner, jnp.linalg.norm(optax.tree_utils.tree_get(inner, "grad")), k + 1

        zero = jnp.zeros(A.shape[1])
        begun = zero, solver.init(zero), jnp.inf, 0
        return jax.lax.while_loop(lambda s: (s[2] > SMALL) & (s[3] < 100), step, begun)[0]

    run = jax.jit(newton if second else lbfgs)
    return lambda X, y: lambda: np.asarray(run(jnp.asarray(X), jnp.asarray(y)))


def epoch(contender: str, task: str, rows: int, rounds: int) -> dict[str, Any]:
    hold_to_one_core()
    rule, _, way = task.partition(" ")
    measured = rows if contender == "JAX, scan" else min(rows, TORCH_ROWS)
    X, y = regression(measured)
    call = {"JAX, scan": jax_epoch, "PyTorch, loop": torch_epoch}[contender](X, y, rule, way == "shuffled")
    theta = call()
    time = in_turn({"": call}, rounds, again=False)[""]
    return {"time": time * rows / measured, "rows": measured, "theta": theta.tolist(), "versions": versions()}


def minimum(contender: str, task: str, rows: int, rounds: int) -> dict[str, Any]:
    """The data are in place, and what is compiled is compiled for their shape."""
    X, y = {"linear": regression, "logistic": logistic}[task](rows)
    make: dict[str, Callable[[], Minimum]] = {
        "PyTorch, L-BFGS": lambda: lambda X, y: lambda: torch_minimum(task, X, y),
        "JAX, L-BFGS (optax)": lambda: jax_minimum(task, second=False),
        "JAX, Newton": lambda: jax_minimum(task, second=True),
    }
    call = make[contender]()(X, y)
    call()
    found: list[np.ndarray] = []
    times = [seconds(lambda: found.append(call())) for _ in range(min(rounds, 3))]
    return {"time": sorted(times)[len(times) // 2], "excess": excess(task, X, y, found[-1]), "versions": versions()}


def measured(contender: str, task: str, rows: int, rounds: int) -> dict[str, Any]:
    try:
        if task in ("linear", "logistic"):
            return minimum(contender, task, rows, rounds)
        return epoch(contender, task, rows, rounds)
    except ImportError:
        return {"absent": "not installed"}


if __name__ == "__main__":
    answer(measured)
