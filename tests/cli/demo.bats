#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir demo: what it prints, what its scenes report, and that nothing is left.

bats_require_minimum_version 1.5.0

load demo_functions

two_lines='Parent writes message
Child reads: Hello from parent via shared memory'

@test "no argument: exactly two lines through a pipe" {
    run --separate-stderr bash -c '"$WEIR" demo | cat'
    [ "$status" -eq 0 ]
    [ "$output" = "$two_lines" ]
    [ -z "$stderr" ]
    check_nothing_left
}

@test "no argument: exactly two lines in a file" {
    "$WEIR" demo >out 2>err
    [ "$(cat out)" = "$two_lines" ]
    [ ! -s err ]
}

@test "no argument: exactly two lines on a terminal" {
    script --quiet --return --command '"$WEIR" demo' /dev/null </dev/null | tr -d '\r' >out
    [ "$(cat out)" = "$two_lines" ]
}

@test "no argument: each line by the process that it names" {
    strace -f -qq -e trace=write -e signal=none -o trace "$WEIR" demo >out || skip "no strace"
    parent="$(sed -n 's/^\([0-9]*\) .*"Parent writes.*/\1/p' trace)"
    child="$(sed -n 's/^\([0-9]*\) .*"Child reads.*/\1/p' trace)"
    [ -n "$parent" ]
    [ -n "$child" ]
    [ "$parent" != "$child" ]
}

@test "no argument: a full disk and a closed stdout are told of, and nothing hangs" {
    run --separate-stderr bash -c '"$WEIR" demo >/dev/full'
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"No space left"* ]]
    run --separate-stderr bash -c '"$WEIR" demo >&-'
    [ "$status" -eq 1 ]
    [ -n "$stderr" ]
    check_nothing_left
}

# A file that may not grow beyond 1024 bytes and has room for $1 more: whoever writes further is
# killed by SIGXFSZ, at a known place.
demo_into_limited_file() {
    [ -z "$WEIR_COVERAGE" ] || skip "a build that counts lines writes its counts beyond the limit"
    head -c $((1024 - $1)) /dev/zero >limited
    run bash -c 'ulimit -c 0; ulimit -f 1; exec "$WEIR" demo >>limited 2>err'
}

@test "no argument: the child is killed, the parent says so" {
    demo_into_limited_file 22 # the parent's line
    [ "$status" -eq 1 ]
    [[ "$(cat err)" == "weir demo: the child was killed by signal 25 "* ]]
    [ "$(tail -c 22 limited)" = "Parent writes message" ]
    check_nothing_left
}

@test "no argument: the parent is killed, the child notices and ends" {
    demo_into_limited_file 0
    [ "$status" -eq $((128 + 25)) ]
    for ((i = 0; i < 500; i++)); do
        [ ! -s err ] || break
        sleep 0.02
    done
    [ "$(cat err)" = "weir demo: the parent is gone, and has written nothing" ]
}

@test "200 SIGKILLs of parent, child, both: nothing is left after the next demo" {
    met="$("$WEIR_BUILD/tests/kill_command" 200 1 2500 "$WEIR" demo)"
    [ "$met" -ge 50 ]
    [ "$("$WEIR" demo)" = "$two_lines" ]
    check_nothing_left
}

@test "--list names each scene once, with a summary" {
    run --separate-stderr "$WEIR" demo --list
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    [ "${#lines[@]}" -ge 1 ]
    [ "$(cut -d' ' -f1 <<<"$output" | sort | uniq -d)" = "" ]
    for line in "${lines[@]}"; do
        [[ "$line" =~ ^[a-z-]+\ +[a-zA-Z] ]]
    done
}

@test "called wrongly: exit 2, nothing on stdout" {
    for arguments in "nonsense" "lifecycle rmid" "lifecycle --json --explain" "lifecycle --seed x" \
        "lifecycle --seed -1" "lifecycle --nonsense" "--explain"; do
        run --separate-stderr "$WEIR" demo $arguments
        [ "$status" -eq 2 ]
        [ -z "$output" ]
        [ -n "$stderr" ]
    done
}

