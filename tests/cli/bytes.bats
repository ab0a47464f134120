#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir read and weir write: raw bytes into and out of segments.
# Method: what goes in comes out, at every edge of a segment; every way to fail says how far it got.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    "$WEIR" create bytes/test --size 10000
    "$WEIR" create key:0x5bb5 --size 10
}

teardown() {
    "$WEIR" rm -qf bytes/test key:0x5bb5
    [ -z "${nobody_folder:-}" ] || rm -r "$nobody_folder"
}

@test "what is written is read, whole and in parts" {
    head -c 10000 /dev/urandom >data
    works "$WEIR" write bytes/test <data
    [ -z "$output" ]
    "$WEIR" read bytes/test | cmp - data
    "$WEIR" read --offset 100 --length 0x10 bytes/test | cmp - <(tail -c +101 data | head -c 16)
    "$WEIR" read bytes/test -o 9999 | cmp - <(tail -c 1 data)
    [ "$("$WEIR" read bytes/test -o 10000 | wc -c)" -eq 0 ]
    [ "$("$WEIR" read bytes/test -l 0 | wc -c)" -eq 0 ]
    printf 'middle' | works "$WEIR" write bytes/test -o 50
    "$WEIR" read bytes/test | cmp - <(head -c 50 data; printf middle; tail -c +57 data)
}

@test "input that is split into small pieces arrives whole" {
    { for i in {1..1000}; do printf '%09d\n' "$i"; done; } | "$WEIR" write bytes/test
    "$WEIR" read bytes/test | cmp - <(for i in {1..1000}; do printf '%09d\n' "$i"; done)
}

@test "more input than room is a failure that says how much was written" {
    printf '0123456789a' >long
    refused 1 'longer than the room: 10 bytes were written' "$WEIR" write key:0x5bb5 <long
    [ "$("$WEIR" read key:0x5bb5)" = 0123456789 ]
    refused 1 'longer than the room: 3 bytes' "$WEIR" write key:0x5bb5 -o 7 <long
    [ "$("$WEIR" read key:0x5bb5)" = 0123456012 ]
    refused 1 'longer than the room: 0 bytes' "$WEIR" write key:0x5bb5 -o 10 <long
    works "$WEIR" write key:0x5bb5 -o 10 </dev/null
    printf '0123456789' | works "$WEIR" write key:0x5bb5
}

@test "a length takes so many bytes and leaves the rest of the input" {
    printf 'abcdef' >data
    { "$WEIR" write key:0x5bb5 --length 4; cat; } <data >rest
    [ "$(cat rest)" = ef ]
    [ "$("$WEIR" read key:0x5bb5 -l 4)" = abcd ]
    refused 1 'ended after 6 of 10 bytes' "$WEIR" write key:0x5bb5 -l 10 <data
    refused 1 'more than .* has: 10 bytes' "$WEIR" write key:0x5bb5 -l 11 <data
    refused 1 'of which 5 from there' "$WEIR" read key:0x5bb5 -o 5 -l 6
    refused 1 'behind the end' "$WEIR" read key:0x5bb5 -o 11
    refused 1 'behind the end' "$WEIR" write key:0x5bb5 -o 0xffffffffffffffff <data
    refused 1 'more than' "$WEIR" read key:0x5bb5 -o 5 -l 0xffffffffffffffff
    printf 'xyz' | works "$WEIR" write key:0x5bb5 -l 0
    [ "$("$WEIR" read key:0x5bb5 -l 6)" = abcdef ]
}

@test "the dump shows offsets, bytes and text" {
    printf 'Hello,\n\377 weir' | "$WEIR" write bytes/test -o 0x20
    works "$WEIR" read --hex -o 32 -l 18 bytes/test
    [ "${lines[0]}" = \
        '00000020  48 65 6c 6c 6f 2c 0a ff  20 77 65 69 72 00 00 00  |Hello,.. weir...|' ]
    [ "${lines[1]}" = \
        '00000030  00 00                                             |..|' ]
    [ "${#lines[@]}" -eq 2 ]
}

@test "what read --hex prints, write --hex takes" {
    head -c 5000 /dev/urandom >data
    "$WEIR" write bytes/test <data
    "$WEIR" read --hex -l 5000 bytes/test >dump
    "$WEIR" write bytes/test </dev/zero || true
    works "$WEIR" write --hex bytes/test <dump
    "$WEIR" read -l 5000 bytes/test | cmp - data
    # Digits at a line's start that are no offset stay what they are.
    works "$WEIR" write -x bytes/test <<<$'00112233445566778899\n0123456789 ab\n01234567 89'
    [ "$("$WEIR" read bytes/test -l 21 | od -An -v -tx1 | tr -d ' \n')" = \
        001122334455667788990123456789ab0123456789 ]
    works "$WEIR" write -x -l 2 bytes/test <<<'aabbccdd'
    [ "$("$WEIR" read bytes/test -l 3 | od -An -tx1)" = ' aa bb 22' ]
}

