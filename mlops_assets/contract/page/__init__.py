"""The data-quality page of a table: one HTML file that needs nothing else, made of stored verdicts.

Add here: what a person reads about a table. Keep out: judging rows; the page only retells verdicts.
"""
