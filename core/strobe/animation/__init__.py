"""Films of panels and reports over a range of cursors: what stays is drawn once, what moves at every frame, and one frame at a time is in memory."""
