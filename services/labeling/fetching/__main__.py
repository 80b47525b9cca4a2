"""Started by `python -m services.labeling.fetching`: fetches a project's export, with its images,
into a folder, again and again."""

from __future__ import annotations

from pipeline.vitals import Vitals
from pipeline.watchdog import Limits, watch

LIMITS = Limits(stale_s=660.0)  # Label Studio may make an export for ten minutes


def work(vitals: Vitals) -> None:
    # Imported in the child: the watchdog, its parent, needs none of it.
    from pipeline.logs import start_logs
    from services.labeling.fetching.schedule import Export, Rest, fetch_for_ever
    from services.labeling.fetching.settings import FetchSettings

    start_logs()
    settings = FetchSettings()
    fetch_for_ever(Export.wanted_by(settings), settings.every_s, Rest(vitals.touch_as_ready))


if __name__ == "__main__":
    watch(work, LIMITS)
