"""The saved model: its format, its check at load, and how it scores. A leaf: it imports no stage."""
