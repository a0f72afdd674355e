"""From names and settings to stored results: the request, the plan, and the engine that runs it."""
