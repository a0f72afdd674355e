"""What `ModuleFamily` finds out about a torch module: its tensors, its sites, its inputs."""
