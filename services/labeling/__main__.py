"""Started by `python -m services.labeling`: sends images to be labelled, and brings back what
people said. Its API runs in a thread beside the worker."""

from __future__ import annotations

from pipeline.vitals import Vitals
from pipeline.watchdog import watch


def work(vitals: Vitals) -> None:
    # Imported in the child: the watchdog, its parent, needs none of it.
    from pipeline.broker import make_app, publisher, run_worker
    from pipeline.logs import start_logs
    from pipeline.readiness import wait_for_servers
    from pipeline.settings import PipelineSettings
    from pipeline.storage import open_store
    from services.labeling.api import make_api, serving
    from services.labeling.settings import LabelingSettings
    from services.labeling.tasks import build_context, handlers
    from services.labeling.webhook import Doorbell

    start_logs()
    settings = LabelingSettings()
    shared = wait_for_servers(PipelineSettings, on_try=vitals.touch)
    app = make_app(
        "labeling",
        shared.broker_url,
        handlers,
        lambda publish: build_context(shared, settings, publish),
    )
    api = make_api(settings, open_store(shared.store_url), Doorbell(publisher(app)))
    with serving(api, settings.api_host, settings.api_port):
        run_worker(app, threads=1, vitals=vitals)


if __name__ == "__main__":
    watch(work)
