#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: a scene that is killed with its command leaves nothing that the next weir command does not
#       take away, and the command that cleans up after it touches nobody else's objects.
# Method: without namespaces everybody is killed in the instant in which the n-th object is made
#         (kill_making.c), for every n until the scene is through; then one weir command.

bats_require_minimum_version 1.5.0

load demo_functions
# shellcheck disable=SC2154 # bats and demo_functions set stderr and forbid_namespaces

# killed_at N SCENE: 0 if everybody was killed as the N-th object was made, 1 if the scene was through.
killed_at() {
    local status=0 group
    : >count
    WEIR_KILL_AT=$1 WEIR_KILL_COUNT="$PWD/count" ASAN_OPTIONS=verify_asan_link_order=0 \
        LSAN_OPTIONS=detect_leaks=0 setsid unshare --user --map-root-user sh -c "$forbid_namespaces" \
        sh env LD_PRELOAD="$WEIR_BUILD/tests/kill_making.so" "$WEIR" demo "$2" >out 2>err 3>&- &
    group=$!
    wait "$group" || status=$?
    for ((i = 0; i < 500; i++)); do # those who had another parent die a moment later
        kill -0 -- "-$group" 2>/dev/null || break
        sleep 0.01
    done
    [ "$status" -eq 0 ] || [ "$status" -eq 137 ] || { cat err; return 2; }
    [ "$status" -eq 137 ]
}

left() { # shm or sem
    tail -n +2 "/proc/sysvipc/$1" | wc -l
}

@test "SIGKILL of all in the instant in which a scene makes an object" {
    [ "$WEIR_ISOLATED" = 1 ] || skip "others are here: no namespaces"
    needs_user_namespaces
    segments=0 sets=0
    for scene in condition crash ftok init-race latest lifecycle mutex-death pointer race rmid torn; do
        kills=0
        for ((n = 1; n < 40; n++)); do
            killed_at "$n" "$scene" 2>/dev/null || { result=$?; break; }
            segments=$((segments + $(left shm)))
            sets=$((sets + $(left sem)))
            "$WEIR" list -q >/dev/null
            check_nothing_left
            [ "$(find "$TMPDIR" -maxdepth 1 -name 'weir-demo-*')" = "" ]
            kills=$((kills + 1))
        done
        echo "$scene: $kills kills"
        [ "$result" -eq 1 ]
        [ "$kills" -ge 1 ]
        [ "$(left shm) $(left sem)" = "0 0" ]
    done
    echo "left for the next command: $segments segments, $sets sets"
    [ "$segments" -ge 8 ]
    [ "$sets" -ge 4 ]
}

@test "weir gc names what a killed scene has left, and with --yes removes it" {
    [ "$WEIR_ISOLATED" = 1 ] || skip "others are here: no namespaces"
    needs_user_namespaces
    killed_at 2 crash 2>/dev/null
    [ "$(left shm) $(left sem)" = "1 1" ]
    run --separate-stderr "$WEIR" gc --noheadings -o WHY
    [ "${#lines[@]}" -eq 2 ]
    [ "${lines[0]}" = "the scene of weir demo that made it was killed" ]
    # Its segment with the size that the kernel has, its set with an id alone.
    read -r _ id _ bytes _ < <(tail -n 1 /proc/sysvipc/shm)
    read -r _ set _ < <(tail -n 1 /proc/sysvipc/sem)
    [ "$("$WEIR" gc -rb --noheadings -o ID,SEMID,SIZE 2>/dev/null | sort)" = \
        "$(printf -- '%s\n' "- $set -" "$id - $bytes" | sort)" ]
    [ "$(left shm) $(left sem)" = "1 1" ]
    run --separate-stderr "$WEIR" gc --yes
    [ "$status" -eq 0 ]
    [[ "$stderr" == *"removed: 2"* ]]
    check_nothing_left
}

@test "what a killed scene was about to make, and somebody else has made, stays" {
    [ "$WEIR_ISOLATED" = 1 ] || skip "others are here: no namespaces"
    needs_user_namespaces
    killed_at 1 rmid 2>/dev/null
    read -r kind key size creator maker changed_at < <(tail -n 1 weir-demo-*/.journal)
    ipcrm -M "$(printf '0x%08x' "$((key & 0xffffffff))")"
    # The same key, size, creator; another process.
    perl -e 'defined shmget($ARGV[0], $ARGV[1], 0600 | 01000 | 02000) or die "$!\n"' -- "$key" "$size"
    "$WEIR" list -q >/dev/null
    [ "$kind $creator" = "1 $(id -u)" ]
    [ "$maker" -gt 0 ]
    [ "$changed_at" -gt 0 ]
    [ "$(left shm)" -eq 1 ]
    "$WEIR" rm "key:$((key & 0xffffffff))"
    check_nothing_left
}

@test "a private scene is killed: the command removes nothing of its own namespace" {
    unshare --ipc true || skip "no IPC namespace is permitted here"
    # In two namespaces that are new the first sets have the same identifier. The scene has noted
    # its own when it is halted behind the making of the next object.
    cat >inside.sh <<'SCRIPT'
: >count
WEIR_KILL_AT=2 WEIR_KILL_COUNT="$PWD/count" WEIR_KILL_HALTS=1 \
    ASAN_OPTIONS=verify_asan_link_order=0 LSAN_OPTIONS=detect_leaks=0 \
    LD_PRELOAD="$WEIR_BUILD/tests/kill_making.so" "$WEIR" demo crash >out 2>err 3>&- &
command=$!
for ((i = 0; i < 500 && $(wc -c <count) < 2; i++)); do
    sleep 0.01
done
ipcmk -S 1 -p 0600
read -r scene _ <"/proc/$command/task/$command/children" || true
kill -KILL "$scene"
wait "$command" && exit 3
tail -n +2 /proc/sysvipc/sem
SCRIPT
    run --separate-stderr unshare --ipc bash inside.sh
    echo "$output"
    [ "${#lines[@]}" -eq 2 ] # ipcmk's word, and the set that it made
    grep "the scene was killed by signal 9" err
}
