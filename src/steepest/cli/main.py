"""`steepest`: the commands. Each reads its words, calls one verb of the library and prints the answer.

Only click is imported here; the library, tables and pictures are loaded by the command that needs them.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .._version import __version__
from ..errors import FitError
from . import arguments
from .arguments import FormulaCommand, whole, whole_option
from .shell import BAD_INPUT, Shell, complain, remark, say

if TYPE_CHECKING:
    from ..result import Fit

INTERRUPTED_FILE = "steepest-interrupted.json"
NOT_BUILT = ("memory", "engine", "checkpoint", "report")

_EQUATION = re.compile("(?<![<>=!])=(?!=)")
F = TypeVar("F", bound=Callable[..., Any])


@click.group(
    cls=Shell, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True,
    epilog="Exit status: 0 converged or stopped by a limit you gave; 1 diverged, unidentifiable or a default limit; "
    "2 bad input; 130 interrupted.",
)  # fmt: skip
@click.version_option(__version__, message="steepest %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """From a formula to its exact gradient to the minimum.

    \b
    steepest fit "y = a*exp(-b*x) + c" data.csv --start a=5,b=1,c=0
    steepest minimize "x**2 + 2*x + 3" --start x=10
    steepest demo
    """
    if ctx.invoked_subcommand is None:
        say(ctx.get_help())


def _options(*chosen: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order in which help lists them."""

    def decorate(function: F) -> F:
        for option in reversed(chosen):
            function = option(function)
        return function

    return decorate


_loss = click.option(
    "--loss", default="squares", show_default=True,
    help="squares rmse absolute huber cauchy logistic poisson gamma quantile, with numbers as in 'quantile(0.9)', or a "
    "formula of y and prediction.",
)  # fmt: skip
_where_to = _options(
    click.option(
        "--start", metavar="A=1,B=2", multiple=True, help="Start values; vectors 'B=[1, 2]' or B[0]=1,B[1]=2."
    ),
    click.option("--bounds", metavar="'B=0:'", multiple=True, help="Bounds: 'b=0:', 'b=:5', 'a=0:1,b=0:'."),
    click.option("--fixed", metavar="C=0", multiple=True, help="Hold parameters at numbers, or tie them: 'b2=b1'."),
)
_how = _options(
    click.option("--method", default="auto", show_default=True,
                 help="auto gauss-newton newton lbfgs gd sgd momentum nesterov adagrad rmsprop adam, or a rule."),
    click.option("--rate", metavar="R", help="Learning rate: a number, or a formula of step and epoch."),
    click.option("--scale", metavar="auto", help="auto: first-order steps in standardised parameters."),
    click.option("--steps", metavar="N", callback=whole_option, help="Stop after N steps."),
    click.option("--passes", type=float, metavar="N", help="Stop after N passes over the rows."),
    click.option("--gradient", type=float, metavar="EPS", help="Stop when the norm of the gradient is below EPS."),
    click.option("--seconds", type=float, metavar="S", help="Stop after S seconds."),
    click.option("--restarts", metavar="N", callback=whole_option, help="Find the best of N starts."),
    click.option("--seed", metavar="N", default="0", callback=whole_option, help="Starts, and order of mini-batches."),
)  # fmt: skip
_outputs = _options(
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."),
    click.option("--save", metavar="FILE", help="Save the answer as JSON, for predict."),
    click.option("--plot", metavar="FILE", help="Draw to a .png or .svg file."),
    click.option("--quiet", is_flag=True, help="No progress line, no warnings."),
)
_later = _options(*(click.option(f"--{name}", hidden=True) for name in NOT_BUILT))
_later_alone = _options(*(click.option(f"--{name}", hidden=True) for name in ("checkpoint", "report")))


