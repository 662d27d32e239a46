"""One conformance test for all update rules: NumPy loops of the published algorithms (PyTorch's definitions)."""

import math

import numpy as np
import pytest

import steepest
from steepest import Stop

STEPS = 200
A = np.array([[3.0, 0.5], [0.5, 0.8]])
B = np.array([1.0, -2.0])

#: text, gradient in NumPy, start, rate that suits gd
PROBLEMS = {
    "quadratic": (
        "0.5*(3*x**2 + 2*0.5*x*y + 0.8*y**2) - x + 2*y",
        lambda t: A @ t - B,
        [4.0, 3.0],
        0.05,
    ),
    "rosenbrock": (
        "100*(y - x**2)**2 + (1 - x)**2",
        lambda t: np.array([-400 * t[0] * (t[1] - t[0] ** 2) - 2 * (1 - t[0]), 200 * (t[1] - t[0] ** 2)]),
        [-1.2, 1.0],
        2e-4,
    ),
}


def gd(t, gradient, rate, k):
    while True:
        t = t - rate(k) * gradient(t)
        k += 1
        yield t


def momentum(t, gradient, rate, k, mu=0.9):
    """torch.optim.SGD(momentum=mu, dampening=0)."""
    buffer = np.zeros_like(t)
    while True:
        buffer = mu * buffer + gradient(t)
        t = t - rate(k) * buffer
        k += 1
        yield t


def nesterov(t, gradient, rate, k, mu=0.9):
    """torch.optim.SGD(momentum=mu, nesterov=True)."""
    buffer = np.zeros_like(t)
    while True:
        g = gradient(t)
        buffer = mu * buffer + g
        t = t - rate(k) * (g + mu * buffer)
        k += 1
        yield t


def adagrad(t, gradient, rate, k, eps=1e-10):
    """torch.optim.Adagrad(lr_decay=0)."""
    total = np.zeros_like(t)
    while True:
        g = gradient(t)
        total = total + g * g
        t = t - rate(k) * g / (np.sqrt(total) + eps)
        k += 1
        yield t


def rmsprop(t, gradient, rate, k, alpha=0.9, eps=1e-8):
    """torch.optim.RMSprop, alpha 0.9 as in Tieleman and Hinton's lecture."""
    average = np.zeros_like(t)
    while True:
        g = gradient(t)
        average = alpha * average + (1 - alpha) * g * g
        t = t - rate(k) * g / (np.sqrt(average) + eps)
        k += 1
        yield t


def adam(t, gradient, rate, k, beta1=0.9, beta2=0.999, eps=1e-8):
    """torch.optim.Adam; Kingma and Ba, algorithm 1."""
    m, v = np.zeros_like(t), np.zeros_like(t)
    while True:
        g = gradient(t)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        t = t - rate(k) * (m / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + eps)
        k += 1
        yield t


#: what is typed -> the loop, and the rate as a multiple of the problem's
RULES = {
    "gd": (gd, 1.0),
    "momentum": (momentum, 0.1),
    "nesterov": (nesterov, 0.1),
    "adagrad": (adagrad, 100.0),
    "rmsprop": (rmsprop, 0.3),
    "adam": (adam, 20.0),
    "momentum(beta=0.5)": (lambda *a: momentum(*a, mu=0.5), 0.5),
    "nesterov(beta=0.95)": (lambda *a: nesterov(*a, mu=0.95), 0.05),
    "adagrad(epsilon=0.1)": (lambda *a: adagrad(*a, eps=0.1), 100.0),
    "rmsprop(beta=0.99, epsilon=1e-6)": (lambda *a: rmsprop(*a, alpha=0.99, eps=1e-6), 0.3),
    "adam(beta1=0.8)": (lambda *a: adam(*a, beta1=0.8), 20.0),
    " adam ( beta2 = 0.9 , epsilon=1e-3 ) ": (lambda *a: adam(*a, beta2=0.9, eps=1e-3), 20.0),
    "theta = theta - rate*g": (gd, 1.0),
    "v = 0.9*v + g; theta = theta - rate*v": (momentum, 0.1),
    "m = 0.9*m + 0.1*g; s = 0.999*s + 0.001*g^2; "
    "theta = theta - rate*(m/(1 - 0.9^step))/(sqrt(s/(1 - 0.999^step)) + 1e-8)": (adam, 20.0),
}


