#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir list: every sort of object is shown, in every form of output.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    alone
    segment=$(ipcmk -M 5000 -p 0640 | grep -o '[0-9]*$')
    set=$(ipcmk -S 3 | grep -o '[0-9]*$')
    "$WEIR" create camera/left --size 8K --mode 0644
    head -c 10000 /dev/zero >/dev/shm/film
}

teardown() {
    remove_all
}

@test "headings are the documented ones" {
    works "$WEIR" list
    [ "$(tr -s ' ' <<<"${lines[0]}")" = \
        'OBJECT KIND KEY OWNER MODE SIZE RSS NATTCH CPID COMMAND AGE STATE' ]
    works "$WEIR" list -r -o +LPID,lcommand
    [ "${lines[0]}" = \
        'OBJECT KIND KEY OWNER MODE SIZE RSS NATTCH CPID COMMAND AGE STATE LPID LCOMMAND' ]
}

@test "every sort of object is there, once, in order" {
    works "$WEIR" list --noheadings -ro OBJECT
    [ "$output" = "$(printf '%s\n' "id:$segment" camera/left "sem:$set" posix:/film)" ]
}

@test "a command without a name is a column, too" {
    command -v python3 >/dev/null || skip "no python3"
    mkfifo never
    python3 -c '
import ctypes, sys
libc = ctypes.CDLL(None)
libc.prctl(15, b"", 0, 0, 0)
libc.shmget(0x51f1, 1, 0o1600)
print("made", flush=True)
sys.stdin.read()' <>never >made 3>&- &
    local maker=$!
    until [ -s made ]; do read -rt 0.01 <> <(:) || true; done
    works "$WEIR" list --noheadings -ro KEY,COMMAND,STATE
    kill "$maker"
    [[ "$output" == *"51f1 - idle"* ]]
}

@test "types, and weir's own, are chosen by options" {
    works "$WEIR" list --noheadings -mro OBJECT
    [ "$output" = "$(printf '%s\n' "id:$segment" camera/left)" ]
    works "$WEIR" list --noheadings -sro OBJECT
    [ "$output" = "sem:$set" ]
    works "$WEIR" list --noheadings -pro OBJECT
    [ "$output" = posix:/film ]
    works "$WEIR" list --weir --noheadings --raw --output OBJECT
    [ "$output" = camera/left ]
    works "$WEIR" list --noheadings -spro OBJECT
    [ "$output" = "$(printf '%s\n' "sem:$set" posix:/film)" ]
}

@test "values are the kernel's" {
    works "$WEIR" list --noheadings -rbo OBJECT,KIND,TYPE,OWNER,MODE,SIZE,NATTCH,NSEMS,WAITING,LIFETIME,WEIR,STATE
    [ "${lines[0]}" = "id:$segment segment segment $(id -un) 0640 5000 0 - - persistent no orphan" ]
    [ "${lines[1]}" = "camera/left segment segment $(id -un) 0644 8192 0 - - persistent yes idle" ]
    [ "${lines[2]}" = "sem:$set semset semset $(id -un) 0644 - - 3 0 persistent no idle" ]
    [ "${lines[3]}" = "posix:/film posix posix $(id -un) $(stat -c 0%a /dev/shm/film) 10000 - - - persistent no idle" ]
    works "$WEIR" list --noheadings -ro SIZE,RSS -p
    [ "$output" = '9.8K 12K' ]
}

@test "json is one document with numbers as numbers" {
    "$WEIR" list -J >document
    jq -e --argjson id "$segment" '.objects | length == 4 and
        (.[0] | .object == "id:\($id)" and .id == $id and .size == 5000 and .name == null and
         .state == "orphan" and .weir == false and (.key | test("^0x[0-9a-f]{8}$")) and
         (.ctime | type) == "number" and .nsems == null) and
        (.[1] | .name == "camera/left" and .weir == true) and
        (.[2] | .nsems == 3 and .waiting == 0 and .size == null) and
        (.[3] | .object == "posix:/film" and .id == null and .key == null)' document
    # All columns, as --help lists them.
    [ "$(jq -r '.objects[0] | keys_unsorted[] | ascii_upcase' document)" = \
        "$("$WEIR" list --help | sed -n '/^Columns:/,/^$/s/^  \([A-Z]*\) .*/\1/p')" ]
    [ "$("$WEIR" list -J -o name,size -p | jq -c .)" = '{"objects":[{"name":"/film","size":10000}]}' ]
}

