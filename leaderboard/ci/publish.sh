#!/usr/bin/env bash
# Score what changed and write the page, in a checkout of the leaderboard; keep.sh keeps the scores. A submission that is
# refused is no reason to show nothing of the others: the page is written then, too, and the exit code is that of scoring.
set -euo pipefail
code=0
zoobench leaderboard score || code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 2 ] || exit "$code"
zoobench leaderboard page
exit "$code"
