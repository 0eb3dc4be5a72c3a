"""Turn what monitoring saw into decisions: events, triage, held windows, when to launch. Keep out: launching itself (automation/)."""
