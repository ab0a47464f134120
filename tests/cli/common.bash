# SPDX-License-Identifier: MIT
# What the tests of several commands share: load common.bash

bats_require_minimum_version 1.5.0

# refused STATUS PATTERN COMMAND...: it fails so, says why on stderr, and nothing on stdout.
refused() {
    local wanted=$1 pattern=$2
    shift 2
    run --separate-stderr "$@"
    if [ "$status" -ne "$wanted" ] || [ -n "$output" ] || ! [[ "$stderr" =~ $pattern ]]; then
        printf 'wanted: status %s, stderr matching: %s\n' "$wanted" "$pattern"
        printf 'got:    status %s, stderr: %s\nstdout: %s\nof:' "$status" "$stderr" "$output"
        printf ' %q' "$@"
        return 1
    fi
}

# works COMMAND...: status 0 and not a word on stderr.
works() {
    run --separate-stderr "$@"
    if [ "$status" -ne 0 ] || { [ -n "$stderr" ] && ! is_of_load; }; then
        printf 'status %s, stderr: %s\nof:' "$status" "$stderr"
        printf ' %q' "$@"
        return 1
    fi
}

# Whether stderr has nothing but that 'weir pub' has waited for a subscriber for a second. A loaded machine may
# not run one for so long, but twice in all tests of a file at most.
is_of_load() {
    local waits='weir pub: waiting for subscriber [0-9]+ of .* to (attach|give back) .*'
    [[ "$stderr" =~ ^$waits$ && "$stderr" != *$'\n'* ]] || return 1
    echo "$stderr" >>"$BATS_FILE_TMPDIR/waits"
    [ "$(wc -l <"$BATS_FILE_TMPDIR/waits")" -le 2 ]
}

# Whether weir can be made to write line by line, as to a terminal: a sanitizer's build cannot.
by_lines_can() {
    [ -c /dev/full ] && [ -z "$(stdbuf -oL "$WEIR" --version 2>&1 >/dev/null)" ]
}

# weir on a full disk, and each line is written at once: it fails before it is flushed.
by_lines() {
    timeout 20 stdbuf -oL "$WEIR" "$@" >/dev/full
}

# Runs weir as the user nobody, or skips the test where that cannot be.
as_nobody() {
    nobody_can
    # A build that counts lines writes its counts where nobody may.
    GCOV_PREFIX="$nobody_folder/counts" \
        setpriv --reuid 65534 --regid 65534 --clear-groups "$nobody_folder/weir" "$@"
}

nobody_can() {
    setpriv --reuid 65534 --regid 65534 --clear-groups true 2>/dev/null ||
        skip "there is no other user to be here"
    if [ -z "${nobody_folder:-}" ]; then
        # The build folder may lie where nobody has no way.
        nobody_folder=$(mktemp -d /tmp/weir-test.XXXXXX)
        chmod 0755 "$nobody_folder"
        mkdir -m 0777 "$nobody_folder/counts"
        cp "$WEIR" "$nobody_folder/weir"
    fi
}

# Segments, sets and POSIX files of this test; without namespaces the test's own are left alone.
remove_all() {
    [ -z "${nobody_folder:-}" ] || rm -r "$nobody_folder"
    [ "$WEIR_ISOLATED" = 1 ] || return 0
    local id
    tail -n +2 /proc/sysvipc/shm | while read -r _ id _; do ipcrm -m "$id"; done
    tail -n +2 /proc/sysvipc/sem | while read -r _ id _; do ipcrm -s "$id"; done
    find /dev/shm -mindepth 1 -delete
}

# Tests that look at everything there is need an IPC namespace without anybody else.
alone() {
    [ "$WEIR_ISOLATED" = 1 ] || skip "others are here: no namespaces"
}

# One value of an object: field OBJECT COLUMN
field() {
    "$WEIR" info --noheadings -bo "$2" "$1"
}

# Starts hold NAME (see hold.c): sets holder_id and holder_set; ends with let_go or kill_holder.
hold() {
    coproc holder { exec "$WEIR_BUILD/tests/hold" "$1" 3>&-; }
    read -r holder_id holder_set <&"${holder[0]}"
    holder_pid=$holder_PID
}

let_go() {
    exec {holder[1]}>&-
    wait "$holder_pid"
}

# SIGKILL, and until the kernel has freed the segment. 10 seconds at most.
kill_holder() {
    kill -KILL "$holder_pid"
    wait "$holder_pid" 2>/dev/null || true
    local deadline=$((SECONDS + 10))
    while awk -v id="$holder_id" '$2 == id { found = 1 } END { exit !found }' /proc/sysvipc/shm; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
    done
}
