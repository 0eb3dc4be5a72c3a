"""The gate: is this candidate good enough to be registered? Verdicts are values, each with its reasons."""
