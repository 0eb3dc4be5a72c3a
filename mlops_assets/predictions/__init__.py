"""Scores of one window, and the labels that have arrived for them since.

Add here: what turns vectors into predictions. Keep out: judging them (`monitoring/`).
"""
