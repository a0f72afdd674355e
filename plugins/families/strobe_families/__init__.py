"""Built-in families: models, tasks, data and probes, registered in entrypoints.toml."""
