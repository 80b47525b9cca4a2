"""What people said in Label Studio, brought back now."""

from __future__ import annotations

import math

from pipeline.errors import UserError
from services.labeling.receiving.comparing import compare_when_due
from services.labeling.receiving.following import Followed, follow
from traboule.bars import telling
from traboule.labels.reaching import reaching
from traboule.workspace import Workspace


def pull(workspace: Workspace) -> Followed:
    """UserError where nothing is connected, or Label Studio fails."""
    if workspace.is_composed:
        raise UserError("labeling brings everything back by itself: docker compose logs labeling")
    with reaching(workspace) as (context, connected), telling("reading what changed"):
        followed = follow(context, connected, math.inf)
        compare_when_due(context, connected, math.inf)
    return followed
