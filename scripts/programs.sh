# Sourced by the scripts beside it, after venv.sh: the programs that tests and benchmarks run, from Debian.
# shellcheck shell=bash

# as_root COMMAND...: fails where we may not.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# install_stopped PACKAGE: for the tests to run. Debian would start a server right away, with a port of its own.
install_stopped() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1" >/dev/null
)

# has PACKAGE: what it brings is here, also where Debian puts it and not everybody's PATH looks.
has() {
    case "$1" in
    postgresql-15) [ -x /usr/lib/postgresql/15/bin/postgres ] ;;
    chromium) command -v chromium || command -v google-chrome ;;
    nodejs) command -v node ;;
    prometheus) command -v promtool || [ -x "$venv/bin/promtool" ] ;;
    nginx-light) [ -x /usr/sbin/nginx ] ;;
    nghttp2-client) command -v h2load ;;
    gcc) command -v cc ;;
    libc6-dev) [ -e /usr/include/stdio.h ] ;;
    faketime) compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' ;;
    *) [ -x "/usr/sbin/$1" ] || command -v "$1" ;;
    esac >/dev/null
}

# install_programs PACKAGE...: those that are not here.
install_programs() {
    local missing=() package
    for package; do
        has "$package" || missing+=("$package")
    done
    [ "${#missing[@]}" = 0 ] && return
    if ! command -v apt-get >/dev/null; then
        say "not installed, and there is no apt-get to install it with: ${missing[*]}"
        return
    fi
    say "installing ${missing[*]}"
    as_root apt-get update -qq || say "apt-get update failed"
    # One by one: what this release of Debian does not have is no reason to go without the rest.
    for package in "${missing[@]}"; do
        install_package "$package" >/dev/null || say "could not install $package: what needs it is skipped"
    done
}

install_package() {
    case "$1" in
    # Its two programs are all that is needed: installed, it would be a service, started now and at every boot.
    prometheus) unpack "$1" ./usr/bin "$venv/bin" ;;
    *) install_stopped "$1" ;;
    esac
}

# unpack PACKAGE PATH FOLDER: what the package has below PATH comes into FOLDER, and nothing is installed.
unpack() {
    local archive status=0 depth
    archive="$(mktemp -d)"
    depth="$(tr -cd / <<<"$2" | wc -c)"
    mkdir -p "$3"
    {
        (cd "$archive" && apt-get download -qq -o APT::Sandbox::User=root "$1") &&
            dpkg-deb --fsys-tarfile "$archive/$1"_*.deb | tar -x -C "$3" --strip-components="$((depth + 1))" "$2"
    } || status=1
    rm -rf "$archive"
    return "$status"
}
