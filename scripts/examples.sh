#!/usr/bin/env bash
# Install packages of examples/plugins over an environment, and test each as its author would: `examples.sh PYTHON JOBS FOLDER ...`
set -euo pipefail
base=$1 jobs=$2
shift 2
over=.venv-examples
sites() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
if [ ! -x "$over/bin/python" ]; then
  "$base" -m venv --without-pip "$over"
  # What is installed below is found, its plugins and pip included; a .pth file also lets editable installs of the base be found.
  printf 'import site; site.addsitedir("%s")\n' "$(sites "$base")" >"$(sites "$over/bin/python")/base.pth"
fi
python=$PWD/$over/bin/python
install() { "$python" -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-compile "$@"; }
stamp_of() { echo "$over/$(basename "$1")"; }
stale() { [ ! -e "$(stamp_of "$1")" ] || [ "$1/pyproject.toml" -nt "$(stamp_of "$1")" ] || [ constraints.txt -nt "$(stamp_of "$1")" ]; }
new=()
for folder in "$@"; do ! stale "$folder" || new+=("$folder"); done
# All at once: pip looks around the environment for each call. Where that fails, one by one, to see whose fault it is.
if [ ${#new[@]} -gt 0 ] && install --constraint constraints.txt "${new[@]/#/--editable=}" 2>/dev/null; then
  for folder in "${new[@]}"; do touch "$(stamp_of "$folder")"; done
fi
ready=()
for folder in "$@"; do
  if stale "$folder"; then
    install --no-deps --editable "$folder"
    # One reason to skip, and it is said: packages that can neither be found nor fetched.
    install --constraint constraints.txt --editable "$folder" || { echo "examples: $(basename "$folder") skipped, what it requires could not be installed"; continue; }
    touch "$(stamp_of "$folder")"
  fi
  ready+=("$folder")
done
export OMP_NUM_THREADS=1
test_one() {
  name=$(basename "$1")
  out=$(cd "$1" && "$python" -m pytest -q -p no:cacheprovider 2>&1) || { echo "== $name"; echo "$out"; exit 1; }
  echo "$name: $(grep -E '[0-9]+ passed' <<<"$out")"
}
export -f test_one
export python
[ ${#ready[@]} -gt 0 ] || exit 0
printf '%s\n' "${ready[@]}" | xargs -P "$jobs" -I{} bash -c 'test_one {}'
"$python" -c 'from strobe.cli import main; main()' plugins check "${ready[0]}"