@test "--help" {
    run --separate-stderr "$WEIR" demo --help
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    [[ "$output" == "Usage: weir demo"* ]]
}

@test "--step without a terminal says so and goes on" {
    run --separate-stderr "$WEIR" demo lifecycle --step </dev/null
    [ "$status" -eq 0 ]
    [[ "$stderr" == *"going on without"* ]]
    [[ "$output" == *"shm_nattch"* ]]
}

@test "bold on a terminal alone, and not with NO_COLOR; --step goes on with Enter" {
    export TERM=xterm
    unset NO_COLOR # the caller may have it
    script -qec '"$WEIR" demo rmid --explain' /dev/null </dev/null >page
    grep -qF $'\033[1m' page
    NO_COLOR=1 script -qec '"$WEIR" demo rmid --explain' /dev/null </dev/null >page
    [ "$(grep -cF $'\033' page)" -eq 0 ]
    printf '\n%.0s' {1..100} | NO_COLOR=1 script -qec '"$WEIR" demo rmid --step' /dev/null >page
    [ "$(grep -c -- '-- Enter --' page)" -ge 15 ]
    grep -qF "What weir does instead" page
}

@test "scene seed: seven faults, each with its evidence, and the program made right" {
    check_scene seed
    # Its parent may be late, as no example of what it shows: but not three times.
    for _ in 1 2; do
        jq -e '.facts.sleep_waited_ms >= 900' document && break
        "$WEIR" demo seed --json --seed 7 >document
    done
    jq -e '.facts | .ftok_missing_file == -1 and .ftok_stranger_met and .unchecked_signal == 11 and
           (.unchecked_said_why | not) and .mode_with_umask_077 == "0666" and
           .sleep_waited_ms >= 900 and .late_parent_child_read_nothing and .pipe_lines_swapped and
           .heading_printed == 2 and .left_behind and .status_when_child_died == 0 and
           .right_us > 0 and .right_lines_in_order' document
    jq -e '[.faults[] | .fault, .does, .happened, .why, .cure | length > 0] |
           length == 35 and all' document
}

@test "scene seed --explain: shows the program that it runs, within 80 columns" {
    "$WEIR" demo seed --explain >page
    sed -n '/^int main/,$p' "$WEIR_SOURCE/examples/textbook/seed.c" | while IFS= read -r line; do
        grep -qxF "${line:+    }$line" page || { echo "not shown: $line"; exit 1; }
    done
    [ "$(grep -cE '^[2-8]\. Fault: ' page)" -eq 7 ]
    [ "$(grep -c '^  Just now  ' page)" -eq 7 ]
    [ "$(awk 'length > 80' page)" = "" ]
    grep -qF '| Child reads: Hello from parent via shared memory' page
    grep -qE '^ +/proc/[0-9]+/maps \(child\)' page
    grep -qE 'shm_nattch +0 -> 1 \*' page
}

@test "the program made right: at most 60 lines, correct through a pipe, nothing left" {
    [ "$(wc -l <"$WEIR_SOURCE/examples/textbook/seed_right.c")" -le 60 ]
    command -v cc || skip "no compiler"
    cc -Wall -Wextra -Werror "$WEIR_SOURCE/examples/textbook/seed_right.c" -o right -pthread
    [ "$(./right | cat)" = "$two_lines" ]
    check_nothing_left
}

@test "scene lifecycle: the counts of the kernel" {
    check_scene lifecycle
    run "$WEIR" demo lifecycle
    [ "$(grep -o 'attached [0-9]' <<<"$output" | cut -d' ' -f2 | tr '\n' ' ')" = "0 1 2 4 2 1 0 " ]
}

