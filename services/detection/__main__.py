"""Started by `python -m services.detection`: looks at the images that were stored."""

from __future__ import annotations

from pipeline.broker import make_app, run_worker
from pipeline.logs import start_logs
from pipeline.settings import PipelineSettings
from services.detection.settings import DetectionSettings
from services.detection.tasks import build_context, handlers


def main() -> None:
    start_logs()
    shared, settings = PipelineSettings(), DetectionSettings()
    app = make_app(
        "detection",
        shared.broker_url,
        handlers,
        lambda publish: build_context(shared, settings, publish),
    )
    run_worker(app, threads=settings.threads)


if __name__ == "__main__":
    main()
