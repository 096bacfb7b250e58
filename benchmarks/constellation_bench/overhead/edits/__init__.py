"""What an edit of a large graph costs: one line, and a batch of a hundred operations."""
