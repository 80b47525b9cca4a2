"""Started by `python -m services.scheduler`: a worker on its queue, and beat as its child."""

from __future__ import annotations

from pipeline.vitals import Vitals
from pipeline.watchdog import watch


def work(vitals: Vitals) -> None:
    # Imported in the child: the watchdog, its parent, needs none of it.
    from pipeline.broker import make_app, run_worker
    from pipeline.logs import start_logs
    from pipeline.readiness import wait_for_servers
    from pipeline.settings import PipelineSettings
    from services.scheduler.settings import SchedulerSettings
    from services.scheduler.tasks import build_context, handlers

    start_logs()
    settings = SchedulerSettings()
    shared = wait_for_servers(PipelineSettings, on_try=vitals.touch)
    app = make_app(
        "scheduler",
        shared.broker_url,
        handlers,
        lambda publish: build_context(shared, settings, publish),
    )
    run_worker(app, threads=settings.threads, vitals=vitals, beat=True)


if __name__ == "__main__":
    watch(work)
