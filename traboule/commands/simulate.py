"""`traboule simulate`: the simulated city alone, for other pipelines to poll."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import UserError
from pipeline.stopping import stop_asked
from traboule.durations import format_seconds
from traboule.new_camera import MIN_EVERY_S
from traboule.options import parse_seconds
from traboule.workspace import has_addresses

if TYPE_CHECKING:
    from services.simulation.city import CityCamera
    from services.simulation.server import CityServer

LOOPBACK = "127.0.0.1"


def simulate(
    cameras: Annotated[
        int, typer.Option(min=0, max=64, metavar="N", help="How many streets are drawn.")
    ] = 4,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Where it listens; 0: any free port.")
    ] = 8090,
    refresh: Annotated[
        str, typer.Option(metavar="TIME", help="How often a camera shows a new image.")
    ] = "5s",
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="A folder whose JPEGs and PNGs, by name, are one more camera; may be repeated.",
        ),
    ] = None,
) -> None:
    """Serve a city of cameras to try things on, until Ctrl-C."""
    if has_addresses():
        raise UserError(
            "the simulated city is a service here: docker compose --profile simulation up"
        )
    with (
        stop_asked() as stop,
        _serve(cameras, parse_seconds(refresh, "--refresh"), tuple(folder or ()), port) as server,
    ):
        introduce(server, refresh)
        stop.wait()
    typer.echo("the city is closed")


def _serve(cameras: int, refresh_s: float, folders: tuple[Path, ...], port: int) -> CityServer:
    from services.simulation.city import City
    from services.simulation.server import serve

    try:
        city = City(cameras, refresh_s=refresh_s, folders=folders)
    except FileNotFoundError as error:
        raise UserError(f"{error}; see --folder") from None
    if not city.camera_ids:
        raise UserError("a city without cameras: ask for some with --cameras or --folder")
    try:
        return serve(city, LOOPBACK, port)
    except OSError as error:
        raise UserError(
            f"cannot listen on port {port}: {error.strerror}; choose another with --port"
        ) from None


def introduce(server: CityServer, refresh: str) -> None:
    cameras = [server.city.camera(camera_id) for camera_id in server.city.camera_ids]
    for camera in cameras:
        told = f"{camera.name}: {camera.remark}" if camera.remark else camera.name
        typer.echo(f"{server.camera_url(camera.id)}  {told}")
    typer.echo(
        f"\na new image every {refresh}; misbehave with: "
        f"curl -X PUT -d truncated {server.url}/misbehave/{cameras[0].id}"
    )
    for drawn, new_id in ((True, "my-street"), (False, "my-pictures")):
        first = next((camera for camera in cameras if camera.drawn == drawn), None)
        if first is not None:
            typer.echo(f"add one:  {_say_how_to_add(server, first, new_id)}")
    typer.echo("Ctrl-C ends it.")


def _say_how_to_add(server: CityServer, camera: CityCamera, new_id: str) -> str:
    """Photographs show real people: for those the defaults, which blur faces, are right."""
    every = format_seconds(max(server.city.refresh_s, MIN_EVERY_S))
    command = f"traboule cameras add {new_id} {server.camera_url(camera.id)} --every {every}"
    return f"{command} --policy keep --detectors haar,moving-object" if camera.drawn else command
