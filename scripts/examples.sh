#!/usr/bin/env bash
# Install packages of examples/plugins over an environment, and test each as its author would: `examples.sh PYTHON JOBS FOLDER ...`
set -euo pipefail
base=$1 jobs=$2
shift 2
over=.venv-examples
sites() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
if [ ! -x "$over/bin/python" ]; then
  "$base" -m venv "$over"
  # What is installed below is found, its plugins included; a .pth file also lets editable installs of the base be found.
  printf 'import site; site.addsitedir("%s")\n' "$(sites "$base")" >"$(sites "$over/bin/python")/base.pth"
fi
python=$PWD/$over/bin/python
install() { "$python" -m pip install --quiet --disable-pip-version-check --no-build-isolation "$@"; }
ready=()
for folder in "$@"; do
  stamp="$over/$(basename "$folder")"
  if [ ! -e "$stamp" ] || [ "$folder/pyproject.toml" -nt "$stamp" ] || [ constraints.txt -nt "$stamp" ]; then
    install --no-deps --editable "$folder"
    # One reason to skip, and it is said: packages that can neither be found nor fetched.
    install --constraint constraints.txt --editable "$folder" || { echo "examples: $(basename "$folder") skipped, what it requires could not be installed"; continue; }
    touch "$stamp"
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
