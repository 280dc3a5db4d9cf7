# A Docker engine for the demonstration: the one that runs, or one that is started now and stopped at the end. Sourced
# by `run`.

heading "Find a Docker engine, or start one"
engine=''
if docker info >/dev/null 2>&1; then
  good "one runs already: version $(docker info --format '{{.ServerVersion}}')"
else
  [ "$(id -u)" -eq 0 ] || fail "no Docker engine answers, and only root can start one: start it, or run this as root"
  if [ -d /run/systemd/system ] && systemctl start docker 2>/dev/null; then
    good "started by systemd"
  else
    setsid dockerd >"$directory/dockerd.log" 2>&1 </dev/null &
    engine=$!
    good "started dockerd; it ends with the demonstration"
  fi
  eventually 60 docker info || fail "the engine does not answer after a minute; see $directory/dockerd.log"
fi
engine_socket=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)
engine_socket=${DOCKER_HOST:-${engine_socket:-unix:///var/run/docker.sock}}
case $engine_socket in
  unix://*) ;;
  *) fail "the demonstration needs an engine on this machine; DOCKER_HOST is $engine_socket" ;;
esac
