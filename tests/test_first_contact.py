"""The likeliest mistakes of a newcomer, with what is printed, in full: in the terminal and in Python.

`mend` is the part of the text that says what to do instead. `NONE` marks a text that has none yet: a better one is
wanted, and replaces the golden text when it comes. Three entries are no mistakes here (`^`, `ln`, no start): they work.
"""

# ruff: noqa: E501 (the texts stand as they are printed)

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import steepest
from steepest.cli.main import main

TABLES = {
    "decay.csv": """\
time,temp,signal,site
0,20,6.0,s0
1,21,4.704,s1
2,22,3.744,s2
3,23,3.033,s0
4,24,2.506,s1
5,25,2.116,s2
6,26,1.826,s0
7,27,1.612,s1
8,28,1.454,s2
9,29,1.336,s0
10,30,1.249,s1
11,31,1.184,s2
""",
    "units.csv": """\
time [s],signal (mV)
0,6
1,4.7
2,3.8
3,3.1
""",
    "german.csv": """\
time;signal
0,0;6,1
0,5;5,2
1,0;4,7
1,5;4,2
""",
    "flat.csv": """\
time,signal
2,6.1
2,5.9
2,6.0
2,6.2
""",
    "few.csv": """\
time,signal
0,6.0
1,4.7
""",
    "angles.csv": """\
angle,force
0,0.0
10,0.3473
20,0.684
30,1.0
40,1.2856
50,1.5321
60,1.7321
70,1.8794
80,1.9696
90,2.0
""",
    "percent.csv": """\
time,humidity
0,45%
1,47%
2,52%
3,50%
""",
}
NONE = ""


@dataclass(frozen=True)
class Mistake:
    """The words after `steepest fit`, and what is printed; `options` say the same in Python.

    status: the exit status of a run; error: what Python raises, the terminal then exits with 2. in_python: the message
    of the exception where it is another one, with its own mend.
    """

    title: str
    words: list[str]
    mend: str
    printed: str
    status: int = 2
    error: type[Exception] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    in_python: str = ""
    mend_in_python: str = ""


