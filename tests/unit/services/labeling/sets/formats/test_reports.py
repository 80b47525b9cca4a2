from __future__ import annotations

from services.labeling.sets.formats.import_reports import MAX_LISTED, ImportTally
from services.labeling.sets.formats.reports import ExportTally


def test_export_report_reads_as_text() -> None:
    tally = ExportTally()
    tally.images = 3
    tally.shapes.update(["car", "car", "bus"])
    tally.left_out["it was skipped"].append("a")
    tally.unknown_labels["tank"] = 2
    tally.choices.update(["the only one", "the newest"])
    text = tally.report("yolo", ("car", "bus"), "20% held back").describe()
    assert text == (
        "3 images, 0 of them with nothing to be found\n"
        "3 shapes: 2 car, 1 bus\n"
        "not in the set: 1, it was skipped\n"
        "labels not in the class list: 2 tank\n"
        "chosen among several: 1, the newest\n"
        "20% held back\n"
    )


def test_import_report_counts_beyond_what_it_lists() -> None:
    tally = ImportTally()
    for number in range(MAX_LISTED + 5):
        tally.leave_out(f"{number}.txt", "empty")
        tally.note([f"line {number}"])
    report = tally.report("yolo", is_dry=False)
    assert report.left_out["empty"].count == MAX_LISTED + 5
    assert len(report.left_out["empty"].files) == len(report.problems) == MAX_LISTED
    assert "and 5 problems more" in report.describe()
