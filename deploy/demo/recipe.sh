# The first part of the demonstration: a recipe is deployed on a real swarm, taken through every rung, and removed.
# Sourced by `run`.

# Writes a manifest of deploy/demo/recipe with the places of this machine.
manifest() {
  sed -e "s|TRAEFIK_URL|file://$directory/recipes/traefik|" -e "s|GUESTBOOK_URL|file://$directory/recipes/guestbook|" \
    -e "s|FORGE_URL|${forge_url:-}|" -e "s|PROXY_HTTP_PORT|$http_port|" -e "s|PROXY_HTTPS_PORT|$https_port|" \
    -e "s|ENGINE_SOCKET|${engine_socket#unix://}|" -e "s|unix:///var/run/docker.sock|$engine_socket|" \
    "$here/recipe/$1" >"$directory/$1"
  echo "$directory/$1"
}

# What the swarm has, by kind and name.
inventory() {
  docker service ls --format 'service/{{.Name}}'
  docker ps --all --format 'container/{{.Names}}'
  docker volume ls --format 'volume/{{.Name}}'
  docker network ls --format 'network/{{.Name}}'
  docker secret ls --format 'secret/{{.Name}}'
  docker config ls --format 'config/{{.Name}}'
}

heading "Make the images and the git repositories of two bundled recipes"
"$here/../recipes/images" traefik || fail "the proxy's image cannot be made; see above"
"$here/../recipes/images" guestbook || fail "the guestbook's images cannot be made; see above"
"$here/../recipes/publish" traefik "$directory/recipes/traefik"
"$here/../recipes/publish" guestbook "$directory/recipes/guestbook"
good "guestbook has the versions $(git -C "$directory/recipes/guestbook" tag | paste -sd' ')"

heading "Say what the machine should be: a swarm, and the network on which apps meet the proxy"
must kubectl apply -f "$(manifest host.yaml)"
must_say "condition met" kubectl wait --for=condition=Ready host/local --timeout=60s

heading "Say what should run in front: Traefik, with a certificate for *.ci.test"
must_say created kubectl create secret tls wildcard --cert="$directory/tls/cert.pem" --key="$directory/tls/key.pem"
must kubectl apply -f "$(manifest proxy.yaml)"
must_say "condition met" kubectl wait --for=condition=Ready app/traefik --timeout=120s
must "$programs/ccctl" get apps

heading "Enrol the recipe"
must kubectl apply -f "$(manifest recipe.yaml)"
must_say "condition met" kubectl wait --for=condition=Ready recipe/guestbook --timeout=60s
must "$programs/ccctl" get recipes

heading "Test its newest version: install, upgrade, backup and restore, functional tests, lint"
before=$(inventory | sort)
must kubectl apply -f "$(manifest testrun.yaml)"
printf '   $ ccctl logs testrun/guestbook-demo --follow\n'
"$programs/ccctl" logs testrun/guestbook-demo --follow 2>&1 | sed 's/^/   /' || fail "the log cannot be followed"
must_say "condition met" kubectl wait --for=condition=Succeeded testrun/guestbook-demo --timeout=300s
must "$programs/ccctl" get testruns
level=$(kubectl get testrun guestbook-demo -o 'jsonpath={.status.level}')
[ "$level" = 5 ] || fail "the run should have reached level 5; it reached ${level:-none}"
good "level 5"

. "$here/pull_request.sh"

heading "Look for anything that the runs left behind"
after=$(inventory | sort)
left=$(comm -13 <(printf '%s\n' "$before") <(printf '%s\n' "$after"))
[ -z "$left" ] || fail "left behind: $left"
good "nothing: the engine has exactly what it had before"
