"""WHEN: jobs, schedules and sensors.

Add here: what starts a run, and with which tags. Keep out: what the run then does (`assets/`).
"""
