#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: what a channel is made for, from the shell: its type, and whether it stays; who says
#       otherwise is refused, and told both sides; info, list and rm know it.
# Method: 'weir pub' and 'weir sub' that make channels, end, and come again.

load channels.bash

teardown() {
    end_children
    "$WEIR" rm -f c 2>/dev/null || true
    remove_all
}

@test "a persistent channel stays, with its type, until it is removed" {
    works "$WEIR" pub --persistent --typed 'struct point:16' c </dev/null
    [ "$("$WEIR" list --noheadings --raw -o NAME,KIND)" = 'c channel' ]
    "$WEIR" info -q c >info
    grep -Eqx 'PUBLISHERS +SUBSCRIBERS +DELIVERY +TYPE +TYPE-SIZE' info
    grep -Eqx ' +64 +64 +reliable +struct point +16B' info
    if [ "$WEIR_JSON" = 1 ]; then
        "$WEIR" info -qJ c >json
        [ "$(jq -c '.channel | [.publishers, .subscribers, .delivery, .type, .["type-size"]]' json)" = \
            '[64,64,"reliable","struct point",16]' ]
    fi
    # Who comes later: with the same, or with nothing.
    printf 'x%.0s' {1..16} >right
    works "$WEIR" pub -q --typed 'struct point:16' c right
    works "$WEIR" pub -q --persistent c right
    refused 1 "was made for messages of 'struct point' of 16 bytes, not of 'struct point' of 24 bytes" \
        "$WEIR" pub --typed 'struct point:24' c right
    refused 1 "not of 'points' of any size" "$WEIR" sub --typed points c
    refused 1 "a message of 3 bytes: this channel's type 'struct point' has 16" \
        "$WEIR" pub c <<<'abc'
    works "$WEIR" rm c
    refused 1 'c' "$WEIR" info c
    # Anew, and otherwise.
    works "$WEIR" pub -q --persistent c <<<'abc'
    "$WEIR" info -q c >info
    grep -Eqx ' +64 +64 +reliable +- +-' info
    refused 1 "messages of no type, not of 'p' of 16 bytes: whoever came first made it so; give that one the type as well, or start this one first" "$WEIR" pub --typed p:16 c right
    works "$WEIR" rm c
    [ -z "$("$WEIR" list -w --noheadings)" ]
}

@test "a typed channel carries messages of its size" {
    "$WEIR" sub --typed geometry::point:4 -c 2 c >out 3>&- &
    local sub=$!
    children+=("$sub")
    printf 'abcd' >one
    printf '1234' >two
    works "$WEIR" pub --wait-for 1 --wait 20 --typed geometry::point:4 c one two
    wait "$sub"
    printf 'abcd\n1234\n' | cmp - out
}

@test "one for the time being cannot be made to stay" {
    sub out c
    refused 1 'goes with its last member' "$WEIR" pub --persistent c </dev/null
}

@test "called wrongly" {
    refused 2 "--typed '': a name has 1 to 63 characters" "$WEIR" pub --typed '' c
    refused 2 "--typed ':5': a name has 1 to 63 characters" "$WEIR" pub --typed :5 c
    refused 2 "--from '-99999999999999999999': " "$WEIR" sub -f -99999999999999999999 c
    refused 2 "--typed 'p:0': a size is 1 to" "$WEIR" pub --typed p:0 c
    refused 2 "--typed 'p:-1': it is negative" "$WEIR" pub --typed p:-1 c
    refused 2 "--typed 'p:1X': unknown unit" "$WEIR" sub --typed p:1X c
    refused 2 'printable ASCII' "$WEIR" sub --typed $'p\n' c
    refused 2 '--mode' "$WEIR" sub --mode 0777 c
    [ -z "$("$WEIR" list -w --noheadings)" ]
}

# Publishers of one user and subscribers of another, by a group and its directory.
@test "users with a group in common share a channel" {
    nobody_can
    mkdir run
    chgrp 65533 run
    chmod 2770 run
    export WEIR_DIR=$PWD/run
    chmod o+x "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")"
    as() { setpriv --reuid "$1" --regid "$1" --groups "$2" "$nobody_folder/weir" "${@:3}"; }
    as 65534 65533 sub -c 2 --mode 0660 --gid 65533 --any-owner c >out 3>&- &
    local sub=$!
    children+=("$sub")
    printf '%s\n' a b | works as 65532 65533 pub --mode 0660 --gid 65533 --any-owner \
        --wait-for 1 --wait 20 c
    wait "$sub"
    printf '%s\n' a b | cmp - out
    refused 1 'ermission' as 65531 65531 pub --any-owner c </dev/null
    # Not of the group: what it says of the channel is in order.
    local all=(--mode 0660 --gid 65531 --any-owner)
    refused 1 "cannot open the run directory $WEIR_DIR: Permission denied" \
        as 65531 65531 pub "${all[@]}" c </dev/null
    [[ "$stderr" != *'all who join'* ]]
    refused 1 'Permission denied' as 65531 65531 sub "${all[@]}" c
    [[ "$stderr" != *'all who join'* ]]
}

