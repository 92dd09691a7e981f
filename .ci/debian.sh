# shellcheck shell=bash
# Sourced by the scripts beside it: how packages of the distribution are installed without any of their services starting.

export PATH="$PATH:/usr/sbin:/sbin:/usr/lib/frr"

fail() {
    echo "${0##*/}: $*" >&2
    exit 2
}

there() {
    for program in "$@"; do command -v "$program" >/dev/null || return 1; done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian starts a service as soon as it is installed. This stops that (invoke-rc.d asks policy-rc.d), so that no
# routing daemon ever touches the routes of somebody's laptop. An administrator's own policy is left as it is.
forbid_services_to_start() {
    [ -e /usr/sbin/policy-rc.d ] && return
    printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
    as_root chmod 755 /usr/sbin/policy-rc.d
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
}

services_of() {
    for package in "$@"; do
        case $package in
        frr) echo frr.service ;;
        bird2) echo bird.service ;;
        stayrtr) echo stayrtr.service ;;
        docker.io) echo docker.socket docker.service containerd.service ;;
        esac
    done
}

# And neither at the next boot: only for services that came with this installation. Where systemd is installed but
# does not run, as in containers, there is nothing to stop.
keep_services_from_boot() {
    local services
    read -r -d '' -a services < <(services_of "$@") || true
    if [ "${#services[@]}" = 0 ] || ! there systemctl; then return; fi
    as_root systemctl --quiet disable "${services[@]}"
    [ ! -d /run/systemd/system ] || as_root systemctl stop "${services[@]}"
}

# In a shell of its own: what it forbids is allowed again at its end, whatever happens.
install_packages() (
    [ $# -gt 0 ] || exit 0
    there apt-get || fail "please install: $* (this is no Debian or Ubuntu, so it cannot be done for you)"
    echo "installing $*" >&2
    forbid_services_to_start
    as_root apt-get update --quiet=2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$@" >&2
    keep_services_from_boot "$@" >&2
)