@main.command(cls=FormulaCommand)
@click.argument("formula")
@click.argument("data", nargs=-1)
@_loss
@_where_to
@click.option("--parameters", metavar="A,B", help="Names that are parameters though columns have them too.")
@click.option("--weights", metavar="W", help="Relative precisions: a column or an expression.")
@click.option("--sigma", metavar="S", help="Known standard deviations: a column, an expression or a number.")
@click.option("--counts", metavar="C", help="How often a row stands there: a column or an expression.")
@click.option("--prior", metavar="'B=0:2.5'", multiple=True, help="Mean and standard deviation known before.")
@click.option("--penalty", metavar="P", help="A formula of parameters, added to the sum.")
@click.option("--where", metavar="COND", help="Use the rows for which this holds: 'x > 0'.")
@_how
@click.option("--batch", metavar="N", help="Rows a step; 1 is SGD, all (the default) every row.")
@click.option("--reduce", type=click.Choice(["mean", "sum"]), default="mean", help="What the rate multiplies.")
@click.option("--errors", default="auto", help="auto, hessian (also for a loss of your own), or sandwich.")
@click.option(
    "--interval",
    type=click.Choice(["wald", "profile"]),
    default="wald",
    help="95 % intervals by the errors, or by the profile of the likelihood.",
)
@click.option("--no-shuffle", is_flag=True, help="Mini-batches in the order of the file.")
@_outputs
@_later
def fit(
    formula: str, data: tuple[str, ...], start: tuple[str, ...], bounds: tuple[str, ...], fixed: tuple[str, ...],
    parameters: str | None, sigma: str | None, batch: str | None, no_shuffle: bool, loss: str, weights: str | None,
    counts: str | None, prior: tuple[str, ...], penalty: str | None, where: str | None, method: str, rate: str | None,
    scale: str | None, reduce: str, errors: str, restarts: int | None, seed: int, **rest: Any,
) -> int:  # fmt: skip
    """Fit FORMULA to the table DATA: .csv, .tsv, .parquet or .arrow files (.gz too), a folder, a pattern.

    Names that are columns are data, all others are parameters. Without = the formula is the loss of a row.

    \b
    steepest fit "y = a*exp(-b*x) + c" data.csv --start a=5,b=1,c=0
    steepest fit "y = [x1, x2] @ B + c" data.csv --start 'B=[10.1, 15.1], c=-6.5'
    steepest fit "y = a*x + b" data.csv --method gd --rate 0.01 --steps 5000
    steepest fit "y = k*`temp[degC]`" 'runs/*.parquet' --json
    """
    _refuse(rest)
    path = arguments.table(data, "fit FORMULA")
    _check_outputs(rest, *data)
    options: dict[str, Any] = dict(
        loss=loss, start=arguments.starts(start), bounds=arguments.bounds(bounds), fixed=arguments.fixes(fixed),
        parameters=None if parameters is None else [name.strip().strip("`") for name in parameters.split(",")],
        weights=weights, sigma=arguments.number_or_formula(sigma), counts=counts, prior=arguments.priors(prior),
        penalty=penalty, where=where, method=method, batch=_batch(batch), rate=arguments.number_or_formula(rate),
        scale=scale, reduce=reduce, errors=errors, restarts=restarts, seed=seed, shuffle=not no_shuffle,
    )  # fmt: skip
    from ..api import fit as run

    return _answer(lambda **more: run(formula, path, **options, **more), rest, formula)


@main.command(cls=FormulaCommand)
@click.argument("formula")
@_where_to
@click.option("--maximize", is_flag=True, help="Go uphill.")
@_how
@_outputs
@_later_alone
def minimize(
    formula: str, start: tuple[str, ...], bounds: tuple[str, ...], fixed: tuple[str, ...], maximize: bool,
    method: str, rate: str | None, scale: str | None, restarts: int | None, seed: int,
    **rest: Any,
) -> int:  # fmt: skip
    """Find the minimum of FORMULA, a function of the names in it.

    \b
    steepest minimize "x**2 + 2*x + 3" --start x=10
    steepest minimize "(1 - x)**2 + 100*(y - x**2)**2" --start x=-1.2,y=1
    steepest minimize "-x**2 + x" --maximize --method gd --rate 0.1
    """
    _refuse(rest)
    _check_outputs(rest)
    options: dict[str, Any] = dict(
        start=arguments.starts(start), bounds=arguments.bounds(bounds), fixed=arguments.fixes(fixed),
        method=method, rate=arguments.number_or_formula(rate), scale=scale, restarts=restarts, seed=seed,
    )  # fmt: skip
    from .. import api

    verb = api.maximize if maximize else api.minimize
    return _answer(lambda **more: verb(formula, **options, **more), rest, formula)