@test "users who have not said that they share a channel are told how" {
    nobody_can
    mkdir -m 2770 run
    chgrp 65533 run
    export WEIR_DIR=$PWD/run
    chmod o+x "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")"
    as() { setpriv --reuid "$1" --regid "$1" --groups 65533 "$nobody_folder/weir" "${@:2}"; }
    start_as() { exec setpriv --reuid "$1" --regid "$1" --groups 65533 "$nobody_folder/weir" "${@:2}"; }
    local cure='who makes it, and all who join, say --mode 0660 --gid GROUP --any-owner'
    start_as 65534 sub c >out 3>&- & # for itself alone
    children+=("$!")
    until as 65534 info -q c 2>/dev/null | grep -q '^subscriber'; do :; done
    refused 1 "belongs to uid 65534.*say --any-owner.*$cure" as 65532 pub c </dev/null
    refused 1 "has mode 0600.*$cure" as 65532 sub --any-owner c
    refused 1 "you are uid 65532: this command takes nothing of other users'$" \
        as 65532 send c </dev/null
    # Who looks is told that there is something to be seen.
    run --separate-stderr as 65532 top --once -i 0.05
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$stderr" =~ ^'weir top: '.*'has mode 0600' ]]
    end_children
    # This one lets others join, and takes none of them.
    start_as 65534 sub --mode 0660 --gid 65533 c >out 2>said 3>&- &
    children=("$!")
    until as 65534 info -q c 2>/dev/null | grep -q '^subscriber'; do :; done
    as 65532 pub --mode 0660 --gid 65533 --any-owner c <<<lost
    until_so grep -q "$cure" said
    [ ! -s out ]
    # It is told in the words of the command, and whoever was left makes the status 1.
    grep -q 'say --any-owner' said
    run ! grep -q 'options\.' said
    kill -TERM "${children[0]}"
    ends "${children[0]}" 1
    children=()
}

# The library names what a program sets, the command what its user types: no such name is new
# to tools/weir/sentence.c, but those that no command gets wrong.
@test "no sentence that names a field of C is told by the command" {
    local field
    for field in $(grep -rhoE '"[^"]*options\.[a-z_%]+[^"]*"' "$WEIR_SOURCE/src" --include='*.c' |
        grep -oE 'options\.[a-z_%]+' | sed 's/%s/subscriber/' | sort -u); do
        case $field in
        options.size | options.reserved) ;;
        options.h) ;; # base/options.h
        *) grep -qF "$field" "$WEIR_SOURCE/tools/weir/sentence.c" || {
            echo "tools/weir/sentence.c says nothing of $field"
            return 1
        } ;;
        esac
    done
    mkfifo in
    "$WEIR" sub --subscribers-max 2 --publishers-max 2 c >out 3>&- &
    children+=("$!")
    until_so seen subscriber 1
    "$WEIR" sub c >out 3>&- &
    children+=("$!")
    until_so seen subscriber 2
    refused 1 'to 4096 \(--subscribers-max\)$' "$WEIR" sub c
    refused 1 'leave --lossy out; a subscriber .* and --lag-max waits for none$' \
        "$WEIR" pub --lossy c </dev/null
    "$WEIR" pub c <in 3>&- &
    children+=("$!")
    exec 5>in
    "$WEIR" pub c <in 3>&- 5>&- &
    children+=("$!")
    until_so seen publisher 2
    refused 1 'to 4096 \(--publishers-max\)$' "$WEIR" pub c </dev/null
    exec 5>&-
    end_children
    nobody_can
    as_nobody create key:0x5bb7 --size 4096
    refused 1 "you are uid $UID: say --any-owner, if you trust uid 65534$" \
        "$WEIR" lock key:0x5bb7
    "$WEIR" rm key:0x5bb7
}

# seen ROLE N: so many take part in c.
seen() {
    [ "$("$WEIR" info -q c 2>/dev/null | grep -c "^$1")" -eq "$2" ]
}

@test "a subscriber that no publisher may read stops no publisher" {
    nobody_can
    mkdir -m 2770 run
    chgrp 65533 run
    export WEIR_DIR=$PWD/run
    chmod o+x "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")"
    start_as() { exec setpriv --reuid "$1" --regid "$1" --groups 65533 "$nobody_folder/weir" "${@:2}"; }
    mkfifo in
    start_as 65532 sub --mode 0660 --gid 65533 --any-owner c >out 3>&- &
    children+=("$!")
    start_as 65532 pub --mode 0660 --gid 65533 --any-owner --wait-for 1 -q c <in 2>said 3>&- &
    local pub=$!
    children+=("$pub")
    exec 5>in
    echo before >&5
    until_so grep -q before out
    # Its page is of mode 0400: it says neither a mode nor a group.
    start_as 65534 sub --any-owner c >none 2>&1 3>&- 5>&- &
    local stranger=$!
    children+=("$stranger")
    asked() {
        echo again >&5
        grep -q 'a subscriber is left out: segment' said # by --quiet, too
    }
    until_so asked
    echo after >&5
    exec 5>&-
    ends "$pub" 1 # one was left out
    until_so grep -q after out
}
