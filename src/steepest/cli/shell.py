"""What every command shares: plain messages, exit statuses, silence where a pipe closes, and never a traceback.

Exit status: 0 done, 1 no minimum, 2 bad input, 130 interrupted, 141 the reader of the output went away.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from ..errors import SteepestError

BAD_INPUT, INTERRUPTED, PIPE_CLOSED = 2, 130, 141
# control characters, and those that turn the direction of writing: a name must not steer the terminal
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Shell(click.Group):
    """The group of commands; a command returns its exit status, or None for 0."""

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> int:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, ValueError):
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        code = self._status(args, prog_name, complete_var, extra)
        if standalone_mode:
            sys.exit(code)
        return code

    def _status(self, args: Sequence[str] | None, name: str | None, complete: str | None, extra: Any) -> int:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", UserWarning)
                warnings.showwarning = _warn
                code = super().main(args, name or "steepest", complete, standalone_mode=False, **extra)
            return code if isinstance(code, int) else 0
        except click.Abort:
            complain("interrupted")
            return INTERRUPTED
        except click.ClickException as error:
            complain(error.format_message())
        except SteepestError as error:
            complain(getattr(error, "terminal", str(error)))
        except Exception as error:
            if os.environ.get("STEEPEST_DEBUG"):
                raise
            what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            complain(
                f"something unexpected went wrong inside steepest ({what}); please report it with the command that you "
                "gave (STEEPEST_DEBUG=1 shows where it happened)"
            )
        return BAD_INPUT

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a closed pipe and Ctrl-C end here, silently and in one line."""
        try:
            code = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            # what is still in the buffer would fail again when Python ends
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        except KeyboardInterrupt:
            complain("interrupted before the end; what stands above, if anything, holds")
            return INTERRUPTED
        return code

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """A formula in the place of a command gets the command that was meant."""
        if args and self.get_command(ctx, args[0]) is None and any(mark in args[0] for mark in "=*+/^( "):
            meant = "fit" if "=" in args[0] else "minimize"
            raise click.UsageError(f"{args[0]!r} looks like a formula; write steepest {meant} {args[0]!r} ...")
        return super().resolve_command(ctx, args)


def say(text: str) -> None:
    """Print on stdout, with nothing in it that steers a terminal."""
    click.echo(plain(text))


def remark(text: str) -> None:
    """Print a line on stderr."""
    with suppress(BrokenPipeError):
        click.echo(plain(text), err=True)


def complain(text: str) -> None:
    """The one message of a refusal, on stderr."""
    remark(f"error: {text}")


def plain(text: str) -> str:
    """The text with control characters written out."""
    return _STEERING.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def _warn(message: Any, *_: Any, **__: Any) -> None:
    remark("warning: " + " ".join(str(message).split()))
