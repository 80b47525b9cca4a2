"""Started by `python -m services.detection.backend`: answers Label Studio's requests."""

from __future__ import annotations

from pipeline.vitals import Vitals
from pipeline.watchdog import watch


def work(vitals: Vitals) -> None:
    # Imported in the child: the watchdog, its parent, needs none of it.
    from pipeline.logs import start_logs
    from services.detection.backend.serving import load_models, make_backend, open_images, serve
    from services.detection.backend.settings import BackendSettings
    from services.detection.settings import DetectionSettings

    start_logs()
    backend = make_backend(BackendSettings(), DetectionSettings(), open_images(), vitals)
    load_models(backend)
    serve(backend, vitals)


if __name__ == "__main__":
    watch(work)
