"""What a star and an edit cost: CPU time of runs whose stars do nothing, beside peers that carry out the same graph."""
