#!/usr/bin/env bash
# Score what changed and write the page, in a checkout of the leaderboard; keep.sh keeps the scores.
set -euo pipefail
zoobench leaderboard score
zoobench leaderboard page
