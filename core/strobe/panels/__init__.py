"""What people look at: panels at a cursor, pages of them as data, several runs in one, and the events of a run."""