@main.command(cls=FormulaCommand, short_help="Roles, derivatives, structure, safe rates of FORMULA.")
@click.argument("formula")
@click.argument("data", nargs=-1)
@_loss
def explain(formula: str, data: tuple[str, ...], loss: str) -> None:
    """What follows from FORMULA before anything runs: roles, derivatives, structure, safe rates, the program.

    \b
    steepest explain "x**2 + 2*x*y + cos(x + 2*y)"
    steepest explain "y = a*x + b" data.csv
    """
    path = arguments.table(data, "explain FORMULA") if data else None
    from ..api import explain as run

    say(arguments.of_the_terminal(run(formula, path, loss=loss).text()))


@main.command(cls=FormulaCommand, short_help="Batch sizes and methods side by side on DATA.")
@click.argument("formula")
@click.argument("data", nargs=-1)
@click.option("--batches", metavar="1,8,all", help="Rows a step of each run; by default 1, 8, 64, ... and all.")
@click.option("--against", metavar="F", multiple=True, help="A formula to compare FORMULA with, on the same rows.")
@click.option("--methods", metavar="M,M", help="Methods, as in fit --method.  [default: gd]")
@click.option("--seeds", metavar="N", callback=whole_option, help="Orders of the rows for a batch size.  [default: 3]")
@click.option("--starts", metavar="N", callback=whole_option, help="Draw N starts within --bounds, or around --start.")
@click.option("--passes", type=float, metavar="N", help="Passes for each run.  [default: 20]")
@_loss
@_where_to
@click.option("--weights", metavar="W", help="Relative precisions: a column or an expression.")
@click.option("--sigma", metavar="S", help="Known standard deviations: a column, an expression or a number.")
@click.option("--where", metavar="COND", help="Use the rows for which this holds: 'x > 0'.")
@click.option("--rate", metavar="R", help="Learning rate of all runs; by default what is safe for each.")
@click.option("--scale", metavar="auto", help="auto: first-order steps in standardised parameters.")
@click.option("--reduce", type=click.Choice(["mean", "sum"]), default="mean", help="What the rate multiplies.")
@click.option("--seed", metavar="N", default="0", callback=whole_option, help="The first order of the rows.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--plot", metavar="FILE", help="Draw the loss by passes and by seconds to a .png or .svg file.")
def compare(
    formula: str, data: tuple[str, ...], against: tuple[str, ...], batches: str | None, methods: str | None,
    seeds: int | None, starts: int | None, passes: float | None, loss: str, start: tuple[str, ...],
    bounds: tuple[str, ...], fixed: tuple[str, ...], weights: str | None, sigma: str | None, where: str | None,
    rate: str | None, scale: str | None, reduce: str, seed: int, as_json: bool, plot: str | None,
) -> int:  # fmt: skip
    """Run batch sizes and methods on the table DATA, each from the same start and for equal passes.

    With --against: which of several formulas the data support, each fitted to the same rows.

    \b
    steepest compare "y = a*x + b" data.csv --batches 1,8,64,all --plot compare.png
    steepest compare "y = sin(w*t)" data.csv --bounds w=0:4 --starts 20 --rate 0.05
    steepest compare "y = a*exp(-b*x)" data.csv --against "y = a*exp(-b*x) + c"
    """
    path = arguments.table(data, "compare FORMULA")
    arguments.check_output("--plot", plot, data, (".png", ".svg"))
    from ..api import compare as run
    from ..models import Models
    from ..types import Stop

    if against and plot is not None:
        raise FitError("--plot draws descents; several formulas are a table")
    answer = run(
        [formula, *against] if against else formula, path,
        methods=None if methods is None else [m.strip() for m in methods.split(",")],
        batches=None if batches is None else [_batch(b) for b in batches.split(",")], seeds=seeds, starts=starts,
        loss=loss, start=arguments.starts(start), bounds=arguments.bounds(bounds), fixed=arguments.fixes(fixed),
        weights=weights, sigma=arguments.number_or_formula(sigma), where=where, rate=arguments.number_or_formula(rate),
        scale=scale, reduce=reduce, seed=seed, stop=None if against and passes is None else Stop(passes=passes),
    )  # fmt: skip
    if as_json:
        import json

        say(json.dumps(answer.as_dict(), allow_nan=False))
    else:
        say(answer.text())
    if plot is not None:
        assert not isinstance(answer, Models)
        (remark if as_json else say)(f"drawn to {answer.plot(plot)}")
    return 0