MISTAKES = [
    Mistake(
        "a misspelt column",
        ["signal = a*exp(-b*timr) + c", "decay.csv"],
        mend="did you mean the column time?",
        error=steepest.FormulaError,
        printed="""\
error: timr is not a column
  signal = a*exp(-b*timr) + c
                    ^^^^
did you mean the column time? If timr is a parameter, say parameters=['timr']
""",
    ),
    Mistake(
        "a column in the wrong case",
        ["signal = a*exp(-b*Time) + c", "decay.csv"],
        mend="did you mean the column time?",
        error=steepest.FormulaError,
        printed="""\
error: Time is not a column
  signal = a*exp(-b*Time) + c
                    ^^^^
did you mean the column time? If Time is a parameter, say parameters=['Time']
""",
    ),
    Mistake(
        "a missing operator",
        ["signal = 2a*time + b", "decay.csv"],
        mend="write 2*a",
        error=steepest.FormulaError,
        printed="""\
error: a sign is missing between the two
  signal = 2a*time + b
           ^^
write 2*a for a product
""",
    ),
    Mistake(
        "a missing operator before a parenthesis",
        ["signal = a(time - b)", "decay.csv"],
        mend="write a*(...)",
        error=steepest.FormulaError,
        printed="""\
error: a is not a function that steepest knows
  signal = a(time - b)
           ^
write a*(...) for a product
""",
    ),
    Mistake(
        "a caret for a power",
        ["signal = a*time^2 + b", "decay.csv"],
        mend="converged",
        status=0,
        printed="""\
signal = a*time^2 + b
converged: the minimum: the loss is a convex quadratic

parameter    value   error      t        p  95 % interval
a          -0.0291  0.0074  -3.94   0.0028  -0.0456 to -0.0127
b             3.79   0.427   8.88  4.7e-06  2.84 to 4.74

s 1.01 on 10 degrees of freedom, R² 0.608 (adjusted 0.5688)
log-likelihood -16.0533, AIC 38.1066, BIC 39.5613
loss 0.4250801283 (squares), rms 0.922041, 12 rows, gauss-newton: 1 step, 2 passes, 0.00411 s
method: gauss-newton, because the loss is a sum of squared residuals; it is a quadratic, so one step reaches its minimum
data: signal, time; parameters: a, b
no start was given for a, b: began at 1
correlations: a b -0.731
""",
    ),
    Mistake(
        "no start",
        ["signal = a*exp(b*time) + c", "decay.csv"],
        mend=NONE,
        status=0,
        printed="""\
signal = a*exp(b*time) + c
converged: a local minimum; that no other is lower is not proved; 8 of 8 starts end in it

parameter      value     error       t       p  95 % interval
a            5.00011  0.000297  16,822  <1e-16  4.99943 to 5.00078
b          -0.299972  4.95e-05  -6,059  <1e-16  -0.300084 to -0.299860
c            0.99983   0.00025   4,006  <1e-16  0.99926 to 1.00039

s 0.00029527 on 9 degrees of freedom, R² 0.99999996985 (adjusted 0.99999996315)
log-likelihood 82.2302, AIC -156.46, BIC -154.521
loss 3.269431921e-08 (squares), rms 0.000255712, 12 rows, gauss-newton: 1 step, 8 passes, 0.0126 s
method: gauss-newton, because the loss is a sum of squared residuals; a, c are solved exactly at each step
data: signal, time; parameters: a, b, c
start found for a, b, c
correlations: a b 0.228, a c -0.551, b c -0.867
""",
    ),
    Mistake(
        "a rate that is too large",
        ["signal = a*time + b", "decay.csv", "--method", "gd", "--rate", "1"],
        mend="0.02332 is safe",
        status=1,
        printed="""\
warning: the rate 1 is above 0.04663, beyond which gd diverges on this quadratic loss: its curvature is 42.89 (reduce='mean'); 0.02332 is safe
signal = a*time + b
diverged: the loss has run away after 3 steps; the rate 1 is above 2/L = 0.04663; 0.02332 is safe; condition 154; standardised 1: --scale auto; the best point is kept

parameter  value
a              1
b              1

loss 19.44822592 (squares), rms 6.2367, 12 rows, gd: 3 steps, 7 passes, 0.00155 s
method: gd on all rows, as asked
data: signal, time; parameters: a, b
no start was given for a, b: began at 1
no errors: errors hold only at a minimum
the rate 1 is above 0.04663, beyond which gd diverges on this quadratic loss: its curvature is 42.89 (reduce='mean'); 0.02332 is safe
""",
        options={"method": "gd", "rate": 1},
    ),
    Mistake(
        "a text column",
        ["signal = a*time + b*site", "decay.csv"],
        mend=NONE,
        error=steepest.DataError,
        printed="""\
error: line 2 of decay.csv, column 'site': 's0' is not a number; leave the cell empty, or write NA, where a value is missing
""",
    ),
    Mistake(
        "formula and file swapped",
        ["decay.csv", "signal = a*time + b"],
        mend="steepest.fit(formula, data)",
        error=steepest.FormulaError,
        printed="""\
error: formula and data are swapped
steepest.fit(formula, data)
""",
    ),
    Mistake(
        "R's tilde",
        ["signal ~ time", "decay.csv"],
        mend="y = a + b*x",
        error=steepest.FormulaError,
        printed="""\
error: ~ has no meaning in a formula
  signal ~ time
         ^
R's ~ is written = here, and every parameter by name: y = a + b*x
""",
    ),
    Mistake(
        "a folder without tables",
        ["signal = a*time + b", "empty"],
        mend="holds no .csv",
        error=steepest.DataError,
        printed="""\
error: the folder empty holds no .csv, .tsv, .parquet or .arrow file
""",
    ),
    Mistake(
        "units in the names of columns",
        ["signal (mV) = a*exp(-b*time [s]) + c", "units.csv"],
        mend="put it in backticks",
        error=steepest.FormulaError,
        printed="""\
error: the name of the column signal (mV) is no plain word
  signal (mV) = a*exp(-b*time [s]) + c
  ^^^^^^^^^^^
put it in backticks: `signal (mV)`
""",
    ),
    Mistake(
        "decimal commas",
        ["signal = a*time + b", "german.csv"],
        mend="sep=';'",
        error=steepest.DataError,
        printed="""\
error: german.csv is separated by semicolons, not commas; read it into a frame first: pandas.read_csv('german.csv', sep=';'), and decimal=',' if its numbers have commas
""",
    ),
    Mistake(
        "== for =",
        ["signal == a*time + b", "decay.csv"],
        mend="write = between",
        error=steepest.FormulaError,
        printed="""\
error: a comparison is no number
  signal == a*time + b
  ^^^^^^^^^^^^^^^^^^^^
write = between both sides of a model
""",
    ),
    Mistake(
        "ln",
        ["signal = a*ln(time + 1) + b", "decay.csv"],
        mend="converged",
        status=0,
        printed="""\
signal = a*ln(time + 1) + b
converged: the minimum: the loss is a convex quadratic

parameter   value   error      t        p  95 % interval
a          -2.025  0.0647  -31.3  2.6e-11  -2.169 to -1.881
b            5.94   0.118   50.5  2.2e-13  5.67 to 6.20

s 0.16221 on 10 degrees of freedom, R² 0.98989 (adjusted 0.98888)
log-likelihood 5.89334, AIC -5.78668, BIC -4.33196
loss 0.01096280355 (squares), rms 0.148073, 12 rows, gauss-newton: 1 step, 2 passes, 0.00174 s
method: gauss-newton, because the loss is a sum of squared residuals; it is a quadratic, so one step reaches its minimum
data: signal, time; parameters: a, b
no start was given for a, b: began at 1
correlations: a b -0.917
""",
    ),
    Mistake(
        "e**x",
        ["signal = a*e**(-b*time) + c", "decay.csv"],
        mend="write exp(...)",
        error=steepest.FormulaError,
        printed="""\
error: e is a name like any other, not Euler's number
  signal = a*e**(-b*time) + c
             ^
write exp(...)
""",
    ),
    Mistake(
        "degrees for radians",
        ["force = a*sin(angle)", "angles.csv"],
        mend=NONE,
        status=0,
        printed="""\
force = a*sin(angle)
converged: the minimum: the loss is a convex quadratic

parameter  value  error      t     p  95 % interval
a           0.15  0.651  0.224  0.83  -1.33 to 1.62

s 1.4866 on 9 degrees of freedom, R² -3.372 (adjusted -3.372; about the mean: the formula has no intercept)
log-likelihood -17.6273, AIC 39.2547, BIC 39.8599
loss 0.9944608554 (squares), rms 1.41029, 10 rows, gauss-newton: 1 step, 2 passes, 0.0018 s
method: gauss-newton, because the loss is a sum of squared residuals; it is a quadratic, so one step reaches its minimum
data: force, angle; parameters: a
no start was given for a: began at 1
""",
    ),
    Mistake(
        "per cent signs in a column",
        ["humidity = a*time + b", "percent.csv"],
        mend=NONE,
        error=steepest.DataError,
        printed="""\
error: line 2 of percent.csv, column 'humidity': '45%' is not a number; leave the cell empty, or write NA, where a value is missing
""",
    ),
    Mistake(
        "a missing parenthesis",
        ["signal = a*exp(-b*time + c", "decay.csv"],
        mend="write )",
        error=steepest.FormulaError,
        printed="""\
error: this parenthesis is not closed
  signal = a*exp(-b*time + c
                ^
write ) where it ends
""",
    ),
    Mistake(
        "x2 for x**2",
        ["signal = a*time2 + b*time + c", "decay.csv"],
        mend="a power is written time**2",
        status=1,
        printed="""\
signal = a*time2 + b*time + c
unidentifiable: no data tell a, time2 and c apart: only a*time2 + c is determined

parameter          value
a            2.356775641
time2                  1
b          -0.3908881119
c            2.356775641

loss 0.1740544949 (squares), rms 0.590008, 12 rows, gauss-newton: 1 step, 5 passes, 0.0151 s
method: gauss-newton, because the loss is a sum of squared residuals; a, b, c are solved exactly at each step; the last steps are in all parameters
data: signal, time; parameters: a, time2, b, c
no start was given for a, time2, b, c: began at 1
no errors: errors hold only at a minimum
time2 is no column and was taken as a parameter; a power is written time**2
""",
    ),
    Mistake(
        "bounds as a bare number",
        ["signal = a*exp(-b*time) + c", "decay.csv", "--bounds", "b=0"],
        mend="write b=0:",
        error=steepest.FitError,
        printed="""\
error: --bounds: '0' for b cannot be read; write b=0: or b=:5 or b=0:1
""",
        options={"bounds": {"b": 0}},
        in_python="""\
bounds of b: give a pair, as in {'b': (0, None)}
""",
        mend_in_python="{'b': (0, None)}",
    ),
    Mistake(
        "start as a list",
        ["signal = a*exp(-b*time) + c", "decay.csv", "--start", "[5, 0.3, 1]"],
        mend="write a=1,b=2",
        error=steepest.FitError,
        printed="""\
error: --start: '[5, 0.3, 1]' is no name=value; write a=1,b=2, odd names in backticks
""",
        options={"start": [5, 0.3, 1]},
        in_python="""\
start is a dict by name, as in {'a': ...}; not [5, 0.3, 1]
""",
        mend_in_python="{'a': ...}",
    ),
    Mistake(
        "a misspelt method",
        ["signal = a*time + b", "decay.csv", "--method", "gauss newton"],
        mend="known are",
        error=steepest.FitError,
        printed="""\
error: gauss newton is not a method; known are auto, gd, momentum, nesterov, adagrad, rmsprop, adam, sgd, lbfgs, gauss-newton, newton, or an update rule such as 'theta = theta - rate*g'
""",
        options={"method": "gauss newton"},
    ),
    Mistake(
        "batch with auto",
        ["signal = a*time + b", "decay.csv", "--batch", "4"],
        mend="for batch=4 use sgd",
        error=steepest.FitError,
        printed="""\
error: method auto reads all rows at every step; for batch=4 use sgd, momentum or adam
""",
        options={"batch": 4},
    ),
    Mistake(
        "too few rows",
        ["signal = a*exp(-b*time) + c", "few.csv"],
        mend="2 rows cannot determine 3 parameters",
        status=1,
        printed="""\
signal = a*exp(-b*time) + c
unidentifiable: 2 rows cannot determine 3 parameters; the data do not determine a, b, c one by one: moving c by +1, a by -1, b by +0.8355 together leaves the loss as it is

parameter        value
a          2.056569719
b                    1
c          3.943430281

loss 0 (squares), rms 0, 2 rows, gauss-newton: 1 step, 6 passes, 0.00585 s
method: gauss-newton, because the loss is a sum of squared residuals; a, c are solved exactly at each step; the last steps are in all parameters
data: signal, time; parameters: a, b, c
no start was given for a, b, c: began at 1
no errors: errors hold only at a minimum
""",
    ),
    Mistake(
        "a constant column",
        ["signal = a*time + b", "flat.csv"],
        mend=NONE,
        status=1,
        printed="""\
signal = a*time + b
unidentifiable: the data do not determine a, b one by one: moving b by -1, a by +0.5 together leaves the loss as it is

parameter   value
a          1.7625
b           2.525

loss 0.00625 (squares), rms 0.111803, 4 rows, gauss-newton: 1 step, 4 passes, 0.00197 s
method: gauss-newton, because the loss is a sum of squared residuals; it is a quadratic, so one step reaches its minimum
data: signal, time; parameters: a, b
no start was given for a, b: began at 1
no errors: errors hold only at a minimum
""",
    ),
]

NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(e[+-]?\d+)?")


def comparable(printed: str) -> str:
    """A run's text without what differs between machines: clock, counts, digits beyond the third, widths of columns."""
    printed = re.sub(r"[\d,.e+-]+ (steps?|passes|s)\b", r"# \1", printed)
    return re.sub(r" +", " ", NUMBER.sub(lambda match: rounded(match.group()), printed)).strip()


def rounded(number: str) -> str:
    """To three digits; a number with an exponent, which may be rounding alone, and one that ran away to its kind."""
    value = float(number.replace(",", ""))
    return "#" if "e" in number or abs(value) > 1e6 else f"{value:.3g}"


@pytest.fixture(autouse=True)
def in_a_folder_with_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)


every_mistake = pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.title.replace(" ", "-"))


@every_mistake
def test_the_terminal_prints(mistake: Mistake) -> None:
    result = CliRunner().invoke(main, ["fit", *mistake.words], prog_name="steepest")
    assert result.exit_code == mistake.status
    if mistake.error:
        assert result.output == result.stderr == mistake.printed
    else:
        assert comparable(result.output) == comparable(mistake.printed)


@every_mistake
def test_python_says(mistake: Mistake) -> None:
    formula, data = mistake.words[:2]
    if mistake.error:
        with pytest.raises(mistake.error) as raised:
            steepest.fit(formula, data, **mistake.options)
        assert type(raised.value) is mistake.error
        assert str(raised.value) == (mistake.in_python or mistake.printed.removeprefix("error: ")).strip()
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = steepest.fit(formula, data, **mistake.options)
    said = [f"warning: {warning.message}" for warning in caught]
    printed = mistake.printed.replace("--scale auto", 'scale="auto"')
    assert comparable("\n".join([*said, fit.text()])) == comparable(printed)
    assert fit.exit_status == mistake.status


@every_mistake
def test_the_mend_is_in_the_text(mistake: Mistake) -> None:
    assert mistake.mend in mistake.printed
    assert mistake.mend_in_python in mistake.in_python


def test_a_changed_text_is_noticed() -> None:
    assert comparable("a  1.23456 b, 12 steps, 0.1 s") == comparable("a 1.23411 b, 13 steps, 2 s")
    assert comparable("a 1.234") != comparable("a 1.534")
    assert comparable("write a") != comparable("write b")
