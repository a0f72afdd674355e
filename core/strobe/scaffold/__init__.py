"""New plugin packages: `package` plans the files, `extract` takes an analyzer out of a file or a notebook, `templates` are what they are made of."""
