"""What people said in Label Studio, brought back now."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import UserError
from services.labeling.receiving.comparing import compare_now, compare_when_due
from services.labeling.receiving.following import follow
from traboule.bars import telling
from traboule.labels.reaching import reaching
from traboule.workspace import Workspace


@dataclass(frozen=True)
class Pulled:
    """`passed_over`: labeling tasks by why; `notes`: what a person should know of the project."""

    annotations: int
    passed_over: Mapping[str, int]
    notes: Sequence[str]


def pull(workspace: Workspace, *, accept_deletions: bool = False) -> Pulled:
    """UserError where nothing is connected, or Label Studio fails. `accept_deletions`: what is
    missing over there was deleted, however much it is."""
    if workspace.is_composed and not accept_deletions:
        raise UserError("labeling brings everything back by itself: docker compose logs labeling")
    with reaching(workspace) as (context, connected), telling("reading what changed"):
        followed = follow(context, connected, math.inf)
        if accept_deletions:
            compare_now(context, connected, accept_deletions=True)
        else:
            compare_when_due(context, connected, math.inf)
        row = context.catalog.labeling_projects.get(connected.key)
    return Pulled(followed.revisions, followed.passed_over, row.notes if row else ())
