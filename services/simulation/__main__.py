"""Started by `python -m services.simulation`: the simulated city, until it is told to stop."""

from __future__ import annotations

import sys

from pipeline.stopping import stop_asked
from services.simulation.city import City
from services.simulation.server import serve
from services.simulation.settings import SimulationSettings


def main() -> None:
    settings = SimulationSettings()
    city = City(
        settings.cameras,
        seed=settings.seed,
        refresh_s=settings.refresh_s,
        folders=settings.folders,
    )
    with stop_asked() as stop, serve(city, settings.host, settings.port) as server:
        sys.stdout.write(f"{len(city.camera_ids)} cameras at {server.url}/cameras.json\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
