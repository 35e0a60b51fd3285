#!/usr/bin/env bash
# One line to the person who waits.
printf '▸ %s\n' "$*" >&2
