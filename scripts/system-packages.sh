#!/usr/bin/env bash
# The one thing pip cannot bring: a browser for the tests of the app. Nothing else needs it, so its absence is not an error here.
set -euo pipefail

for browser in chromium chromium-browser google-chrome-stable google-chrome; do
  if command -v "$browser" >/dev/null; then exit 0; fi
done

if [ "$(id -u)" = 0 ]; then
  as_root=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root=(sudo -n)
else
  as_root=(none)
fi

if [ "${as_root[*]:-}" = none ] || ! command -v apt-get >/dev/null; then
  echo "No Chromium, and no right to install it (that takes root or sudo, and apt-get). Only the browser tests need it: install Chromium or Chrome" >&2
  echo "so that 'chromium' or 'google-chrome' is on the PATH, or leave them out: .venv/bin/python -m pytest -m 'not browser'" >&2
  exit 0
fi

echo "Installing Chromium for the browser tests"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core fonts-liberation >/dev/null
