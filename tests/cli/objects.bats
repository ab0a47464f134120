#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# How objects, sizes and modes are written, and what is refused.
# Method: tables of good and bad input, tried on the commands that take it.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
}

teardown() {
    remove_all
}

@test "names that are none are called wrongly" {
    local long
    long=$(printf 'n%.0s' {1..201})
    for name in '' '/' 'a/' '/a' 'a//b' '.' '..' 'a/..' '../a' 'a/./b' 'a b' $'a\tb' $'a\nb' \
        $'\x1b[31m' 'ä' 'a,b' '~a' '#a' 'a*' "$long"; do
        for command in info read write rm; do
            refused 2 'Try .weir' "$WEIR" "$command" "$name" </dev/null
            ! [[ "$stderr" == *$'\x1b'* ]] # what was given is not sent to the terminal
        done
        refused 2 'Try .weir' "$WEIR" create "$name" --size 1
    done
    refused 2 '201 bytes|longer than 200|200 bytes' "$WEIR" info "$long"
}

@test "a name may have 200 bytes" {
    local name
    name=$(printf 'n%.0s' {1..200})
    works "$WEIR" create "$name" --size 1
    [ "$(field "$name" NAME)" = "$name" ]
    works "$WEIR" rm "$name"
}

@test "references that are none are called wrongly" {
    while read -r object pattern; do
        for command in info read write rm; do
            refused 2 "$pattern" "$WEIR" "$command" "$object" </dev/null
        done
        refused 2 "$pattern" "$WEIR" create "$object" --size 1
    done <<'END'
id: not a number
id:x not a number
id:-1 negative
id:1x not a number
id:0x10 not a number
id:+1 not a number
id:2147483648 too large
sem: not a number
sem:-1 negative
sem:99999999999999999999 too large
key: 32 bits
key:-1 ftok
key:0xffffffff ftok
key:4294967295 ftok
key:0 IPC_PRIVATE
key:0x0 IPC_PRIVATE
key:-5 negative
key:0x100000000 32 bits
key:4294967296 too large
key:4K not a number
key:0x not a number
key:0x1g unit|not a number
ftok: ftok:PATH:PROJ
ftok:/etc/passwd ftok:PATH:PROJ
ftok::1 ftok:PATH:PROJ
ftok:/etc/passwd: ftok:PATH:PROJ
ftok:/etc/passwd:0 1 to 255
ftok:/etc/passwd:256 1 to 255
ftok:/etc/passwd:-1 1 to 255
ftok:/etc/passwd:AB 1 to 255
ftok:/etc/passwd:ä 1 to 255
posix: slash
posix:name slash
posix:/ name must follow
posix:/.. name must follow
posix:/a/b one slash
what:ever key:0x1234
END
}

@test "what is not there is a failure that names it" {
    for command in info read write rm; do
        refused 1 "'nobody/there'" "$WEIR" "$command" nobody/there </dev/null
        refused 1 "0x12345678" "$WEIR" "$command" key:0x12345678 </dev/null
        refused 1 "2147483647" "$WEIR" "$command" id:2147483647 </dev/null
        refused 1 "/no/such/file" "$WEIR" "$command" ftok:/no/such/file:1 </dev/null
    done
    for command in info rm; do
        refused 1 "2147483647" "$WEIR" "$command" sem:2147483647
    done
    for command in info read write rm; do
        refused 1 "weir-test-none" "$WEIR" "$command" posix:/weir-test-none </dev/null
    done
    refused 1 "/no/such/file" "$WEIR" create ftok:/no/such/file:1 --size 1
}

@test "a key, an id and an ftok mean the same segment" {
    local path="$BATS_TEST_TMPDIR/with:colon" id
    touch "$path"
    works "$WEIR" create "ftok:$path:65" --size 10
    id=$(field "ftok:$path:A" ID)
    [ "$(field "ftok:$path:65" ID)" = "$id" ]
    [ "$(field "id:$id" KEY)" = "$(field "ftok:$path:65" KEY)" ]
    [ "$(field "key:$(field "id:$id" KEY)" ID)" = "$id" ]
    [ "$(field "key:$(($(field "id:$id" KEY)))" ID)" = "$id" ]
    # A digit is a number: the project 5 is not the character '5'.
    refused 1 'no segment' "$WEIR" info "ftok:$path:5"
    works "$WEIR" rm "ftok:$path:A"
}

