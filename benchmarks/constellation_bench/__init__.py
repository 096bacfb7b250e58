"""Benchmarks of Constellation, and its demo."""
