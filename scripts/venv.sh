# Sourced by the scripts beside it: a virtual environment in .venv, made and kept up to date.
# shellcheck shell=bash

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="$root/.venv"

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$(basename "$0"): $*"
    exit 2
}

# The first Python that is new enough.
find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    fail "Python 3.11 or newer is needed, and none was found"
}

# ensure_venv EXTRA: .venv holds orderstream and the extra (demo < test < dev: each holds the one before).
# Installed again only when what is wanted changed since; an install that failed leaves no stamp.
ensure_venv() {
    local extra="$1" stamp wanted python
    wanted="$(cat "$root/setup.cfg" "$root/pyproject.toml" | cksum) $root"
    for stamp in "$extra" test dev; do
        if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/installed-$stamp" 2>/dev/null)" = "$wanted" ]; then
            return
        fi
        # A `test` install does for `demo`, not the other way round.
        [ "$extra" = dev ] && break
    done
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        python="$(find_python)" || exit 2
        say "making a virtual environment in $venv"
        "$python" -m venv --clear "$venv" ||
            fail "could not make it: on Debian and Ubuntu the package python3-venv is needed"
    fi
    say "installing orderstream[$extra]"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$root[$extra]" ||
        fail "installing failed: see above"
    printf '%s\n' "$wanted" >"$venv/installed-$extra"
}
