"""Sources: what to read from where, as dlt resources that yield Arrow tables.

Add here: one module per source, runnable alone with `python -m dlt_pipelines.<source>`. Keep out: any orchestrator
and any rule about the data; the contract lives in the Ingestion file.
"""
