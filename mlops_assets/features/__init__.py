"""Features as they were known: views computed by SQL, joined to predictions at their own time.

Add here: what a feature, a vector or a training set is, and the proof that none knows the future. Keep out: models, scores and anything that
imports Dagster.
"""
