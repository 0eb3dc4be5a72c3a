"""Which version answers: the routing of each model, and whether the servers have followed it.

Add here: rules that change or read traffic. Keep out: HTTP (`serving/`), aliases (`registry/` mirrors the routing).
"""
