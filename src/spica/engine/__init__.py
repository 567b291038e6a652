"""Plan, walk, execute, rescue, resume: the only writer of products and jobs."""
