"""The online store: for each entity a copy of its newest offline row, to be read within a request.

Add here: how rows are chosen, packed, kept, read and forgotten. Keep out: how features are computed, and HTTP.
"""
