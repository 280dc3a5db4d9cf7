# Of the first part of the demonstration: a comment on a pull request becomes a run, one comment and one commit status.
# The forge is played: it answers as a Gitea does, over HTTP. Sourced by `recipe.sh`.

repository=$directory/recipes/guestbook

# Asks the forge as somebody: a login, a method, a path, and a body.
ask_forge() {
  local body=()
  [ $# -lt 4 ] || body=(--header 'content-type: application/json' --data "$4")
  curl --silent --show-error --fail --request "$2" --header "Authorization: token token-of-$1" "${body[@]}" "$forge_url/api/v1$3"
}

# Prints a member of what the forge answered, by a Python expression over `it`.
member() { python3 -c "import json, sys; it = json.load(sys.stdin); print($1)"; }

# What the bot wrote under the pull request, and the status of its head.
bot_comment() { ask_forge ada GET /repos/coop/guestbook/issues/7/comments | member '"\n".join(c["body"] for c in it if c["user"]["login"] == "bot")'; }
commit_status() { ask_forge ada GET "/repos/coop/guestbook/commits/$head/status" | member '"\n".join("%s: %s, %s" % (s["context"], s["status"], s["description"]) for s in it["statuses"])'; }
is_told() { grep -q "^cc-ci/guestbook: $1" <<<"$(commit_status)"; }

heading "Play a Gitea: the repository coop/guestbook, with a pull request of ada's"
main=$(git -C "$repository" rev-parse main)
sed -i 's/<h1>/<h1>✎ /' "$repository/index.html.tmpl"
sed -i -E 's/(PAGE_VERSION=).*/\1v3/' "$repository/abra.sh"
git -C "$repository" -c user.name=Ada -c user.email=ada@example.com commit --quiet --all --message 'feat: a pen beside the title'
head=$(git -C "$repository" rev-parse HEAD)
git -C "$repository" update-ref refs/pull/7/head "$head"
git -C "$repository" reset --quiet --hard "$main"
sed -e "s|GUESTBOOK_URL|file://$repository|" -e "s|MAIN_COMMIT|$main|" -e "s|HEAD_COMMIT|$head|" "$here/forge.json" >"$directory/forge.json"
setsid "$programs/fake-forge" "$directory/forge.json" >"$directory/forge.log" 2>&1 </dev/null &
forge=$!
eventually 10 grep -q '^http://' "$directory/forge.log" || fail "the forge does not begin; see $directory/forge.log"
forge_url=$(head -n 1 "$directory/forge.log")
good "it answers at $forge_url as version $(curl --silent "$forge_url/api/v1/version" | member 'it["version"]')"

heading "Watch the repository, so that comments of coop's members start runs"
must kubectl apply -f "$(manifest forge.yaml)"
must_say "condition met" kubectl wait --for=condition=Ready forge/home --timeout=30s
must "$programs/ccctl" enroll coop/guestbook --forge=home --recipe=guestbook --poll-interval=5s
must_say "condition met" kubectl wait --for=condition=Ready repository/guestbook --timeout=30s

heading "Write !testme under the pull request, as ada"
printf '   ada: Please look at the pen.\n\n   ada: !testme\n\n'
ask_forge ada POST /repos/coop/guestbook/issues/7/comments '{"body": "Please look at the pen.\n\n!testme"}' >/dev/null
run_of_comment() { kubectl get testruns -l ci.coopcloud.tech/pull-request=7 -o name | grep .; }
eventually 20 run_of_comment || fail "the comment became no run"
must "$programs/ccctl" inbox
run=$(run_of_comment)
must "$programs/ccctl" get "$run"
eventually 10 is_told pending || fail "the forge was not told that the run waits or runs"
good "the forge says: $(commit_status)"

heading "Follow it to the end, and read what the forge says"
must_say "condition met" kubectl wait --for=condition=Succeeded "$run" --timeout=300s
must_say "condition met" kubectl wait --for=condition=Reported "$run" --timeout=60s
eventually 20 is_told success || fail "the commit has no green tick: $(commit_status)"
good "the commit's status: $(commit_status)"
printf '   The comment:\n'
said=$(bot_comment)
printf '%s\n' "$said" | sed 's/^/   | /'
[ "$(grep -c 'cc-ci:report' <<<"$said")" = 1 ] || fail "there should be one comment"
grep -qF 'level 5 of 5' <<<"$said" || fail "the comment should say level 5 of 5"
grep -qF 'Since the last green run `guestbook-demo`' <<<"$said" || fail "the comment should say what changed since guestbook-demo"
