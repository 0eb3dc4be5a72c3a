"""Storage by URI: files, Delta tables with immutable snapshots, small state objects. A leaf: it knows no stage.

Add here: how bytes, tables and state are kept. Keep out: what any table means.
"""
