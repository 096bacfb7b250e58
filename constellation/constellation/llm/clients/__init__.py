"""Clients of real models: what is sent and read is the same for all; a transport per library carries it."""
