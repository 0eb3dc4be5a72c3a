"""From a source to a published table: staging, audit against the contract, publishing, and when cells became known.

Add here: rules about raw data. Keep out: features, models, and storage mechanics (`lake`).
"""
