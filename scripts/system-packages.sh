#!/usr/bin/env bash
# What pip cannot bring: a browser for the tests of the app, and node to build the board's script. Nothing else needs them, so their absence is not
# an error here.
set -euo pipefail

packages=()
browser=''
for name in chromium chromium-browser google-chrome-stable google-chrome; do
  if command -v "$name" >/dev/null; then browser=$name; fi
done
[ -n "$browser" ] || packages+=(chromium fonts-dejavu-core fonts-liberation)
command -v npm >/dev/null || packages+=(nodejs npm)
[ ${#packages[@]} -gt 0 ] || exit 0

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install() {
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return 1
  echo "Installing ${packages[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

if ! install; then
  echo "Not here, and could not be installed (that takes apt-get, and root or sudo): ${packages[*]}. Without node the board's script is not checked." >&2
  echo "The browser tests need Chromium or Chrome: install one so that 'chromium' or 'google-chrome' is on the PATH, or leave them out:" >&2
  echo ".venv/bin/python -m pytest -m 'not browser'" >&2
fi
