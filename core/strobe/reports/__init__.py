"""What people look at: reports as files, panels at a cursor, a page as data, events and bookmarks."""
