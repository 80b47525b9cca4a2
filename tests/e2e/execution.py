"""The execution log: the JSON lines that containers write, read through the Docker Engine."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.e2e.stack import Stack

POLL = "capture.poll_camera"
DETECT = "detection.detect_image"


@dataclass(frozen=True)
class Line:
    service: str
    container: str
    fields: Mapping[str, Any]

    @property
    def event(self) -> str:
        return str(self.fields.get("event", ""))

    @property
    def at(self) -> float:
        """Seconds since 1970; 0 where the line does not say."""
        text = self.fields.get("timestamp")
        return datetime.fromisoformat(text).timestamp() if text else 0.0

    def get(self, name: str) -> Any:
        return self.fields.get(name)


@dataclass
class ExecutionLog:
    """`kept` is what containers that are gone had written: see remember."""

    stack: Stack
    kept: list[Line] = field(default_factory=list)

    def remember(self, service: str, container: Any) -> None:
        """Before a container is removed, with its log."""
        self.kept += read_lines(service, container)

    def read(self, *services: str, since: float = 0.0) -> list[Line]:
        lines = [line for line in self.kept if line.service in services]
        for service in services:
            for container in self.stack.containers(service):
                lines += read_lines(service, container)
        return [line for line in lines if line.at >= since]

    def complaints(self, *services: str, about: str, since: float) -> list[Line]:
        """Warnings and errors whose reason names something."""
        return [
            line
            for line in self.read(*services, since=since)
            if line.get("level") in {"warning", "error"} and about in str(line.get("reason"))
        ]

    def failed_tasks(self, service: str, error: str, since: float) -> int:
        lines = self.read(service, since=since)
        return sum(line.event == "task ends" and line.get("outcome") == error for line in lines)


def read_lines(service: str, container: Any) -> list[Line]:
    """What is not JSON is left out: a line that a killed process did not finish."""
    lines = []
    for text in container.logs().decode(errors="replace").splitlines():
        if text.startswith("{"):
            try:
                lines.append(Line(service, str(container.id), json.loads(text)))
            except ValueError:
                continue
    return lines


def in_hand(lines: Iterable[Line], task: str) -> list[Line]:
    """The tasks that began and did not end: their first lines. A restarted worker forgets them."""
    begun: dict[tuple[str, int], Line] = {}
    for line in lines:
        if line.get("task") != task:
            continue
        if line.event == "task begins":
            begun[str(line.get("task_id")), int(line.get("retries") or 0)] = line
        elif line.event == "task ends":
            for key in [key for key in begun if key[0] == line.get("task_id")]:
                del begun[key]
    return list(begun.values())


def ends_of(hand: Iterable[Line], lines: Iterable[Line]) -> dict[str, str]:
    """How tasks that were in hand ended: their ids and outcomes."""
    begun = {line.get("task_id"): line.at for line in hand}
    ends: dict[str, str] = {}
    for line in lines:
        task_id = line.get("task_id")
        if line.event == "task ends" and task_id in begun and line.at >= begun[task_id]:
            ends.setdefault(task_id, str(line.get("outcome")))
    return ends


@dataclass(frozen=True)
class Begun:
    """One begin of a task about an image."""

    task_id: str
    redelivered: bool
    retries: int


def begins_by_image(lines: Iterable[Line]) -> dict[str, list[Begun]]:
    found: dict[str, list[Begun]] = defaultdict(list)
    for line in sorted(lines, key=lambda line: line.at):
        if line.event == "task begins" and line.get("task") == DETECT:
            begun = Begun(line.get("task_id"), line.get("redelivered"), line.get("retries"))
            found[line.get("image")].append(begun)
    return found


def kept_images(lines: Iterable[Line]) -> set[str]:
    """What capture says it has kept."""
    return {
        line.get("image")
        for line in lines
        if line.event == "polled" and line.get("outcome") == "kept"
    }
