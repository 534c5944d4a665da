#!/usr/bin/env bash
# Follows a stream with curl and prints its whole events: follow.sh URL, with JWT in the environment.
set -u

cursor="" pause=1.000
while :; do
    event="" next="$cursor"
    while IFS= read -r line; do
        case "$line" in
        "id: "*) next="${line#id: }" ;;
        "retry: "*) printf -v pause '%d.%03d' $((${line#retry: } / 1000)) $((${line#retry: } % 1000)) ;;
        esac
        event+="$line"$'\n'
        # Only the blank line makes an event whole, and only then may the cursor move: a connection can end anywhere.
        if [ -z "$line" ]; then
            printf '%s' "$event"
            event="" cursor="$next"
        fi
    done < <(curl --silent --show-error --fail --no-buffer --header "Authorization: Bearer $JWT" \
        ${cursor:+--header "Last-Event-ID: $cursor"} "$1")
    sleep "$pause"
done
