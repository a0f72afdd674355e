"""Takes an hour to import."""

import time

time.sleep(3600)
