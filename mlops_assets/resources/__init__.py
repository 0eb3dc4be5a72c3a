"""WITH: Dagster resources that hand out plain objects.

Add here: a resource whose methods return things that know no Dagster. Keep out: work on data.
"""
