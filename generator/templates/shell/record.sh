# Part of openssl_patch.sh: the result, as the Chef cookbook openssl_patch leaves it, for root alone.

# Prints text $1 as a JSON string.
json() { printf '"%s"' "$(printf %s "$1" | tr -c ' -~' ' ' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g')"; }

# Prints the lines of a file as a JSON list of strings.
json_list() {
    printf '['
    [ ! -s "$1" ] || tr -c ' -~\n' ' ' <"$1" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&"/' -e '$!s/$/,/' | tr -d '\n'
    printf ']'
}

# Prints lines of input, fields between tabs, as a JSON list of objects whose keys are the arguments.
json_objects() {
    printf '['
    tr -c ' -~\t\n' ' ' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | awk -F '\t' -v keys="$*" '
        BEGIN { count = split(keys, key, " ") }
        {
            printf "%s\n  {", (NR > 1 ? "," : "")
            for (i = 1; i <= count; i++) printf "%s\"%s\": \"%s\"", (i > 1 ? ", " : ""), key[i], $i
            printf "}"
        }'
    printf ']'
}

# Prints what `installed` left in file $1 as a JSON object, name to version.
json_packages() {
    awk 'BEGIN { printf "{" } { printf "%s\"%s\": \"%s\"", (NR > 1 ? ", " : ""), $2, $3 } END { printf "}" }' "$1"
}

# Prints what stays stale, "SERVICE<tab>COMMAND<tab>BECAUSE" a line, each once.
not_touched() {
    awk -F '\t' '$1 == "stale" && $3 ~ /^(service|init|container|orphan)$/ {
        print $2 "|" $3 "|" $4 "|" $5
    }' "$work/stale" | while IFS='|' read -r process sort service user; do
        because=''
        [ "$sort" = container ] || because=$(reason_for "$service")
        printf '%s\t%s\t%s\n' "$service" "$(command_for "$process" "$sort" "$service" "$user")" "$because"
    done | awk '!seen[$0]++'
}

stale_objects() {
    sed -n "s/^stale$tab//p" "$1" | json_objects pid kind service user library since build command
}

record() {
    error=null status=success
    if [ -s "$work/failures" ]; then
        status=failure
        error=$(json "$(awk '!seen[$0]++ { printf "%s%s", (said++ ? " / " : ""), $0 }' "$work/failures" | cut -c 1-2000)")
    fi
    [ -s "$work/stale" ] || : >"$work/stale"
    [ -s "$work/stale.before" ] || : >"$work/stale.before"
    owed >"$work/reboot"
    {
        printf '{\n"format": 2,\n"node": %s,\n' "$(json "$node")"
        printf '"status": "%s",\n"error": %s,\n"cookbook_version": "none: openssl_patch.sh",\n' "$status" "$error"
        printf '"actions": ["upgrade"],\n"advisories": '
        printf '%s\n' "$advisories" | tr ' ' '\n' >"$work/advisories"
        json_list "$work/advisories"
        printf ',\n"started": "%s",\n"finished": "%s",\n' "$started" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
        printf '"packages_before": %s,\n' "$(json_packages "$work/packages.before")"
        printf '"packages_after": %s,\n' "$(json_packages "$work/installed")"
        printf '"verdict": {"kind": "%s", "reasons": %s},\n' "$kind" "$(json_list "$work/reasons")"
        printf '"held": %s,\n' "$(json_objects package by command <"$work/held")"
        printf '"stale_before": %s,\n' "$(stale_objects "$work/stale.before")"
        printf '"stale_after": %s,\n' "$(stale_objects "$work/stale")"
        for list in reloaded upgraded ended restarted; do
            printf '"%s": %s,\n' "$list" "$(json_list "$work/$list")"
        done
        if [ -e "$work/reexecuted" ]; then printf '"reexecuted": true,\n'; else printf '"reexecuted": false,\n'; fi
        printf '"not_touched": %s,\n' "$(not_touched | json_objects service command because)"
        printf '"reboot": %s,\n' "$(json_list "$work/reboot")"
        printf '"unread": %s,\n' "$(unread)"
        printf '"own_copies": %s\n}\n' \
            "$(sed -n "s/^own-copy$tab//p" "$work/stale" | json_objects pid path build)"
    } >"$work/result.json"
    cp "$work/result.json" "$state/result.json.$$" && chmod 600 "$state/result.json.$$" &&
        mv "$state/result.json.$$" "$state/result.json" && return
    rm -f "$state/result.json.$$"
    fail "the result could not be written to $state: what stands there is of an earlier run"
}
