"""Measure a window against its past: drift of inputs and scores, quality on late labels. Keep out: what to do about it (retraining/)."""
