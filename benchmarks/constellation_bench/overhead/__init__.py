"""What the orchestrator costs per star: CPU time of a run whose stars do nothing."""
