"""A small made-up shop that is not flights: orders, some of which come back."""
