"""A run as a folder, what people say about it, and checkpoints that something else wrote."""
