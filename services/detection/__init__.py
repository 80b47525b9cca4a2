"""Finds faces, vehicles, people and what moved in stored images, and blurs faces."""

import os

# Read when ONNX Runtime is imported: 1.31 else sends Microsoft events and keeps a device id.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
