"""`mlops demo`: the whole loop on a year of real flights. The one room where flights are known by name."""
