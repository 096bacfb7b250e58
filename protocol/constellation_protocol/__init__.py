"""AIP, the Agent Interaction Protocol: how an orchestrator and its devices talk."""
