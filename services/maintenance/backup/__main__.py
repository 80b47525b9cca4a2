"""`python -m services.maintenance.backup`: `write` the store to standard output as a tar, `read` it
back from standard input, then `reconcile` the catalog with it. infra/backup/ calls it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.errors import PipelineError
from pipeline.logs import start_logs
from pipeline.settings import PipelineSettings
from services.maintenance.backup.commands import COMMANDS
from services.maintenance.backup.progress import say


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        say(f"usage: python -m services.maintenance.backup {'|'.join(COMMANDS)}")
        return 2
    start_logs()
    try:
        COMMANDS[arguments[0]](PipelineSettings())
    except PipelineError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
