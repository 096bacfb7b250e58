"""The orchestrator: an anyio shell around the scheduler, with the device hub, runs, planners, and the control path."""
