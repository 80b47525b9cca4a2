"""Started by `python -m services.capture`: polls the cameras that are due."""

from __future__ import annotations

from pipeline.broker import make_app, run_worker
from pipeline.logs import start_logs
from pipeline.settings import PipelineSettings
from services.capture.settings import CaptureSettings
from services.capture.tasks import build_context, handlers


def main() -> None:
    start_logs()
    shared, settings = PipelineSettings(), CaptureSettings()
    app = make_app(
        "capture",
        shared.broker_url,
        handlers,
        lambda publish: build_context(shared, settings, publish),
    )
    run_worker(app, threads=settings.threads)


if __name__ == "__main__":
    main()
