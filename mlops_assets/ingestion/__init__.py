"""From a source to a published table: reading, staging, publishing, reconciling.

Add here: how rows come in. Keep out: what rows must be (`contract`), and storage mechanics (`lake`).
"""