@test "scene rmid: usable after the removal, freed at the last detach" {
    check_scene rmid
    jq -e '.facts.usable_after_removal and .facts.freed_at_last_detach and
           (.facts.found_by_key_after_removal | not)' document
    run "$WEIR" demo rmid --explain
    [[ "$output" == *"0600 -> 0600 DEST *"* ]]
    [[ "$output" == *"struct shmid_ds is gone"* ]]
}

@test "scene crash: SEM_UNDO frees the lock and not the data" {
    check_scene crash
    jq -e '.facts == {without_undo_value: 0, without_undo_next_gets_it: false,
                      without_undo_data_half_written: true, with_undo_value: 1,
                      with_undo_next_gets_it: true, with_undo_data_half_written: true}' document
}

@test "a full disk is told of" {
    run --separate-stderr bash -c '"$WEIR" demo lifecycle --explain >/dev/full'
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"No space left"* ]]
}

@test "a reader who has seen enough is no news: the status alone tells it" {
    run --separate-stderr bash -c 'exec > >(true); wait $!; "$WEIR" demo lifecycle --explain'
    [ "$status" -eq 141 ]
    [ "$stderr" = '' ]
}

@test "scenes run without private namespaces too, and remove what they made" {
    needs_user_namespaces
    for scene in lifecycle crash rmid; do
        run --separate-stderr without_namespaces "$WEIR" demo "$scene" --explain
        [ "$status" -eq 0 ]
        [[ "$output" == *"namespace is not permitted here"* ]]
        check_nothing_left
    done
    [ "$(find "$TMPDIR" -maxdepth 1 -name 'weir-demo-*')" = "" ]
    needs_json
    without_namespaces "$WEIR" demo rmid --json | jq -e '.private_namespace == false'
    [ "$(find "$TMPDIR" -maxdepth 1 -name 'weir-demo-*')" = "" ]
}

@test "SIGTERM in the midst of a scene removes what it made, and ends the command by it" {
    needs_user_namespaces
    met=0
    for seed in {1..30}; do
        ended="$(end_scene_without_namespaces 15 "$seed" "$WEIR" demo crash --explain)"
        met=$((met + ended))
    done
    [ "$met" -ge 1 ]
}

@test "SIGINT in the midst of seed and lifecycle leaves nothing" {
    needs_user_namespaces
    for scene in seed lifecycle; do
        met=0
        for seed in 1 2 3 4 5 6; do
            ended="$(end_scene_without_namespaces 2 "$seed" "$WEIR" demo "$scene" --explain)"
            met=$((met + ended))
        done
        [ "$met" -ge 1 ]
    done
}

@test "signals that are ignored stay so, for all processes of a scene: nohup, a script's &" {
    local scene
    (trap '' HUP INT; exec setsid "$WEIR" demo seed --explain >told) &
    scene=$!
    until [ -s told ]; do read -rt 0.01 <> <(:) || true; done
    kill -HUP -- "-$scene"
    kill -INT -- "-$scene"
    wait "$scene"
}

@test "a scene that is stuck is killed after SIGINT, and what it made is removed" {
    needs_user_namespaces
    mkfifo told
    for _ in 1 2 3; do
        env --default-signal=INT unshare --user --map-root-user sh -c "$forbid_namespaces" \
            sh "$WEIR" demo seed --explain >told 2>err &
        command=$!
        exec {fd}<told
        for _ in {1..30}; do
            read -r _ <&"$fd"
        done
        { read -r scene _ <"/proc/$command/task/$command/children"; } 2>/dev/null || true # no newline ends it
        ! kill -STOP "$scene" || break
        # It was through before this shell ran again.
        cat <&"$fd" >/dev/null
        exec {fd}<&-
        wait "$command"
    done
    cat <&"$fd" >/dev/null &
    kill -INT "$command"
    status=0
    wait "$command" || status=$?
    exec {fd}<&-
    echo "status $status: $(cat err)"
    check_nothing_left
    [ "$(find "$TMPDIR" -maxdepth 1 -name 'weir-demo-*')" = "" ]
    [ "$status" -eq 130 ]
}

