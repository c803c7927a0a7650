#!/bin/sh
# Writes .env from .env.example with a fresh secret for every empty value. Never overwrites one.
set -eu
cd "$(dirname "$0")/../.."
if [ -e .env ]; then
    echo ".env is there already; its secrets belong to the volumes that were made with it" >&2
    exit 1
fi
umask 077
while IFS= read -r line; do
    case $line in
    [A-Z]*=) printf '%s%s\n' "$line" "$(od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n')" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <.env.example >.env
echo ".env is written; who can read it can do everything"
