"""Chaos: hubs and devices are killed and cut off at random while a graph runs, and its effects are counted."""
