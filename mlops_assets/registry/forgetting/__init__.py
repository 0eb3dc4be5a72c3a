"""A person is forgotten: what the lake holds of them is found, taken out, and cannot come back by time travel.

Add here: a further kind of place that keeps rows as they came. Keep out: the online store (`features/online/forgotten.py`).
"""
