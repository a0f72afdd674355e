"""What can be typed: signatures and help. What the commands do is in the modules of `cli` beside this folder."""
