"""What the rows of a raw table must be, when their cells became known, and the stored verdict about them.

Add here: rules about raw data. Keep out: reading sources (`ingestion`), features, and storage mechanics (`lake`).
"""