@test "hexadecimal input is pairs, cut anywhere" {
    printf 'de ad\nBE\tef01' | works "$WEIR" write key:0x5bb5 --hex
    [ "$("$WEIR" read key:0x5bb5 -l 5 | od -An -tx1)" = ' de ad be ef 01' ]
    { printf '0'; printf '2'; printf ' 0304'; } | works "$WEIR" write -x key:0x5bb5
    [ "$("$WEIR" read key:0x5bb5 -l 3 | od -An -tx1)" = ' 02 03 04' ]
    printf '11 22 33 44' >data
    { "$WEIR" write key:0x5bb5 -x -l 2; cat; } <data >rest
    [ "$(cat rest)" = ' 33 44' ]
    refused 1 'byte 4 of the input: pairs .*1 bytes were written' "$WEIR" write -x key:0x5bb5 <<<'00 x1'
    refused 1 'byte 2 of the input' "$WEIR" write -x key:0x5bb5 <<<'0 01'
    refused 1 'half a pair; 1 bytes' "$WEIR" write -x key:0x5bb5 < <(printf '00 1')
    refused 1 'longer than the room: 10 bytes' "$WEIR" write -x key:0x5bb5 \
        <<<'00 01 02 03 04 05 06 07 08 09 0a'
    refused 1 'ended after 1 of 2' "$WEIR" write -x -l 2 key:0x5bb5 <<<'00'
}

@test "options may stand anywhere" {
    printf 'abc' | works "$WEIR" write key:0x5bb5 -o 1
    works "$WEIR" read key:0x5bb5 --offset=1 -l3
    [ "$output" = abc ]
    works "$WEIR" read -l3 key:0x5bb5 --offset 1
    [ "$output" = abc ]
}

@test "by id the whole segment is read, weir's header included" {
    local id
    id=$("$WEIR" info --noheadings -o ID bytes/test)
    [ "$("$WEIR" read "id:$id" | wc -c)" -gt 10000 ]
    [ "$("$WEIR" read bytes/test | wc -c)" -eq 10000 ]
}

@test "a closed pipe ends a read silently, by its signal; who ignores that is told" {
    "$WEIR" create key:0x5bb6 --size 10M
    for form in --quiet --hex; do
        run --separate-stderr bash -c "'$WEIR' read $form key:0x5bb6 | head -c 1 >/dev/null
                                       exit \${PIPESTATUS[0]}"
        [ "$status" -eq 141 ]
        [ "$stderr" = '' ]
        run --separate-stderr bash -c "trap '' PIPE
                                       '$WEIR' read $form key:0x5bb6 | head -c 1 >/dev/null
                                       exit \${PIPESTATUS[0]}"
        [ "$status" -eq 1 ]
        [ "$stderr" = 'weir read: cannot write the output: Broken pipe' ]
    done
    "$WEIR" rm key:0x5bb6
}

@test "input that cannot be read is a failure" {
    refused 1 'cannot read standard input: .*after 0 bytes' "$WEIR" write key:0x5bb5 <.
    refused 1 'cannot read standard input: Bad file' bash -c "'$WEIR' write key:0x5bb5 <&-"
}

@test "posix segments are made, written and read, as any program makes them" {
    works "$WEIR" create "posix:/weir-test-$$" --size 5000 --mode 0640 -v
    [ "$output" = "posix:/weir-test-$$: 5000 bytes, mode 0640" ]
    [ "$(stat -c '%s %a' "/dev/shm/weir-test-$$")" = '5000 640' ]
    cmp "/dev/shm/weir-test-$$" <(head -c 5000 /dev/zero)
    head -c 5000 /dev/urandom >data
    works "$WEIR" write "posix:/weir-test-$$" <data
    cmp "/dev/shm/weir-test-$$" data
    "$WEIR" read "posix:/weir-test-$$" | cmp - data
    printf 'middle' | works "$WEIR" write "posix:/weir-test-$$" -o 100 -l 6
    works "$WEIR" read "posix:/weir-test-$$" -o 100 -l 6
    [ "$output" = middle ]
    "$WEIR" read -x "posix:/weir-test-$$" | works "$WEIR" write -x "posix:/weir-test-$$"
    works "$WEIR" read "posix:/weir-test-$$" -o 100 -l 6
    [ "$output" = middle ]
    refused 1 'longer than the room: 5000 bytes' "$WEIR" write "posix:/weir-test-$$" < <(cat data data)
    refused 1 'taken by a segment of uid .*, 5000 bytes, mode 0640' \
        "$WEIR" create "posix:/weir-test-$$" --size 1
    rm "/dev/shm/weir-test-$$"
}

