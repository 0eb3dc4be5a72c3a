"""A registered model made again from its lineage, and the proof that it is the same, or where it parts.

Add here: what is compared. Keep out: how a clean process and a clean checkout come about (`cli/rebuild.py`).
"""
