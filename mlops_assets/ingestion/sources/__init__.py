"""Sources that a person describes in an Ingestion file, as dlt sources.

Add here: a kind of source; its keys live in `source_spec.py`. Keep out: what becomes of the rows (`staging.py`).
"""
