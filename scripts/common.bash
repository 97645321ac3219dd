# shellcheck shell=bash
# What the scripts in this folder share; they source it.

have() {
    command -v "$1" >/dev/null
}

needed=()
need() {
    needed+=("$@")
}

# Installs the packages that were said to be needed, if any were.
install_needed() {
    ((${#needed[@]})) || return 0
    local command=(apt-get install --yes --no-install-recommends "${needed[@]}")
    have apt-get || fail "this is not Debian: install what its packages ${needed[*]} hold, then try again"
    local as_root=(env DEBIAN_FRONTEND=noninteractive)
    if ((EUID != 0)); then
        have sudo || fail "root is needed, and there is no sudo: have root do \`${command[*]}\`"
        as_root=(sudo "${as_root[@]}")
    fi
    echo "installing: ${needed[*]}"
    "${as_root[@]}" apt-get update --quiet ||
        fail "can't update the list of packages: have root do \`${command[*]}\`"
    "${as_root[@]}" "${command[@]}" ||
        fail "can't install packages: have root do \`${command[*]}\`"
    needed=()
}

fail() {
    echo "error: $*" >&2
    exit 1
}