# The scene that is stopped has a list, and segments.
is_in_its_midst() {
    [ "$(cat "$TMPDIR"/weir-demo-*/.journal 2>/dev/null | wc -l)" -ge 6 ] || return 1
    [ "$WEIR_ISOLATED" = 0 ] || [ "$(tail -n +2 /proc/sysvipc/shm | wc -l)" -ge 1 ]
}

@test "SIGKILL of all of a scene without namespaces: the next demo takes away what it left" {
    needs_user_namespaces
    for _ in 1 2 3; do
        setsid unshare --user --map-root-user sh -c '
            echo 0 >/proc/sys/user/max_ipc_namespaces
            echo 0 >/proc/sys/user/max_user_namespaces
            exec "$WEIR" demo seed' >out 2>&1 3>&- &
        group=$!
        # Three programs are running when the list names five segments: it then sleeps for a second.
        for ((i = 0; i < 500; i++)); do
            [ "$(cat "$TMPDIR"/weir-demo-*/.journal 2>/dev/null | wc -l)" -lt 6 ] || break
            sleep 0.02
        done
        kill -STOP -- "-$group" || true
        ! is_in_its_midst || break
        # It was further before this shell ran again.
        kill -CONT -- "-$group" || true
        wait "$group"
    done
    kill -KILL -- "-$group"
    wait "$group" || true
    for ((i = 0; i < 500; i++)); do
        kill -0 -- "-$group" 2>/dev/null || break
        sleep 0.02
    done
    if [ "$WEIR_ISOLATED" = 1 ]; then
        [ "$(tail -n +2 /proc/sysvipc/shm | wc -l)" -ge 1 ]
    fi
    [ "$(without_namespaces "$WEIR" demo)" = "$two_lines" ]
    check_nothing_left
    [ "$(find "$TMPDIR" -maxdepth 1 -name 'weir-demo-*')" = "" ]
}

@test "a scene's directory without a list goes when it is old and empty, and nobody else's does" {
    local empty=weir-demo-00000000000000aa begun=weir-demo-00000000000000bb open=weir-demo-00000000000000cc
    mkdir -m 700 "$empty" "$begun" "$open"
    touch "$begun/.journal"
    chmod 755 "$open"
    touch -d '2 minutes ago' "$empty" "$open"
    "$WEIR" demo
    [ ! -e "$empty" ]
    [ -e "$begun" ]
    [ -e "$open" ]
    touch -d '2 minutes ago' "$begun"
    "$WEIR" demo
    [ ! -e "$begun" ]
}

@test "what a scene has not made stays, whatever its directory is called" {
    local scene=weir-demo-00000000000000aa mine=weir-demo-00000000000000bb
    mkdir -m 700 weir-demo-slides "$scene" "$scene/run1" "$mine"
    echo mine | tee weir-demo-slides/a.pdf "$mine/shmfile" "$mine/thesis" "$scene/run1/thesis" "$scene/thesis"
    touch "$scene/shmfile" "$scene/run1/shmfile"
    # A list of an earlier start of the machine, and one that is none.
    echo 00000000-0000-4000-8000-000000000000 1 >"$scene/.journal"
    echo 'my journal' >"$mine/.journal"
    touch -d '2 minutes ago' weir-demo-slides "$scene" "$mine"
    "$WEIR" gc --yes
    "$WEIR" list -q >/dev/null
    [ "$(cat weir-demo-slides/a.pdf "$mine/shmfile" "$mine/thesis")" = $'mine\nmine\nmine' ]
    [ "$(cat "$scene/run1/thesis" "$scene/thesis")" = $'mine\nmine' ]
    [ "$(find "$scene" -type f | wc -l)" -eq 2 ]
    rm -r weir-demo-slides "$scene" "$mine"
}
