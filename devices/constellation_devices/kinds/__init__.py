"""The kinds of device that an orchestrator can start by itself; each is found by its entry point."""
