#!/bin/sh
# Apply manifests and wait until every RecommenderStack and ModelVersion in them is Ready, or is Stalled: then fail with the reason.
#
#   apply-and-wait.sh FILE|FOLDER|URL [KUBECTL OPTION…]        e.g. apply-and-wait.sh production/ -n shop --context prod
#
# Needs kubectl and a POSIX shell, nothing else. Environment: KUBECTL (kubectl), TIMEOUT (seconds, 1800), INTERVAL (seconds, 5).
# Exit status: 0 all are Ready for what was applied; 1 kubectl failed or the API server refused; 2 wrong usage, or nothing of recstack in it;
# 3 one is Stalled, its reason and message are on standard error; 4 TIMEOUT passed, what each waits for is on standard error.
set -u
KUBECTL=${KUBECTL:-kubectl} TIMEOUT=${TIMEOUT:-1800} INTERVAL=${INTERVAL:-5}
if [ $# -lt 1 ]; then
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
source=$1
shift

# One line an object: state, kind/name, then "reason: message". A condition counts only if it speaks of the present generation.
template='{{define "one"}}{{if or (eq .kind "RecommenderStack") (eq .kind "ModelVersion")}}{{$g := .metadata.generation}}{{$who := printf "%s/%s" .kind .metadata.name}}
{{- $state := "Waits"}}{{$text := "not seen by the operator yet"}}
{{- if .status}}{{range .status.conditions}}{{if eq (printf "%v" .observedGeneration) (printf "%v" $g)}}
{{- if eq .type "Ready"}}{{if eq .status "True"}}{{$state = "Ready"}}{{end}}{{$text = printf "%s: %s" .reason .message}}{{end}}
{{- if and (eq .type "Stalled") (eq .status "True")}}{{$state = "Stalled"}}{{$text = printf "%s: %s" .reason .message}}{{end}}
{{- end}}{{end}}{{end}}{{printf "%s %s %s\n" $state $who $text}}{{end}}{{end}}
{{- if eq .kind "List"}}{{range .items}}{{template "one" .}}{{end}}{{else}}{{template "one" .}}{{end}}'

"$KUBECTL" apply -f "$source" "$@" || exit 1
deadline=$(($(date +%s) + TIMEOUT))
said=
while :; do
  now=$("$KUBECTL" get -f "$source" "$@" -o "go-template=$template") || exit 1
  if [ -z "$now" ]; then
    echo "There is no RecommenderStack and no ModelVersion in $source." >&2
    exit 2
  fi
  if [ "$now" != "$said" ]; then
    echo "$now"
    said=$now
  fi
  if stalled=$(echo "$now" | grep '^Stalled '); then
    echo "$stalled" >&2
    exit 3
  fi
  waits=$(echo "$now" | grep -v '^Ready ') || exit 0
  if [ "$(date +%s)" -ge "$deadline" ]; then
    echo "$TIMEOUT s have passed." >&2
    echo "$waits" >&2
    exit 4
  fi
  sleep "$INTERVAL"
done