def run(method, problem, rate, steps=STEPS, **options):
    text, _, start, _ = PROBLEMS[problem]
    return steepest.minimize(
        text,
        dict(zip("xy", start, strict=True)),
        method=method,
        rate=rate,
        stop=Stop(steps=steps),
        trace=True,
        **options,
    )


def path(fit):
    return fit.trace.values[:, [fit.trace.names.index(n) for n in "xy"]]


def expected(loop, problem, rate, steps=STEPS):
    _, gradient, start, _ = PROBLEMS[problem]
    schedule = rate if callable(rate) else lambda k: rate
    points = loop(np.array(start), gradient, schedule, 1)
    return np.array([start, *(next(points) for _ in range(steps))])


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("method", RULES)
def test_a_rule_takes_the_steps_of_the_published_algorithm(method, problem):
    loop, factor = RULES[method]
    rate = PROBLEMS[problem][3] * factor
    found = path(run(method, problem, rate))
    right = expected(loop, problem, rate)
    assert np.isfinite(right).all()
    assert np.ptp(right) > 1e-3
    np.testing.assert_allclose(found, right, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("method", "default"), [("adam", 0.001), ("rmsprop", 0.001), ("adagrad", 0.01)])
def test_adaptive_methods_without_a_rate_take_their_published_default(method, default):
    found = path(run(method, "quadratic", None))
    np.testing.assert_allclose(found, expected(RULES[method][0], "quadratic", default), rtol=1e-9)


@pytest.mark.parametrize("method", ["gd", "momentum", "adam"])
def test_maximize_takes_the_same_steps_uphill(method):
    loop, factor = RULES[method]
    text, gradient, start, rate = PROBLEMS["quadratic"]
    fit = steepest.maximize(
        f"-({text})",
        dict(zip("xy", start, strict=True)),
        method=method,
        rate=rate * factor,
        stop=Stop(steps=50),
        trace=True,
    )
    points = loop(np.array(start), gradient, lambda k: rate * factor, 1)
    np.testing.assert_allclose(path(fit)[1:], [next(points) for _ in range(50)], rtol=1e-9)


@pytest.mark.parametrize("method", ["gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"])
def test_a_step_is_projected_onto_the_bounds(method):
    loop, factor = RULES[method]
    _, gradient, start, rate = PROBLEMS["quadratic"]
    fit = run(method, "quadratic", rate * factor, bounds={"x": (0.5, 10), "y": (-1, None)})
    low = np.array([0.5, -1.0])
    # the state is the rule's own; only theta is projected, so the loop is written out for the first step alone
    first = np.maximum(next(loop(np.array(start), gradient, lambda k: rate * factor, 1)), low)
    np.testing.assert_allclose(path(fit)[1], first, rtol=1e-10)
    assert (path(fit) >= low).all()


def test_projected_gradient_descent_is_the_loop_with_a_maximum():
    fit = run("gd", "quadratic", 0.1, bounds={"x": (0.5, None), "y": (-1, None)})
    at, points = np.array([4.0, 3.0]), [np.array([4.0, 3.0])]
    for _ in range(STEPS):
        at = np.maximum(at - 0.1 * (A @ at - B), [0.5, -1])
        points.append(at)
    np.testing.assert_allclose(path(fit), points, rtol=1e-10)


# schedules -------------------------------------------------------------------------------------------------------
SCHEDULES = {
    "0.1/(1 + 0.01*step)": lambda k: 0.1 / (1 + 0.01 * k),
    "0.1*0.99**epoch": lambda k: 0.1 * 0.99 ** (k - 1),
    "0.05*(1 + cos(pi*step/200))": lambda k: 0.05 * (1 + math.cos(math.pi * k / 200)),
    "where(step <= 10, 0.1, 0.01)": lambda k: 0.1 if k <= 10 else 0.01,
    "min(0.1, 1/step)": lambda k: min(0.1, 1 / k),
    "0.05": lambda k: 0.05,
    "1/20": lambda k: 0.05,
}


@pytest.mark.parametrize("text", SCHEDULES)
def test_a_schedule_is_a_formula_of_step_from_one_and_epoch_from_zero(text):
    found = path(run("gd", "quadratic", text))
    np.testing.assert_allclose(found, expected(gd, "quadratic", SCHEDULES[text]), rtol=1e-8, atol=1e-12)


