#!/usr/bin/env bash
# Check the submissions that a pull request adds, changes or withdraws, and write what a comment shall say.
#
#   leaderboard/ci/validate.sh BASE HEAD COMMENT
#
# Runs in a checkout of BASE, whose code and labels are trusted; HEAD is data (see leaderboard/pull_request.py). Exits 1
# if a submission is refused, HEAD changes anything else, or nothing was checked.
set -euo pipefail
echo "This pull request could not be checked; the log of the workflow says why." > "$3"
exec zoobench leaderboard review --comment "$3" -- "$1" "$2"
