# Sourced after venv.sh: programs from Debian's packages, without a service that is started now and at every boot.
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

# install_stopped PACKAGE: Debian would start a server right away, with a port of its own.
install_stopped() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1" >/dev/null
)

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