def test_epoch_counts_readings_of_all_rows_and_step_counts_updates():
    data = {"t": np.ones(6)}
    fit = steepest.fit(
        "(t - m)**2 + 0*t",
        data,
        method="theta = theta + rate + 0*g",
        rate="100*epoch + step",
        batch=2,
        start={"m": 0},
        stop=Stop(passes=3),
        trace=True,
    )
    moves = np.diff(fit.trace.values[:, 0])
    assert moves.tolist() == [1, 2, 3, 104, 105, 106, 207, 208, 209]


def test_a_rule_may_read_step_epoch_loss_and_keep_state_from_zero():
    rule = "n = n + 1; theta = theta + 0*rate*g + 1e-5*(n + 10*step + 100*epoch + 1000*loss)"
    fit = steepest.minimize("(x - 1)**2", {"x": 3}, method=rule, rate=1.0, stop=Stop(steps=2), trace=True)
    x1 = 3 + 1e-5 * (1 + 10 + 0 + 1000 * 4)
    x2 = x1 + 1e-5 * (2 + 20 + 100 + 1000 * (x1 - 1) ** 2)
    np.testing.assert_allclose(fit.trace.values[:, 0], [3, x1, x2], rtol=1e-12)


def test_assignments_act_in_order():
    fit = steepest.minimize(
        "x**2",
        {"x": 1},
        method="a = 2; b = a + 1; a = b*10; theta = theta + 0*rate*g + a + b",
        rate=1.0,
        stop=Stop(steps=1),
    )
    assert fit.values["x"] == 1 + 30 + 3


def test_state_is_one_number_for_each_parameter():
    fit = run("s = s + abs(g); theta = theta - rate*g/(1 + s)", "quadratic", 0.5)
    at, s, points = np.array([4.0, 3.0]), np.zeros(2), []
    for _ in range(STEPS):
        g = A @ at - B
        s = s + abs(g)
        at = at - 0.5 * g / (1 + s)
        points.append(at)
    np.testing.assert_allclose(path(fit)[1:], points, rtol=1e-10)


# errors ----------------------------------------------------------------------------------------------------------
RULE_ERRORS = {
    "theta = theta - rate*gg": (
        "gg is neither given nor assigned\n"
        "  theta = theta - rate*gg\n"
        "                       ^^\n"
        "write its number; given are g, theta, rate, step, epoch, loss"
    ),
    "v = v + g": "the rule assigns no theta\nas in theta = theta - rate*g",
    "g = 2; theta = theta - rate*g": (
        "g is given to the rule and cannot be assigned\n  g = 2; theta = theta - rate*g\n  ^"
    ),
    "rate = 3; theta = theta - rate*g": (
        "rate is given to the rule and cannot be assigned\n  rate = 3; theta = theta - rate*g\n  ^^^^"
    ),
    "v = beta*v + g; theta = theta - rate*v": (
        "beta is neither given nor assigned\n"
        "  v = beta*v + g; theta = theta - rate*v\n"
        "      ^^^^\n"
        "write its number; given are g, theta, rate, step, epoch, loss"
    ),
    "adam(beta3=1)": "adam(beta3=1): beta3 is not one of its numbers; it takes beta1=0.9, beta2=0.999, epsilon=1e-08",
    "adam(beta1=x)": "adam(beta1=x): 'x' is not a number",
    "gd(beta=1)": "gd(beta=1): beta is not one of its numbers; it takes no numbers",
}


@pytest.mark.parametrize("text", RULE_ERRORS)
def test_a_rule_that_cannot_be_used_shows_the_place_and_the_mend(text):
    with pytest.raises(steepest.SteepestError) as error:
        run(text, "quadratic", 0.1)
    assert str(error.value) == RULE_ERRORS[text]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "theta == g",
        "theta = ",
        "theta = theta - rate*sin(",
        "theta[0] = 1",
        "theta += g",
        "v, theta = 1, 2",
        "theta = x @ g",
        "Adam",
        "adam(",
        "adam(0.9)",
        "theta = theta - rate*g; import os",
        "theta = __import__('os')",
        "theta = theta.T",
        "theta = (lambda: 1)()",
        "momentum(beta=nan)",
        "momentum(beta=inf)",
        "adam(beta1=0.9, beta1=0.8)",
        "theta = g = 1",
        "= g",
        ";",
        "theta = [g, g]",
    ],
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(steepest.SteepestError):
        run(text, "quadratic", 0.1)


