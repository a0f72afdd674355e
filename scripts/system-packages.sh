#!/usr/bin/env bash
# The one thing pip cannot bring: a browser for the tests of the app. Nothing else needs it, so its absence is not an error here.
set -euo pipefail

for browser in chromium chromium-browser google-chrome-stable google-chrome; do
  if command -v "$browser" >/dev/null; then exit 0; fi
done

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install() {
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return 1
  echo "Installing Chromium for the browser tests"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core fonts-liberation >/dev/null
}

if ! install; then
  echo "No Chromium here, and it could not be installed (that takes apt-get, and root or sudo). Only the browser tests need it: install Chromium or Chrome" >&2
  echo "so that 'chromium' or 'google-chrome' is on the PATH, or leave them out: .venv/bin/python -m pytest -m 'not browser'" >&2
fi
