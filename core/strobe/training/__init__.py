"""From a configuration to checkpoints on disk: the loop as a stream of events, and what puts the events on disk."""
