#!/usr/bin/env bash
# Check the submissions that a pull request adds or changes, and write what a comment shall say.
#
#   leaderboard/ci/validate.sh BASE HEAD COMMENT
#
# Runs in a checkout of BASE, whose code and labels are trusted. Of HEAD nothing but leaderboard/submissions is taken,
# and nothing in it is executed. Exits 1 if a submission is refused or HEAD changes anything else.
set -euo pipefail
base=$1 head=$2 comment=$3
submissions=leaderboard/submissions
failed=0
: > "$comment"

if ! git diff --quiet "$base...$head" -- . ":(exclude)$submissions"; then
  echo "This pull request changes more than \`$submissions\`: the code and the labels are changed by others." >> "$comment"
  failed=1
fi

rm -rf "$submissions"
! git cat-file -e "$head:$submissions" 2> /dev/null || git checkout --quiet "$head" -- "$submissions"
git diff --name-only -z "$base...$head" -- "$submissions" | cut -z -d/ -f3 | sort -zu | while IFS= read -r -d '' name; do
  [ -e "$submissions/$name" ] || [ -L "$submissions/$name" ] || continue # withdrawn
  printf '%s\0' "$name"
done > "$comment.names"

while IFS= read -r -d '' name; do
  if ! COLUMNS=200 zoobench leaderboard validate "$submissions/$name" > "$comment.part" 2>&1; then failed=1; fi
  # Indented by four: Markdown shows it as it is, whatever is in it.
  printf '\n' >> "$comment"
  tr -cd '\11\12\40-\176\200-\377' < "$comment.part" | sed 's/^/    /' >> "$comment"
done < "$comment.names"
rm -f "$comment.names" "$comment.part"
exit "$failed"