@test "nothing is an empty document, and a remark that -q silences" {
    remove_all
    [ "$("$WEIR" list -J | jq -c .)" = '{"objects":[]}' ]
    run --separate-stderr "$WEIR" list
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ "$stderr" = 'weir list: there is nothing' ]
    works "$WEIR" list -q
}

@test "columns that are none are called wrongly" {
    for columns in '' , NAME, ,NAME NOPE NAME,NOPE + +NOPE 'NAME SIZE' $'NA\x1bME'; do
        refused 2 'There are: OBJECT NAME KIND' "$WEIR" list -o "$columns"
        ! [[ "$stderr" == *$'\x1b'* ]]
    done
    refused 2 'more than 64' "$WEIR" list -o "NAME$(printf ',NAME%.0s' {1..64})"
}

@test "names of strangers do not reach the terminal as they are" {
    : >/dev/shm/$'a\x1b[2Jb\nc\\d e'
    : >/dev/shm/$'\xc2\x9b\xff\xc3\xa4'
    works "$WEIR" list --noheadings -po NAME
    [[ "$output" == *'/a\x1b[2Jb\x0ac\x5cd e'* ]]
    [[ "$output" == *'/\xc2\x9b\xffä'* ]]
    works "$WEIR" list --noheadings -pro NAME
    [[ "$output" == *'/a\x1b[2Jb\x0ac\x5cd\x20e'* ]]
    [ "$("$WEIR" list -pJ -o NAME | jq -r '.objects[0].name')" = $'/a\x1b[2Jb\nc\\d e' ]
    "$WEIR" list -pJ | jq -e '.objects | length == 3'
    works "$WEIR" info posix:/$'a\x1b[2Jb\nc\\d e'
    [[ "${lines[0]}" == 'OBJECT: '*'posix:/a\x1b[2Jb\x0ac\x5cd e' ]]
    works "$WEIR" rm posix:/$'a\x1b[2Jb\nc\\d e' posix:/$'\xc2\x9b\xff\xc3\xa4'
    # What makes a line read otherwise than it is written; other marks of that block stay.
    local turning=$'\xd8\x9c\xe2\x80\x8e\xe2\x80\xae\xe2\x80\xa8\xe2\x81\xa6\xe2\x81\xa9' kept=$'\xe2\x80\x93\xe2\x80\xaf'
    : >"/dev/shm/$turning$kept"
    works "$WEIR" list -po NAME
    [[ "$output" == *'/\xd8\x9c\xe2\x80\x8e\xe2\x80\xae\xe2\x80\xa8\xe2\x81\xa6\xe2\x81\xa9'"$kept" ]]
    works "$WEIR" rm "posix:/$turning$kept"
}

@test "of bytes that are no UTF-8 each is written out, and what is beside them is not" {
    # U+D7FF, U+E000 and U+10FFFF; half of a pair, long forms, above the last one, too few bytes.
    local name path good=$'\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf'
    rm /dev/shm/film
    for name in '\xed\xa0\x80' '\xed\xbf\xbf' '\xe0\x9f\xbf' '\xf0\x8f\xbf\xbf' \
        '\xf4\x90\x80\x80' '\xc1\xbf' '\xf5\x80\x80\x80' '\xe2\x82'; do
        path=/dev/shm/$(printf '%b' "$name")$good
        : >"$path"
        works "$WEIR" list --noheadings -pro NAME
        [ "$output" = "/$name$good" ]
        rm "$path"
    done
}

@test "sizes are shown to a tenth of their unit, and whole where that is no tenth" {
    local bytes shown
    while read -r bytes shown; do
        truncate -s "$bytes" /dev/shm/film
        works "$WEIR" list --noheadings -pro SIZE
        [ "$output" = "$shown" ]
    done <<'END'
0 0B
1023 1023B
1024 1K
1100 1.1K
1996 1.9K
1997 2K
2047 2K
1048524 1023.9K
1048576 1M
1572864 1.5M
1073741824 1G
END
}

