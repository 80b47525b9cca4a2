"""Started by `python -m services.scheduler`: a worker on its queue, and beat as its child."""

from __future__ import annotations

from pipeline.broker import make_app, run_worker
from pipeline.logs import start_logs
from pipeline.settings import PipelineSettings
from services.scheduler.settings import SchedulerSettings
from services.scheduler.tasks import build_context, handlers


def main() -> None:
    start_logs()
    shared, settings = PipelineSettings(), SchedulerSettings()
    app = make_app(
        "scheduler",
        shared.broker_url,
        handlers,
        lambda publish: build_context(shared, settings, publish),
    )
    run_worker(app, threads=1, beat=True)


if __name__ == "__main__":
    main()
