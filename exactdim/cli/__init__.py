"""The command line: one command, one function of the package.

Results go to stdout, progress and notes to stderr. Exit codes: 0 holds, 1 rejected or disagrees,
2 usage or unreadable input, 3 undecided or interrupted, 4 a missing optional package, 70 a bug.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import CycloptsError

from exactdim.cli import evidence, parameters, ranks, regions  # noqa: F401 - importing adds the commands
from exactdim.cli.common import BUG, MISSING, OK, UNDECIDED, USAGE, app
from exactdim.errors import BudgetExceeded, ExactDimError, MissingDependency, Undecided
from exactdim.report import note, print_json

__all__ = ["main", "run"]


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and translate every outcome into an exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``sys.argv[1:]`` by default.

    Returns
    -------
    int
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if not tokens:
        app.help_print([])
        return USAGE
    try:
        result = app(tokens, exit_on_error=False, print_error=True, result_action="return_value")
    except MissingDependency as error:
        return _fail(error, MISSING, tokens)
    except (Undecided, BudgetExceeded) as error:
        return _fail(error, UNDECIDED, tokens)
    except BrokenPipeError:
        raise  # the reader has gone: main() knows what to do
    except (ExactDimError, OSError) as error:
        return _fail(error, USAGE, tokens)
    except KeyboardInterrupt:
        kept = any(token.startswith("--checkpoint") for token in tokens)
        hint = "; what is finished is kept: run again to go on (with --resume)" if kept else ""
        message = f"interrupted before there was an answer{hint}"
        note(message)
        if "--json" in tokens:
            print_json(tokens[0], "error", {"error": "Interrupted", "message": message})
        return UNDECIDED
    except CycloptsError as error:
        if "--json" in tokens:
            print_json(tokens[0], "error", {"error": "Usage", "message": str(error)})
        return USAGE
    return result if isinstance(result, int) else OK


def _fail(error: Exception, code: int, tokens: list[str]) -> int:
    note(f"exactdim: {error}")
    if "--json" in tokens:
        print_json(tokens[0], "error", {"error": type(error).__name__, "message": str(error)})
    return code


def main() -> None:
    """Entry point of the ``exactdim`` command."""
    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    except Exception:
        traceback.print_exc()
        note("exactdim: this is a bug; please report it with the lines above")
        code = BUG
    sys.exit(code)
