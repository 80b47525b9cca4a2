"""An ML backend for Label Studio: it asks, and the detectors answer with predictions."""
