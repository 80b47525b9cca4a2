"""Started by `python -m services.maintenance`: sweeps, deletes and restores."""

from __future__ import annotations

from pipeline.vitals import Vitals
from pipeline.watchdog import watch


def work(vitals: Vitals) -> None:
    # Imported in the child: the watchdog, its parent, needs none of it.
    from pipeline.broker import make_app, run_worker
    from pipeline.logs import start_logs
    from pipeline.readiness import wait_for_servers
    from pipeline.settings import PipelineSettings
    from services.maintenance.settings import MaintenanceSettings
    from services.maintenance.tasks import build_context, handlers

    start_logs()
    settings = MaintenanceSettings()
    shared = wait_for_servers(PipelineSettings, on_try=vitals.touch)
    app = make_app(
        "maintenance",
        shared.broker_url,
        handlers,
        lambda publish: build_context(shared, settings, publish),
    )
    run_worker(app, threads=1, vitals=vitals)


if __name__ == "__main__":
    watch(work)