def test_a_rule_of_ones_own_needs_a_rate():
    with pytest.raises(steepest.FitError, match="needs a rate"):
        run("theta = theta - rate*g", "quadratic", None)


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ("0.1*zeta", "zeta is neither step nor epoch"),
        ("-0.1", "positive"),
        ("0.1/(step - 2)", "-0.1 at step 1, epoch 0"),
        ("0.1 - 0.05*step", "at step 3, epoch 2"),
        ("1/0", "not a finite number"),
        ("0.1*step**1000", "inf at step 3"),
        ("nan", "neither"),
        ("", "empty|nothing|missing|formula"),
        ("2 = 3", "="),
        ("0.1 = step", "="),
        pytest.param(10**400, "positive number", id="10**400"),
        ([0.1], "positive number"),
        (1j, "positive number"),
    ],
)
def test_a_rate_that_cannot_be_used_is_refused(rate, words):
    with pytest.raises(steepest.SteepestError, match=words):
        run("gd", "quadratic", rate)


@pytest.mark.parametrize("method", ["momentum", "adam", "gd"])
def test_mini_batches_of_a_model_that_is_not_linear_need_a_rate(method):
    data = {"x": np.linspace(0, 1, 9), "y": np.linspace(1, 2, 9)}
    if method == "adam":
        assert steepest.fit("y = exp(a*x)", data, method=method, batch=2, stop=Stop(steps=2)).steps == 2
        return
    with pytest.raises(steepest.FitError, match="needs a rate"):
        steepest.fit("y = exp(a*x)", data, method=method, batch=2)


# backtracking ----------------------------------------------------------------------------------------------------
NONCONVEX = {
    "rosenbrock": ("100*(y - x**2)**2 + (1 - x)**2", {"x": -1.2, "y": 1.0}),
    "himmelblau": ("(x**2 + y - 11)**2 + (x + y**2 - 7)**2", {"x": 0.0, "y": 0.0}),
    "exponential": ("exp(x + 3*y - 0.1) + exp(x - 3*y - 0.1) + exp(-x - 0.1)", {"x": -4.0, "y": 1.0}),
    "steep": ("exp(8*x) - x", {"x": 3.0}),
    "flat": ("log(1 + 1e-4*x**2)", {"x": 50.0}),
    "fourth": ("x**4 + 1e4*y**4", {"x": 3.0, "y": 2.0}),
    "edge of a domain": ("-log(x) - log(1 - x) + 5*x", {"x": 0.999}),
    "root": ("sqrt(1 + x**2) + 1e3*sqrt(1e-6 + y**2)", {"x": 8.0, "y": 1.0}),
}


@pytest.mark.parametrize("name", NONCONVEX)
def test_gradient_descent_without_a_rate_never_raises_the_loss(name):
    text, start = NONCONVEX[name]
    fit = steepest.minimize(text, start, method="gd", stop=Stop(steps=300), trace=True)
    assert ("1/L, safe" if name in ("flat", "root") else "tested, not proved") in fit.why
    drops = np.diff(fit.trace.loss)
    assert (drops <= 1e-13 * np.abs(fit.trace.loss[:-1])).all()
    assert fit.trace.loss[-1] < fit.trace.loss[0]


@pytest.mark.parametrize("name", NONCONVEX)
def test_gradient_ascent_without_a_rate_never_lowers_the_function(name):
    text, start = NONCONVEX[name]
    fit = steepest.maximize(f"-({text})", start, method="gd", stop=Stop(steps=100), trace=True)
    assert (np.diff(fit.trace.loss) >= -1e-13 * np.abs(fit.trace.loss[:-1])).all()


def test_without_a_rate_rmse_descends_by_trial():
    x = np.linspace(0, 1, 12)
    fit = steepest.fit(
        "y = a + b*x", {"x": x, "y": 1 + 2 * x + 0.1 * np.cos(20 * x)}, loss="rmse", method="gd", trace=True
    )
    assert "tested, not proved" in fit.why
    assert (np.diff(fit.trace.loss) <= 1e-13).all()
    assert fit.status == "converged", fit.message


@pytest.mark.parametrize("method", ["gd", "momentum", "nesterov"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_rate_by_trial_works_in_any_units_of_the_loss(method, scale):
    fit = steepest.minimize(f"{scale}*((x - 1)**2 + 0.2*x**4)", {"x": 4.0}, method=method)
    assert fit.status == "converged", fit.message
    root = np.roots([0.8, 0, 2, -2])
    assert fit.values["x"] == pytest.approx(float(root[np.isreal(root)].real[0]), rel=1e-5)
