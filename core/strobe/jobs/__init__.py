"""Long work that outlives its terminal: a queue with leases, what each kind of job does, and processes that do it."""
