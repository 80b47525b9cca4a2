"""How a person does what a message tells them to: with `traboule`, or with Docker Compose."""

from __future__ import annotations

import re
from dataclasses import dataclass

from traboule.workspace import has_addresses

CLI = "docker compose run --rm cli"
LABELS = "docker compose run --rm labels"  # with labeling's rights
STAGES = "scheduler capture detection labeling maintenance"
_ASKING = "cameras|images|drops|sheet|labels|status|doctor|summary"
_REBUILD = re.compile(r"(?<![\w/])traboule (?=rebuild-catalog\b)")
_LABELING = re.compile(r"(?<![\w/])traboule (?=labels (?:connect|forget-erased|import|pull)\b)")
_COMMAND = re.compile(rf"(?<![\w/])traboule (?=(?:{_ASKING})\b)")


@dataclass(frozen=True)
class Advice:
    """What to say of: what the pipeline mends by itself; images that wait, for detection or for a
    model; raw frames past their lifetime; cameras that are not there, or not simulated."""

    traboule: str
    rebuild: str
    mends_itself: str
    goes_on: str
    model: str
    expired: str
    simulate: str
    find_cameras: str


EMBEDDED = Advice(
    traboule="traboule",
    rebuild="stop the pipeline and run: traboule rebuild-catalog",
    mends_itself="nothing: the next `traboule run` sees to it",
    goes_on="the next run goes on with them",
    model="traboule models pull",
    expired="remove them: traboule run --for 10s",
    simulate="traboule run --simulate 4",
    find_cameras="add some: traboule cameras discover grandlyon",
)
COMPOSED = Advice(
    traboule=CLI,
    rebuild=f"docker compose stop {STAGES}, then: docker compose run --rm upkeep rebuild-catalog",
    mends_itself="nothing: maintenance sees to it; if it does not: docker compose logs maintenance",
    goes_on="it goes on with them",
    model="docker compose logs detection",
    expired="maintenance removes them; why does it not? docker compose logs maintenance",
    simulate="docker compose --profile simulation up",
    find_cameras="the scheduler looks for them: docker compose logs scheduler",
)


def advise(*, composed: bool) -> Advice:
    return COMPOSED if composed else EMBEDDED


def fit(message: str) -> str:
    """A message of any stage, with commands as they are called where we run."""
    if not has_addresses():
        return message
    message = _REBUILD.sub("docker compose run --rm upkeep ", message)
    message = _LABELING.sub(f"{LABELS} ", message)
    return _COMMAND.sub(f"{CLI} ", message)
