#!/usr/bin/env bash
# Keep this machine in a cluster: infra/node.sh --address=HEAD:6379 [what ray start takes]
#
# A raylet that was cut off from its head for longer than the head waits ends itself, and nothing of Ray's begins it
# again. This does: after 1 s, then ever later, a minute at most. TERM or INT end Ray, and this.
set -u
ray=${RAY_PROGRAM:-ray}
case $ray in */*) export PATH="${ray%/*}:$PATH" ;; esac # a job that is submitted runs python: the one beside ray
slowest=${TONEARM_NODE_SLOWEST:-60} # seconds between two starts, and after which a start counts as one that held
child='' ended='' pause=1

end() {
  ended=yes
  [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
}
trap end TERM INT

while [ -z "$ended" ]; do
  began=$SECONDS
  "$ray" start --block "$@" &
  child=$!
  until wait "$child"; code=$?; ! kill -0 "$child" 2>/dev/null; do :; done # a signal ends wait, not the child
  child=''
  [ -z "$ended" ] || break
  [ $((SECONDS - began)) -lt "$slowest" ] || pause=1
  echo "node.sh: Ray ended with $code after $((SECONDS - began)) s, starting it again in $pause s" >&2
  sleep "$pause" &
  child=$!
  wait "$child"
  child=''
  pause=$((pause * 2 < slowest ? pause * 2 : slowest))
done
exit 0
