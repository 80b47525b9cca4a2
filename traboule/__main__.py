"""The `traboule` command: what goes wrong becomes one line on standard error and an exit status."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.logs import start_logs
from traboule.advice import fit
from traboule.cli import app


def main() -> None:
    """Exit statuses: 0 done, 1 it failed, 2 the command was not understood, 130 Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
    start_logs(level="ERROR")
    logging.getLogger().handlers[:] = [logging.NullHandler()]  # a command says itself what it did
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int | str | None:
    """Carry out one command; its exit status."""
    try:
        app(arguments, prog_name="traboule")
    except SystemExit as end:
        return _flush(end.code)
    except KeyboardInterrupt:
        return 130
    except PipelineError as error:
        return _fail(str(error))
    except ValidationError as error:
        return _fail(_describe(error))
    except ValueError as error:
        if not _is_of_settings(error):
            raise
        return _fail(f"a setting in the environment is not JSON: {error}")
    except OSError as error:
        what = error.strerror or str(error)
        return _fail(f"{what}: {error.filename}" if error.filename else what)
    return _flush(0)


def _flush(code: int | str | None) -> int | str | None:
    """Whoever read our output may have stopped: Python's own complaint about that is no use."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _fail(message: str) -> int:
    _flush(0)
    print(f"traboule: {fit(' '.join(message.split()))}", file=sys.stderr)  # noqa: T201
    return 1


def _is_of_settings(error: ValueError) -> bool:
    from pydantic_settings import SettingsError  # most commands end well without it

    return isinstance(error, SettingsError)


def _describe(error: ValidationError) -> str:
    """A setting or a stored record that is not as it should be, in one line."""
    wrong = []
    for one in error.errors(include_url=False, include_input=False):
        where, what = ".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")
        wrong.append(f"{where}: {what}" if where else what)
    return f"{error.title} is not valid: {'; '.join(wrong)}"


if __name__ == "__main__":
    main()
