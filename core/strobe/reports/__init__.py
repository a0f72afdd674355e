"""Reports as files: what their YAML holds, how it is read, found, edited and checked."""
