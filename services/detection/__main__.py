"""Started by `python -m services.detection`: looks at the images that were stored."""

from __future__ import annotations

from pipeline.vitals import Vitals
from pipeline.watchdog import watch


def work(vitals: Vitals) -> None:
    # Imported in the child: the watchdog, its parent, needs none of it.
    from pipeline.broker import make_app, run_worker
    from pipeline.logs import start_logs
    from pipeline.readiness import wait_for_servers
    from pipeline.settings import PipelineSettings
    from services.detection.settings import DetectionSettings
    from services.detection.tasks import build_context, handlers, prepare

    start_logs()
    settings = DetectionSettings()
    shared = wait_for_servers(PipelineSettings, on_try=vitals.touch)
    prepare(shared, settings)
    app = make_app(
        "detection",
        shared.broker_url,
        handlers,
        lambda publish: build_context(shared, settings, publish),
    )
    run_worker(app, threads=settings.threads, vitals=vitals)


if __name__ == "__main__":
    watch(work)
