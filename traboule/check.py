"""What doctor finds out, one matter at a time, and what it is told to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pipeline.settings import PipelineSettings
from traboule.advice import Advice, advise


@dataclass(frozen=True)
class Check:
    """One matter: how it is, and what to do where it is not well."""

    name: str
    status: Literal["ok", "warn", "fail"]
    what: str
    what_to_do: str = ""


@dataclass(frozen=True)
class Contact:
    """What came of asking a camera host: its clock, where it told; else why not."""

    host: str
    date: datetime | None = None
    problem: str = ""


@dataclass(frozen=True)
class Patient:
    """`folder` is None where the addresses come from the environment."""

    folder: Path | None
    settings: PipelineSettings
    now: datetime
    contact: Contact

    @property
    def advice(self) -> Advice:
        return advise(composed=self.folder is None)


Examination = Callable[[Patient], Sequence[Check]]
