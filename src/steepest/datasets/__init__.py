"""Small tables that come with the package, four of them NIST's; `README.md` beside the files says what they are."""

from __future__ import annotations

from ..errors import DataError


def path(name: str) -> str:
    """Where the CSV file `name` lies, ready to be handed to `steepest.fit`.

    `name` is one of `chwirut2`, `misra1a`, `thurber`, `rat43`, `notes`; any other is a `DataError` that lists them.
    """
    from importlib.resources import files  # imported when used: it is not free

    tables = {file.name.removesuffix(".csv"): file for file in files(__name__).iterdir() if file.name.endswith(".csv")}
    if name not in tables:
        raise DataError(f"no data set named {name!r} comes with steepest; there are {', '.join(sorted(tables))}")
    return str(tables[name])
