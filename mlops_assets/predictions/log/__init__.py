"""The prediction log: what a server was asked and what it said, in SageMaker's DataCapture envelope, then as tables.

Add here: the form of a line, segments on disk, their compaction, what is read from the tables. Keep out: HTTP (`serving/`).
"""
