"""What init did: one short plain line for each thing, as soon as it is done."""

from __future__ import annotations

import sys
from typing import TextIO


class Report:
    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stdout if out is None else out
        self.changes = 0

    def did(self, line: str) -> None:
        """Something was changed."""
        self.changes += 1
        self.say(line)

    def say(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()