@test "ftok's key is the C library's" {
    local path="$BATS_TEST_TMPDIR/file" inode device
    touch "$path"
    inode=$(stat -c %i "$path")
    device=$(stat -c %d "$path")
    works "$WEIR" create "ftok:$path:7" --size 10
    [ "$(field "ftok:$path:7" KEY)" = \
        "$(printf '0x%08x' $((7 << 24 | (device & 255) << 16 | inode & 65535)))" ]
    works "$WEIR" rm "ftok:$path:7"
}

@test "sizes that are none are called wrongly" {
    while read -r size pattern; do
        [ "$size" != EMPTY ] || size=
        # Before the line that says 'Try ...'.
        pattern=${pattern/%\$/$'\n'Try}
        refused 2 "$pattern" "$WEIR" create sized --size "$size"
        refused 2 "$pattern" "$WEIR" create sized -s "$size"
        [ "$size" != 0 ] || continue # of these two 0 is good
        refused 2 "$pattern" "$WEIR" read id:1 --offset "$size"
        refused 2 "$pattern" "$WEIR" write id:1 --length "$size" </dev/null
    done <<'END'
EMPTY empty
0 one byte at least
-1 negative
-9223372036854775808 negative
18446744073709551616 too large
99999999999999999999999999 too large
16E too large
16777216T too large
1e3 exponents
1.5K whole numbers only: write 1536 instead of 1.5K$
1.5KiB whole numbers only: write 1536 instead of 1.5KiB$
1.5M whole numbers only: write 1536K instead of 1.5M$
1,5G whole numbers only: write 1536M instead of 1,5G$
0.25g whole numbers only: write 256M instead of 0.25g$
1.3M whole numbers only: write 1332K \(rounded up\) instead of 1.3M$
3.999999999E whole numbers only: write 4096P \(rounded up\) instead of 3.999999999E$
1.5 whole numbers only$
1.5KB whole numbers only$
1.K whole numbers only$
1.0000000000000000001K whole numbers only$
18446744073709551615.5K whole numbers only$
4KB ambiguous
4KIB unit
4Ki unit
4X unit
0x not a number
0x10K no unit
0xg not a number
+1 not a number
K not a number
4096bytes unit
four not a number
END
    refused 2 'not a number' "$WEIR" create sized --size ' 1'
    refused 2 'unknown unit' "$WEIR" create sized --size '4 096'
    refused 1 'sized' "$WEIR" info sized
}

@test "sizes above what the kernel allows fail, and say the limit" {
    for size in 18446744073709551615 0xffffffffffffffff 9223372036854775808 8E; do
        refused 1 'address space|shmmax' "$WEIR" create sized --size "$size"
    done
    if [ "$WEIR_ISOLATED" = 1 ] && echo 65536 2>/dev/null >/proc/sys/kernel/shmmax; then
        refused 1 '65536' "$WEIR" create sized --size 65537
        refused 1 'shmmax' "$WEIR" create key:0x5123 --size 1G
        works "$WEIR" create key:0x5123 --size 65536
        works "$WEIR" rm key:0x5123
        echo 18446744073692774399 >/proc/sys/kernel/shmmax
    fi
    refused 1 'sized' "$WEIR" info sized
}

@test "sizes that are good mean what they say" {
    while read -r size bytes; do
        works "$WEIR" create key:0x5124 --size "$size"
        [ "$(field key:0x5124 SIZE)" = "$bytes" ]
        works "$WEIR" rm key:0x5124
    done <<'END'
1 1
4096 4096
0x1000 4096
0X1000 4096
4K 4096
4k 4096
4KiB 4096
08K 8192
1M 1048576
2MiB 2097152
1G 1073741824
END
}

