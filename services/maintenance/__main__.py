"""Started by `python -m services.maintenance`: sweeps, deletes and restores."""

from __future__ import annotations

from pipeline.broker import make_app, run_worker
from pipeline.logs import start_logs
from pipeline.settings import PipelineSettings
from services.maintenance.settings import MaintenanceSettings
from services.maintenance.tasks import build_context, handlers


def main() -> None:
    start_logs()
    shared, settings = PipelineSettings(), MaintenanceSettings()
    app = make_app(
        "maintenance",
        shared.broker_url,
        handlers,
        lambda publish: build_context(shared, settings, publish),
    )
    run_worker(app, threads=1)


if __name__ == "__main__":
    main()
