from __future__ import annotations

import json
from typing import Any

import pytest

from services.scheduler.feeds.grandlyon import PLACEHOLDER_SHA256, parse

IMAGES = "https://download.data.grandlyon.com/files/rdata/pvo_patrimoine_voirie.pvocameracriter"


def row(code: str = "CWL7033", **other: Any) -> dict[str, Any]:
    return {
        "nom": "Porte de Gerland",
        "libellelong": "Avenue T.Garnier / Avenue J.Jaurès",
        "numeromaintenance": code,
        "observation": "Direction : Porte de Gerland",
        "url": f"{IMAGES}/{code}.JPG",
        "gid": 40,
        "last_update": "2026-08-26 10:34:19+02:00",
        "lat": 45.726733643986854,
        "lon": 4.830317178921582,
        **other,
    }


def body(*rows: Any) -> bytes:
    return json.dumps({"fields": [], "nb_results": len(rows), "values": rows}).encode()


def test_row_becomes_a_camera_with_licence_and_place() -> None:
    [camera] = parse(body(row()))
    assert camera.id == "cwl7033"
    assert camera.url == f"{IMAGES}/CWL7033.JPG"
    assert camera.name == "Avenue T.Garnier / Avenue J.Jaurès · Direction : Porte de Gerland"
    assert camera.every_s == 62
    assert camera.licence == "Licence Ouverte 2.0"
    assert camera.policy == "anonymise"
    assert (camera.latitude, camera.longitude) == (45.726733643986854, 4.830317178921582)
    assert camera.placeholder_sha256 == (PLACEHOLDER_SHA256,)


def test_camera_known_to_send_truncated_pictures_keeps_them() -> None:
    assert [camera.keep_truncated for camera in parse(body(row("CWL5801"), row()))] == [True, False]


@pytest.mark.parametrize(
    "hostile",
    [
        row(url="http://169.254.169.254/latest/meta-data"),
        row(url="https://download.data.grandlyon.com.evil.example/a.jpg"),
        row(url="file:///etc/passwd"),
        row(url=None),
        row(code="../../etc"),
        row(code=""),
        row(lat="north"),
        "not a row",
        None,
    ],
)
def test_row_that_is_no_camera_of_this_feed_is_left_out(hostile: Any) -> None:
    assert [camera.id for camera in parse(body(hostile, row()))] == ["cwl7033"]


def test_same_code_twice_is_one_camera() -> None:
    assert len(parse(body(row(), row()))) == 1


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"{}", b'{"values": 3}', b"\xff\xfe"])
def test_answer_that_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse(data)