@test "modes that are none are called wrongly" {
    for mode in '' 8 rw 0o640 -1 -0640 1777 0777 0700 0111 0667 01000 00000 0 0640x ' 640' \
        77777777777777777777777; do
        refused 2 "--mode" "$WEIR" create moded --size 1 --mode "$mode"
    done
    refused 1 'moded' "$WEIR" info moded
}

@test "options that are unknown or lack their argument are called wrongly" {
    for command in $("$WEIR" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
        refused 2 "^weir $command: .*nonsense.*weir $command --help" \
            "$WEIR" "$command" --nonsense </dev/null
        refused 2 "weir $command --help" "$WEIR" "$command" -Z </dev/null
    done
    refused 2 'size' "$WEIR" create name --size
    refused 2 'offset' "$WEIR" read name --offset
    refused 2 'output' "$WEIR" list --output
    refused 2 'no command' "$WEIR" lst
    refused 2 'which command' "$WEIR"
}

@test "too many and too few objects are called wrongly" {
    for command in create info read write rm; do
        refused 2 'which object' "$WEIR" "$command" </dev/null
    done
    for command in info read write; do
        refused 2 "'two' is too much" "$WEIR" "$command" one two </dev/null
    done
    refused 2 "'two' is too much" "$WEIR" create one two --size 1
    for command in list gc doctor; do
        refused 2 "'one' is too much" "$WEIR" "$command" one
    done
}

@test "every command has help of one shape" {
    for command in $("$WEIR" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
        works "$WEIR" "$command" --help
        [ "${lines[0]%% \[*}" = "Usage: weir $command" ]
        [[ "$output" == *$'\n\nOptions:\n'* ]]
        [[ "$output" == *$'\n\nExamples:\n'* ]]
        [[ "$output" == *$'\n\nExit status:\n'* ]]
        [ "$(wc -L <<<"$output")" -le 80 ]
        [ "$("$WEIR" help "$command")" = "$output" ]
        "$WEIR" --help | grep -q "^  $command "
    done
}

@test "closed output files: a failure, and messages go into no other file" {
    head -c 10000 /dev/zero >"$BATS_TEST_TMPDIR/in"
    run bash -c "'$WEIR' demo >&-"
    [ "$status" -eq 1 ]
    run bash -c "'$WEIR' demo race >&-"
    [ "$status" -eq 1 ]
    bash -c "exec '$WEIR' recv closed '$BATS_TEST_TMPDIR/out' <&- >&- 2>&-" &
    bash -c "exec '$WEIR' send closed '$BATS_TEST_TMPDIR/in' <&- >&- 2>&-"
    wait $!
    cmp "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
    run bash -c "'$WEIR' send closed /dev/null --wait 0.1 --bogus 2>&-"
    [ "$status" -eq 2 ]
}

@test "what is made is said to be made, also where the output cannot be written" {
    [ -c /dev/full ] || skip "no /dev/full"
    run --separate-stderr bash -c "'$WEIR' create -v full/made --size 4K >/dev/full"
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"'full/made' is made"*"No space left"* ]]
    works "$WEIR" rm full/made
    if by_lines_can; then
        run --separate-stderr by_lines create -v full/made --size 4K
        [ "$status" -eq 1 ]
        [[ "$stderr" == *"'full/made' is made"*"No space left"* ]]
        works "$WEIR" rm full/made
        [ "$WEIR_JSON" = 1 ] || return 0
        run --separate-stderr by_lines list --json
        [ "$stderr" = 'weir list: cannot write the output: No space left on device' ]
    fi
    run --separate-stderr bash -c "'$WEIR' list --json >/dev/full"
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"No space left"* ]]
}

@test "output that cannot be written is a failure" {
    [ -c /dev/full ] || skip "no /dev/full"
    "$WEIR" create full --size 100000
    for command in list 'list -J' 'info full' 'info -J full' 'read full' 'read -x full' doctor \
        'doctor -J' 'list --help' explain; do
        # shellcheck disable=SC2086 # words are wanted
        run --separate-stderr bash -c "'$WEIR' $command >/dev/full"
        [ "$status" -eq 1 ]
        [[ "$stderr" == *'cannot write the output'* ]]
    done
    "$WEIR" rm full
}
