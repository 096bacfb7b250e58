"""Constellation: one request, run as a mutable DAG of tasks across many machines."""
