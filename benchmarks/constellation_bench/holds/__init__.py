"""What a planner's review holds up: with holds only what comes after the star, with a global lock everything."""
