"""WHAT: factories of assets and their checks, one file per stage.

Add here: an asset whose body receives, calls one stage function, stores, and returns metadata. Keep out: rules and
numerics (the stages), and when things run (`automation/`).
"""
