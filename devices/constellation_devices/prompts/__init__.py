"""Prompts: how a device carries out an instruction, with a model and the device's tools, or by another agent.

`loop.py` decides what happens next and does no I/O; `model_agent.py` asks the model and calls the tools.
"""
