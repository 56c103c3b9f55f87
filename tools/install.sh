#!/bin/sh
# Install the checkout into a virtual environment: install.sh PYTHON VENV REQUIREMENT
set -eu
python=$1 venv=$2 requirement=$3
cpu_index=https://download.pytorch.org/whl/cpu

if ! command -v "$python" >/dev/null 2>&1; then
    echo "tickercast needs Python 3.11 or later; '$python' was not found. Next: install one, then make PYTHON=python3.12 ..." >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "tickercast needs Python 3.11 or later; '$python' is $("$python" --version 2>&1). Next: make PYTHON=python3.12 ..." >&2
    exit 1
fi
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear "$venv" || {
        echo "could not create $venv. On Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    }
fi

# On Linux pip's default torch carries 3 GB of CUDA libraries; without an NVIDIA GPU the CPU build (200 MB) does.
extra=""
if [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1 && ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    if "$venv/bin/python" -c "import urllib.request; urllib.request.urlopen('$cpu_index/torch/', timeout=4)" 2>/dev/null; then
        extra="--extra-index-url $cpu_index"
    fi
fi
echo "installing tickercast into $venv (one to three minutes the first time)"
# shellcheck disable=SC2086  # two words when set, none when not
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check $extra -e "$requirement"
