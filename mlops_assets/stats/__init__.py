"""Pure numbers: profiles, distances, block bootstrap. Keep out: storage, clocks, decisions."""