@test "a posix segment that is cut off is an error, not the end of weir" {
    # Its second page is gone before weir writes it.
    "$WEIR" create "posix:/weir-test-$$" --size 8192
    mkfifo go
    "$WEIR" write "posix:/weir-test-$$" --hex <go 2>said 3>&- &
    local writer=$!
    exec {input}>go
    printf '11 %.0s' {1..4096} >&"$input"
    while [ "$("$WEIR" read "posix:/weir-test-$$" -o 4095 -l 1 | od -An -tx1)" != ' 11' ]; do :; done
    truncate -s 4096 "/dev/shm/weir-test-$$"
    printf '22 ' >&"$input"
    exec {input}>&-
    local status=0
    wait "$writer" || status=$?
    [ "$status" -eq 1 ]
    grep -q 'the segment cannot be written: its pages are not there .*after 4096 bytes' said
    "$WEIR" read "posix:/weir-test-$$" | cmp - <(head -c 4096 /dev/zero | tr '\0' '\21')
    rm "/dev/shm/weir-test-$$"
}

@test "a posix segment with holes in a full /dev/shm is an error, not the end of weir" {
    alone
    mount -t tmpfs -o size=64k tmpfs /dev/shm || skip "nothing can be mounted here"
    truncate -s 1M /dev/shm/holes # as a program without posix_fallocate makes it
    head -c 1M /dev/urandom >data
    refused 1 'not there .*after [0-9]+ bytes' "$WEIR" write posix:/holes <data
    refused 1 'not there .*after [0-9]+ bytes' "$WEIR" write posix:/holes --hex \
        < <(od -An -v -tx1 data)
    refused 1 '/dev/shm has 65536 bytes, .* are left and 1048576 .*remount,size=.*--shm-size' \
        "$WEIR" create posix:/more --size 1M
    rm /dev/shm/holes
    works "$WEIR" create posix:/fits --size 60K
    rm /dev/shm/fits
    umount /dev/shm
}

@test "in /dev/shm may stand what is no segment" {
    printf 'posix bytes' >"/dev/shm/weir-test-$$"
    works "$WEIR" read "posix:/weir-test-$$" -o 6
    [ "$output" = bytes ]
    works "$WEIR" read "posix:/weir-test-$$" -x -l 3
    [ "$output" = '00000000  70 6f 73                                          |pos|' ]
    refused 1 'behind the end' "$WEIR" read "posix:/weir-test-$$" -o 12
    : >"/dev/shm/weir-test-$$"
    refused 1 'has no bytes' "$WEIR" read "posix:/weir-test-$$"
    refused 1 'has no bytes' "$WEIR" write "posix:/weir-test-$$" </dev/null
    rm "/dev/shm/weir-test-$$"
    mkfifo "/dev/shm/weir-test-$$"
    for command in read write info rm; do
        refused 1 'no POSIX segment' "$WEIR" "$command" "posix:/weir-test-$$" </dev/null
    done
    refused 1 'taken by a file that is no segment' "$WEIR" create "posix:/weir-test-$$" --size 1
    rm "/dev/shm/weir-test-$$"
    ln -s /etc/passwd "/dev/shm/weir-test-$$"
    for command in read write info rm; do
        refused 1 'ymbolic link' "$WEIR" "$command" "posix:/weir-test-$$" </dev/null
    done
    rm "/dev/shm/weir-test-$$"
}

@test "semaphore sets have no bytes" {
    local id
    id=$(ipcmk -S 1 | grep -o '[0-9]*$')
    refused 2 'semaphore set' "$WEIR" read "sem:$id"
    refused 2 'semaphore set' "$WEIR" write "sem:$id" </dev/null
    ipcrm -s "$id"
}

@test "a mode that forbids is a failure" {
    nobody_can
    refused 1 'ermission|mode|allow' as_nobody read key:0x5bb5
    refused 1 'ermission|mode|allow' as_nobody write key:0x5bb5 </dev/null
}

@test "what another user made is read, and written with --any-owner alone" {
    nobody_can
    as_nobody create key:0x5bb7 --size 10 --mode 0666
    "$WEIR" create key:0x5bb8 --size 10 --mode 0666
    printf 'root' | "$WEIR" write key:0x5bb8
    works as_nobody read key:0x5bb8 -l 4
    [ "$output" = root ]
    # A squatter's key: root is not to write its secrets there by mistake.
    printf 'secret' >secret
    refused 1 '65534.*--any-owner' "$WEIR" write key:0x5bb7 <secret
    works "$WEIR" write --any-owner key:0x5bb7 <secret
    works as_nobody read key:0x5bb7 -l 6
    [ "$output" = secret ]
    as_nobody rm key:0x5bb7
    "$WEIR" rm key:0x5bb8
}

@test "a name whose header was overwritten is refused, and can be read by its id" {
    local id
    id=$("$WEIR" info --noheadings -o ID bytes/test)
    printf 'garbage!' | works "$WEIR" write "id:$id"
    for command in read write; do
        refused 1 'bytes/test' "$WEIR" "$command" bytes/test </dev/null
    done
    [ "$("$WEIR" read "id:$id" -l 8)" = 'garbage!' ]
    works "$WEIR" info bytes/test
    works "$WEIR" rm bytes/test
    "$WEIR" rm -qf "id:$id"
}
