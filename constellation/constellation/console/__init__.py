"""What a run looks like in a terminal, in a pipe and in a report: everything that turns events into text."""