@test "a segment of a living creator is idle, and shows its command" {
    command -v python3 >/dev/null || skip "no python3"
    coproc holder { exec python3 -c '
import ctypes, sys
libc = ctypes.CDLL(None)
print(libc.shmget(0, 100, 0o1600), flush=True)
sys.stdin.read()'; }
    read -r id <&"${holder[0]}"
    local pid=$holder_PID
    works "$WEIR" info --noheadings -o STATE,CPID,COMMAND "id:$id"
    [ "$output" = "$(printf '%s\n' idle "$pid" python3)" ]
    exec {holder[1]}>&-
    wait "$pid"
    [ "$(field "id:$id" STATE)" = orphan ]
    [ "$(field "id:$id" COMMAND)" = - ]
}

@test "another user sees everything, and may use nothing" {
    nobody_can
    works as_nobody list --noheadings -ro OBJECT
    # Names are in a directory of the owner's: nobody sees the segments behind them.
    [ "$output" = "$(printf '%s\n' "id:$segment" "id:$(field camera/left ID)" "sem:$set" posix:/film)" ]
    works as_nobody list --noheadings -ro STATE,OWNER -m
    # Whether root has names for them, nobody cannot know: no orphan.
    [ "$output" = "$(printf 'idle %s\nidle %s' "$(id -un)" "$(id -un)")" ]
    refused 1 'camera/left' as_nobody info camera/left
}

@test "a terminal gets as many columns as it has room for" {
    command -v script >/dev/null || skip "no script(1)"
    for width in 40 60 80 100 200; do
        script -qec "stty cols $width; '$WEIR' list" /dev/null </dev/null | tr -d '\r' >typescript
        grep -q '^OBJECT .*STATE' typescript
        [ "$(wc -L <typescript)" -le "$width" ]
    done
    grep -q COMMAND typescript
    script -qec "stty cols 40; '$WEIR' list -o +NAME" /dev/null </dev/null | grep -q COMMAND
}

@test "a run directory that cannot be used is told, and the rest is listed" {
    WEIR_DIR=relative run --separate-stderr "$WEIR" list --noheadings -ro OBJECT
    [ "$status" -eq 0 ]
    [[ "$output" == *"id:$segment"* ]]
    [[ "$stderr" == *'WEIR_DIR'* ]]
    # Without the names nothing can be called an orphan.
    [ "$(WEIR_DIR=relative "$WEIR" list --noheadings -qro STATE | sort -u)" = idle ]
}

# no_proc COMMAND...: where /proc is not mounted.
no_proc() {
    unshare -m sh -c 'mount -t tmpfs tmpfs /proc && exec "$@"' sh "$@"
}

@test "without /proc names are not told; it does not say that there are none" {
    no_proc true 2>/dev/null || skip "nothing can be mounted here"
    refused 1 "mount /proc" no_proc "$WEIR" list -w
    run --separate-stderr no_proc "$WEIR" list -m
    [ "$status" -eq 0 ] || [[ "$stderr" == *LeakSanitizer* ]] # which looks in /proc, and fails without
    [[ "$stderr" == *"names are not shown: /proc does not tell"*"mount /proc"* ]]
    for command in info get "rm -f" "sub -t 0" "tap -t 0"; do
        refused 1 "mount /proc" no_proc "$WEIR" $command camera/left
    done
    refused 1 "mount /proc" no_proc "$WEIR" gc
}

@test "-e and -n: pairs that a shell can take, as lsipc prints them" {
    works "$WEIR" list -w -m -b -e -o NAME,SIZE,NSEMS
    [ "$output" = 'NAME="camera/left" SIZE="8192" NSEMS=""' ]
    eval "$output"
    [ "$NAME" = camera/left ]
    [ "$SIZE" = 8192 ]
    works "$WEIR" list -w -m -b -n -o NAME,SIZE
    [ "$output" = $'NAME="camera/left"\nSIZE="8192"' ]
    works "$WEIR" info -b -e -o NAME,SIZE camera/left
    [ "$output" = 'NAME="camera/left" SIZE="8192"' ]
}

@test "-e: what a shell would run is told as bytes" {
    touch '/dev/shm/$(id)`x`"\'
    works "$WEIR" list -p -e -o NAME
    rm '/dev/shm/$(id)`x`"\'
    [[ "$output" == *'NAME="/\x24(id)\x60x\x60\x22\x5c"'* ]]
}

@test "two forms of output at once are refused, by each command that has them" {
    for forms in "-J -r" "-e --json" "-n -e" "--raw --newline"; do
        for command in list gc "info none"; do
            refused 2 "exclude one another" "$WEIR" $command $forms
        done
    done
}

@test "where names cannot be seen, --weir does not say that there is nothing" {
    export WEIR_DIR=relative
    refused 1 "WEIR_DIR is 'relative': it must be an absolute path" "$WEIR" list -w
    refused 1 "absolute path" "$WEIR" list -w --json
    run --separate-stderr "$WEIR" list
    [ "$status" -eq 0 ]
    [[ "$stderr" == *"names are not shown"* ]]
}
