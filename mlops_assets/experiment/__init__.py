"""A/B tests: what to plan before, what may be concluded when, and what was decided.

Add here: rules and statistics of an experiment. Keep out: how traffic is split (`rollout/`), who asks (`cli/`, `assets/`).
"""
