# SPDX-License-Identifier: MIT
# What the tests of commands that publish and subscribe share: load channels.bash
#
# A test runs in a folder of its own; whoever stands in $children is killed when it is over.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    children=()
}

teardown() {
    end_children
    remove_all
}

end_children() {
    [ "${#children[@]}" -eq 0 ] || kill -KILL "${children[@]}" 2>/dev/null || true
    wait
}

# sub FILE ARGUMENT...: 'weir sub' into FILE, and until it has subscribed to c, as one of
# $subscribed; sets sub_pid.
subscribed=0
sub() {
    local file=$1
    shift
    "$WEIR" sub "$@" >"$file" 2>"$file.err" 3>&- &
    sub_pid=$!
    children+=("$sub_pid")
    subscribed=$((subscribed + 1))
    "$WEIR" pub --wait-for "$subscribed" --wait 20 c </dev/null
}

# pub_open ARGUMENT...: 'weir pub' that sends what is written into file descriptor 5; sets pub_pid.
pub_open() {
    mkfifo in
    "$WEIR" pub "$@" c <in 3>&- &
    pub_pid=$!
    children+=("$pub_pid")
    exec 5>in
}

# ends PID STATUS
ends() {
    local got=0
    wait "$1" || got=$?
    [ "$got" -eq "$2" ] || {
        echo "process $1 ended with $got, not $2"
        return 1
    }
}

# until_so COMMAND...: until it succeeds, 20 seconds at most.
until_so() {
    local deadline=$((SECONDS + 20))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || {
            printf 'not so after 20 seconds:'
            printf ' %q' "$@"
            return 1
        }
    done
}

# stop PID: SIGSTOP, and until each of its threads has stopped.
stop() {
    kill -STOP "$1"
    until_so is_stopped "$1"
}

is_stopped() {
    ! cat "/proc/$1/task/"*/status | grep '^State:' | grep -qv '(stopped)'
}

# has_lines FILE N: so many, or more.
has_lines() {
    [ "$(wc -l <"$1")" -ge "$2" ]
}
