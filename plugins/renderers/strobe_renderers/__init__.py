"""Built-in renderers: one module each, registered in entrypoints.toml, written against the public API of `strobe`."""
