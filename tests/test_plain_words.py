"""What a newcomer stumbled over: each answer says what is the matter, and the mend."""

import numpy as np
import pytest

import steepest
from steepest import Stop

T = np.linspace(300.0, 400.0, 20)
K = 1e13 * np.exp(-80_000 / (8.314 * T))


def test_a_start_on_a_plateau_is_blamed_on_the_start_and_not_on_the_data():
    fit = steepest.fit("k = A*exp(-E/(0.008314*T))", {"k": K, "T": T}, start={"A": 1e13, "E": 8e4})
    assert fit.status == "stopped" and fit.exit_status == 1
    assert "at the start no row depends on A, E" in fit.message
    assert "unidentifiable" not in fit.text()


@pytest.mark.parametrize("formula", ["exp(-x)", "exp(-x) + y**2"])
def test_a_function_that_levels_off_is_not_called_converged(formula):
    fit = steepest.minimize(formula, stop=Stop(steps=3000))
    assert fit.status in ("stopped", "diverged"), fit.message


@pytest.mark.parametrize("formula", ["x**4", "(x + y)**2", "x**2 + 0*y", "(x*y)**2 + x**4"])
def test_a_flat_minimum_is_still_one(formula):
    assert steepest.minimize(formula, {"x": 1.0}).status == "converged"


def test_a_maximum_is_called_a_maximum():
    fit = steepest.maximize("3 - (x - 2)**2", {"x": 10})
    assert fit.ok and "maximum" in fit.message and "minimum" not in fit.message
    endless = steepest.maximize("x", stop=Stop(steps=2000))
    assert endless.status == "diverged" and "it rises without bound" in endless.message


def test_a_kink_is_said_where_the_method_is_chosen():
    fit = steepest.minimize("abs(x - 1)*abs(x + 2)")
    assert "abs makes a kink" in fit.why and "smooth" not in fit.why
    assert "a step ends on the kinks" in steepest.minimize("abs(x - 1) + abs(x + 2)").why


def test_a_sigma_beside_a_likelihood_is_refused():
    with pytest.raises(steepest.FitError, match="write the sigma into it"):
        steepest.fit("exp(a) - k*a", {"k": [1, 2, 3]}, sigma=2)


def test_a_logarithm_of_a_column_is_mended_by_where_and_not_by_a_start():
    with pytest.raises(steepest.FitError, match="leave the row out by where"):
        steepest.fit("y = a + b*log(x)", {"x": [0.0, 1.0, 2.0], "y": [1.0, 2.0, 3.0]})


def test_a_forgotten_left_side_is_recognised_when_the_loss_falls_without_bound():
    fit = steepest.fit("a*x + b", {"x": [1.0, 2.0], "y": [1.0, 2.0]})
    assert fit.status == "diverged" and "was y = ... meant?" in fit.message


def test_ctrl_c_in_sgd_keeps_the_work_done_within_the_first_epoch():
    random = np.random.default_rng(0)
    x = random.normal(size=2_000)
    data = {"x": x, "y": 3 * x + 1 + 0.1 * random.normal(size=2_000)}

    def stop(step):
        if step.number == 1_500:
            raise KeyboardInterrupt

    fit = steepest.fit("y = a*x + b", data, start={"a": 0, "b": 0}, method="sgd", rate=0.02, callbacks=[stop])
    assert fit.status == "interrupted"
    assert abs(fit.values["a"] - 3) < 0.1 and abs(fit.values["b"] - 1) < 0.1


def test_a_warning_points_at_the_line_of_the_caller():
    with pytest.warns(UserWarning, match="above") as caught:
        steepest.fit("y = a*x", {"x": [1.0, 2.0], "y": [1.0, 2.0]}, method="gd", rate=50, stop=Stop(steps=2))
    assert caught[0].filename == __file__


def test_a_fit_and_a_function_show_themselves_in_a_session():
    fit = steepest.fit("y = a*x", {"x": [1.0, 2.0], "y": [1.0, 2.5]})
    assert repr(fit) == fit.text()
    assert repr(steepest.function("x**2 + y")) == "Function of x, y: x**2 + y"


def test_a_right_side_without_columns_and_a_power_without_its_sign_are_noted():
    data = {"time": [1.0, 2.0, 3.0, 4.0], "y": [1.0, 4.1, 9.0, 16.2]}
    blind = steepest.fit("y = a*tt + b", data)
    assert "no column stands on the right-hand side; columns that are not used: time" in blind.notes
    square = steepest.fit("y = a*time2 + b*time", data)
    assert any("a power is written time**2" in note for note in square.notes)
    assert steepest.fit("y = c", data).notes == ()


def test_a_column_with_an_odd_name_is_told_to_stand_in_backticks():
    data = {"time [s]": [1.0, 2.0, 3.0], "signal (mV)": [2.0, 4.0, 6.1]}
    with pytest.raises(steepest.FormulaError, match=r"put it in backticks: `time \[s\]`"):
        steepest.fit("`signal (mV)` = a*time [s]", data)
