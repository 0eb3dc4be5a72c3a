"""Model versions and their aliases. Nothing enters without an approved verdict."""
