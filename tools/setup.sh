#!/usr/bin/env bash
# Sets up everything that the make targets need: system packages for a screen that is not there, a virtual environment, the package.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

python=""
for candidate in python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { say "Python 3.11 to 3.13 is needed and was not found: install python3.11."; exit 1; }

# Xvfb, Mesa and the xcb libraries of Qt: tests and pictures need a screen, even a virtual one
if [ "$(uname -s)" = Linux ]; then
    packages=(xvfb xauth libegl1 libgl1 libgl1-mesa-dri libxkbcommon-x11-0 libdbus-1-3 libxcb-cursor0 libxcb-icccm4 libxcb-image0
        libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0)
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || packages+=("python3-venv")
    if command -v dpkg-query >/dev/null 2>&1; then
        missing=()
        for package in "${packages[@]}"; do
            dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
        done
        if [ ${#missing[@]} -gt 0 ]; then
            if [ "$(id -u)" -eq 0 ]; then
                say "Installing ${missing[*]}"
                export DEBIAN_FRONTEND=noninteractive
                apt-get update -qq
                apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
            else
                say "System packages are missing; run: sudo apt-get install ${missing[*]}"
                exit 1
            fi
        fi
    fi
fi

# a second run is fast: the stamp holds what the environment was made from
wanted=$(cat pyproject.toml constraints.txt tools/setup.sh | cksum)
stamp=.venv/.setup-stamp
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
say "Installing the package and its dependencies into .venv (a few minutes the first time)"
.venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt --upgrade "pip>=25.1"
.venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[all]" --group test --group lint --group docs
printf '%s' "$wanted" >"$stamp"
