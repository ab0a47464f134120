# SPDX-License-Identifier: MIT
# What the tests of 'weir demo' share.

setup() {
    cd "$BATS_TEST_TMPDIR"
    export TMPDIR="$BATS_TEST_TMPDIR"
}

# Segments, sets, and whatever lies in /dev/shm: none of it may be there.
check_nothing_left() {
    [ "$WEIR_ISOLATED" = 1 ] || return 0 # then others are here, and tests/isolated compares
    [ "$(tail -n +2 /proc/sysvipc/shm)" = "" ]
    [ "$(tail -n +2 /proc/sysvipc/sem)" = "" ]
    [ "$(find /dev/shm -mindepth 1 ! -type d)" = "" ]
}

# In a chroot, for one, the kernel refuses user namespaces. At the start of a test: not in run.
needs_user_namespaces() {
    unshare --user --map-root-user true || skip "user namespaces are not permitted here"
}

# A shell's script: its arguments run where no private IPC namespace can be made.
forbid_namespaces='echo 0 >/proc/sys/user/max_ipc_namespaces &&
                   echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'

# Runs its arguments there, or skips the test.
without_namespaces() {
    unshare --user --map-root-user true || skip "user namespaces are not permitted here"
    unshare --user --map-root-user sh -c "$forbid_namespaces" sh "$@"
}

needs_json() {
    [ "${WEIR_JSON-1}" = 1 ] || skip "this weir is built without JSON"
}

# What every scene must do, in each of its forms; leaves $output as --explain has it, and document.
check_scene() {
    run --separate-stderr "$WEIR" demo "$1"
    [ "$status" -eq 0 ]
    [ -n "$output" ]
    [ -z "$stderr" ]
    run --separate-stderr "$WEIR" demo "$1" --explain
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    [[ "$output" == *"What weir does instead"* ]]
    [[ "$output" != *$'\033'* ]]
    needs_json
    "$WEIR" demo "$1" --json --seed 7 >document
    jq -e --arg scene "$1" '.scene == $scene and .seed == 7 and .skipped == null and
                            (.facts | type) == "object"' document
}

# told_in_order TEXT...: $output has them all, one behind the other.
told_in_order() {
    local rest="$output" text
    for text in "$@"; do
        [[ "$rest" == *"$text"* ]] || { echo "not told, or too early: $text"; return 1; }
        rest="${rest#*"$text"}"
    done
}

# end_scene SIGNAL SEED COMMAND...: a scene's text is cut short by the signal at one of its first 40
# lines, and nothing is left. Prints 1 when the command ended by the signal, 0 when it was through.
end_scene() {
    "$WEIR_BUILD/tests/kill_command" -s "$1" 1 "$2" 40 "${@:3}"
    check_nothing_left
    [ "$(find "$TMPDIR" -maxdepth 1 -name 'weir-demo-*')" = "" ]
}

# The same in the machine's own namespaces, as far as the command can tell.
end_scene_without_namespaces() {
    # In the background, where SIGINT is ignored unless somebody says otherwise.
    end_scene "$1" "$2" \
        env --default-signal=INT unshare --user --map-root-user sh -c "$forbid_namespaces" sh "${@:3}"
}