@main.command(short_help="The values of a saved fit for every row of DATA.")
@click.argument("saved", metavar="FIT.JSON")
@click.argument("data", nargs=-1)
@click.option("--out", metavar="FILE", help="Write to a .csv or .parquet file instead of stdout.")
@click.option(
    "--band",
    type=click.Choice(["confidence", "prediction"]),
    help="Columns lower and upper: of the curve, or of a new observation.",
)
@click.option("--level", type=float, metavar="P", help="The level of the band.  [default: 0.95]")
def predict(saved: str, data: tuple[str, ...], out: str | None, band: str | None, level: float | None) -> None:
    """The right-hand side of a saved fit for every row of DATA, as one column `prediction` in the order of the rows.

    A row with a null in a used column gets an empty cell. With --band the columns `lower` and `upper` stand beside it.

    \b
    steepest predict fit.json new.csv > predicted.csv
    steepest predict fit.json new.parquet --out predicted.parquet --band prediction
    """
    path = arguments.table(data, "predict FIT.JSON")
    arguments.check_output("--out", out, [saved, *data], (".csv", ".parquet"))
    from ..api import load
    from .predictions import predictions, refuse_input, write

    refuse_input(out, saved, list(data))
    if level is not None and band is None:
        raise FitError("--level is that of a band: add --band confidence or --band prediction")
    written = write(predictions(load(saved), path, band, 0.95 if level is None else level), out, sys.stdout)
    if out is not None:
        say(f"{written:,} predictions written to {out}")


@main.command(short_help="The whole story in under a minute.")
@click.option("--out", default="steepest-demo", show_default=True, metavar="FOLDER", help="Where the pictures go.")
def demo(out: str) -> None:
    """The whole story in under a minute, on data that come with the package."""
    from .demo import tell

    tell(out, say)


def _not_built(name: str, instead: str) -> None:
    @main.command(
        name, context_settings={"ignore_unknown_options": True}, short_help=f"Not built yet: {instead}.", hidden=True
    )
    @click.argument("words", nargs=-1)
    def command(words: tuple[str, ...]) -> int:
        complain(f"steepest {name} is not built yet; {instead}")
        return BAD_INPUT


_not_built("resume", "give the values of the saved fit as --start to steepest fit")
_not_built("play", "steepest demo draws the descent to files")


# shared by fit and minimize ----------------------------------------------------------------------------------


def _answer(run: Callable[..., Fit], given: dict[str, Any], formula: str) -> int:
    """Run, print, save, draw; the exit status."""
    from ..types import Stop

    limits = {name: given[name] for name in ("steps", "passes", "gradient", "seconds") if given[name] is not None}
    as_json, quiet, interval = given["as_json"], given["quiet"], given.get("interval", "wald")
    if quiet:
        warnings.simplefilter("ignore")
    answer = run(
        stop=Stop(**limits) if limits else None,
        trace=given["plot"] is not None and not _EQUATION.search(formula),  # the picture is then the loss by step
        progress=not (quiet or as_json) and sys.stderr.isatty(),
    )
    answer = replace(answer, message=arguments.of_the_terminal(answer.message))
    if as_json:
        import json

        say(json.dumps(answer.as_dict(interval), allow_nan=False))
    else:
        say(answer.text(interval))
    note = remark if as_json else say
    save = given["save"]
    if save is None and answer.exit_status == 130:
        save = _free_name(INTERRUPTED_FILE)
    if save is not None:
        answer.save(save)
        if not quiet:
            note(f"saved to {save}")
    if given["plot"] is not None:
        drawn = answer.plot(given["plot"])
        if not quiet:
            note(f"drawn to {drawn}")
    return answer.exit_status


def _check_outputs(given: dict[str, Any], *inputs: str) -> None:
    arguments.check_output("--save", given["save"], inputs)
    arguments.check_output("--plot", given["plot"], inputs, (".png", ".svg"))


def _refuse(given: dict[str, Any]) -> None:
    for name in NOT_BUILT:
        if given.pop(name, None) is not None:
            raise FitError(f"--{name} is not built yet; leave it out")


def _batch(text: str | None) -> int | None:
    if text is None or text.strip() == "all":
        return None
    try:
        return whole(text)
    except ValueError:
        raise FitError(f"--batch {text}: give a whole number of rows, or all") from None


def _free_name(name: str) -> str:
    """The name, or with a number that is not taken yet: an earlier point is not overwritten."""
    path, number = Path(name), 2
    while path.exists():
        path = Path(name).with_stem(f"{Path(name).stem}-{number}")
        number += 1
    return str(path)
