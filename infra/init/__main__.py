"""`python -m infra.init`: what is done once, before the services start."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from infra.init.commands import COMMANDS
from infra.init.report import Report
from infra.init.settings import InitSettings
from pipeline.errors import PipelineError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit statuses: 0 done, 1 it failed, 2 the command was not understood."""
    parser = argparse.ArgumentParser(prog="python -m infra.init", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, told) in COMMANDS.items():
        commands.add_parser(name, help=told, description=told)
    run, _ = COMMANDS[parser.parse_args(arguments).command]
    report = Report()
    try:
        run(InitSettings(), report)
    except (PipelineError, ValidationError, OSError) as error:
        sys.stderr.write(f"init: {' '.join(str(error).split())}\n")
        return 1
    if not report.changes:
        report.say("nothing to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
