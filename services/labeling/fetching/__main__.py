"""Started by `python -m services.labeling.fetching`: fetches a project's export, with its images,
into a folder, again and again."""

from __future__ import annotations

from pipeline.vitals import Vitals
from pipeline.watchdog import Limits, watch

LIMITS = Limits(stale_s=180.0)  # one request may take a minute


def work(vitals: Vitals) -> None:
    # Imported in the child: the watchdog, its parent, needs none of it.
    from pipeline.logs import start_logs
    from services.labeling.fetching.schedule import Export, FetchSettings, Rest, fetch_for_ever

    start_logs()
    settings = FetchSettings()
    fetch_for_ever(Export.wanted_by(settings), settings.every_s, Rest(vitals.touch_as_ready))


if __name__ == "__main__":
    watch(work, LIMITS)
