#!/bin/sh
# Print where Chromium is, for the tests in a real browser; as root on Debian, install it where it is missing.
set -eu
find_browser() {
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        if [ -n "$name" ] && command -v "$name"; then return; fi
    done
    mac="/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    if [ -x "$mac" ]; then echo "$mac"; return; fi
    return 1
}
if find_browser; then exit 0; fi
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing Chromium (about a minute)" >&2
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; } >/dev/null
    if find_browser; then exit 0; fi
fi
echo "the browser tests need Chromium or Chrome, and none was found. Next: install one (Debian, Ubuntu: apt-get install" \
    "chromium; Fedora: dnf install chromium; macOS: brew install --cask google-chrome), or CHROMIUM=/path/to/it make e2e" >&2
exit 1
