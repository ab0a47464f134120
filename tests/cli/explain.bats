#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir explain: every topic in every presentation, and programs that do what the text promises.

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_TMPDIR"
    textbook=$WEIR_SOURCE/docs/textbook.md
    mapfile -t topics < <(sed -n 's/^## \([a-z_]*\)$/\1/p' "$textbook")
    [ "${#topics[@]}" -ge 20 ]
}

check_nothing_left() {
    [ "$WEIR_ISOLATED" = 1 ] || return 0 # then others are here, and tests/isolated compares
    [ "$(tail -n +2 /proc/sysvipc/shm)" = "" ]
    [ "$(tail -n +2 /proc/sysvipc/sem)" = "" ]
    [ "$(tail -n +2 /proc/sysvipc/msg)" = "" ]
    [ "$(find /dev/shm -mindepth 1 ! -type d)" = "" ]
}

# The lines of code in the textbook, as they are.
code_lines() {
    awk '/^```$/ && code { code = 0; next } code { print } /^```[a-z]/ { code = 1 }' "$textbook"
}

# The words of a page, without rules of dashes.
words_of() {
    tr -s ' ' '\n' | grep -v '^-*$' | sort -u
}

# A page of mandoc's without its overstriking.
plain() {
    sed "s/.$(printf '\b')//g"
}

# Runs its arguments on a terminal; what the terminal gets is in $output.
on_terminal() {
    command -v script >/dev/null || skip "script(1) is not here"
    run script -qec "$*" /dev/null
}

@test "the summary names every topic" {
    run --separate-stderr "$WEIR" explain
    [ "$status" -eq 0 ]
    [ "$stderr" = "" ]
    for topic in "${topics[@]}"; do
        grep -q "^  $topic  " <<<"$output" || { echo "no $topic"; false; }
    done
}

@test "every topic has all of its parts" {
    for topic in "${topics[@]}"; do
        run --separate-stderr "$WEIR" explain "$topic"
        [ "$status" -eq 0 ]
        [ "$stderr" = "" ]
        [[ "${lines[0]}" == "$topic - "* ]]
        for part in Prototype Purpose Arguments Flags Result Errors Pitfalls Example "With weir"; do
            grep -qx "$part" <<<"$output" || { echo "$topic: no $part"; false; }
        done
        ! grep -q '\*\*\|`' <<<"$output" || { echo "$topic: a mark is shown"; false; }
    done
}

@test "the overview has the story and the table of weir's calls" {
    run "$WEIR" explain textbook
    [ "$status" -eq 0 ]
    grep -q '^How the pieces fit$' <<<"$output"
    grep -q 'weir_segment_create()' <<<"$output"
}

@test "a companion leads to its topic" {
    for pair in semtimedop:semop waitpid:wait shm_unlink:shm_open munmap:mmap sem_wait:sem_open \
        ipcrm:ipcs; do
        run "$WEIR" explain "${pair%:*}"
        [ "$status" -eq 0 ]
        [[ "${lines[0]}" == "${pair#*:} - "* ]]
    done
}

@test "every example compiles without a warning, succeeds, and leaves nothing" {
    compiler=${CC:-cc}
    command -v "$compiler" >/dev/null || skip "no C compiler"
    for topic in "${topics[@]}"; do
        echo "$topic"
        "$WEIR" explain --example "$topic" >"$topic.c"
        [ "$(wc -l <"$topic.c")" -le 40 ]
        "$compiler" -Wall -Wextra -Wshadow -Werror -o "$topic" "$topic.c"
        run timeout 20 "./$topic"
        [ "$status" -eq 0 ]
        [ "$output" != "" ]
        check_nothing_left
    done
}

@test "the examples say through a pipe what they say in the text" {
    compiler=${CC:-cc}
    command -v "$compiler" >/dev/null || skip "no C compiler"
    says() {
        "$WEIR" explain --example "$1" >"$1.c"
        "$compiler" -o "$1" "$1.c"
        "./$1" 2>&1 | cat >"$1.out"
        shift_topic=$1
        shift
        for line; do
            grep -qF -- "$line" "$shift_topic.out" || { cat "$shift_topic.out"; false; }
            [ "$(grep -cF -- "$line" "$shift_topic.out")" -eq 1 ]
        done
    }
    says shmget 'make a second one: File exists' 'open, but larger: Invalid argument'
    says shmat '0xffffffffffffffff: Invalid argument'
    says shmctl 'mode 600, SHM_DEST' 'the memory still works'
    says semget 'after SETVAL: value 0, sem_otime 0: not ready' 'value 3, sem_otime set: ready'
    says semop "the kernel gave the dead child's lock back" 'now it is mine'
    says msgget 'make a second one: File exists' 'a message of the last run' \
        'open after removal: No such file or directory'
    says msgsnd 'of type 0: Invalid argument' 'one was taken, and the child could send'
    says msgrcv 'up to 2:     1 fire' 'of type 7:   2 a visitor' 'No message of desired type' \
        'cut:           7 a le'
    says msgctl '2 in the queue' 'a third one: Resource temporarily unavailable' \
        'the child has seen the end'
    says fork 'before fork: copied 1, shared 1' 'after it:    copied 1, shared 2'
    says wait 'it exited with status 7' 'signal 9 killed it'
    says strcpy 'a length that lies: refused'
    says sleep 'after sleep(1): ""' 'after read():   "Hello from the child"'
    says mmap 'MAP_SHARED:  42' 'MAP_PRIVATE: 0'
    if command -v ipcs >/dev/null; then says ipcs 'nattch' ' dest ' 'not in the list'; fi
    check_nothing_left
}

@test "what stands under 'With weir' compiles against the headers" {
    compiler=${CC:-cc}
    command -v "$compiler" >/dev/null || skip "no C compiler"
    for topic in "${topics[@]}"; do
        echo "$topic"
        {
            echo '#include <errno.h>'
            echo '#include <stdio.h>'
            echo '#include <string.h>'
            echo '#include <unistd.h>'
            echo '#include <weir/weir.h>'
            echo 'void f(struct weir_segment *segment, struct weir_semset *set, const char *text);'
            echo 'void f(struct weir_segment *segment, struct weir_semset *set, const char *text)'
            echo '{ (void)segment; (void)set; (void)text; {'
            awk -v topic="## $topic" '
                /^## / { here = $0 == topic; part = 0 }
                /^### / { part = $0 == "### With weir" }
                /^```$/ && code { code = 0 }
                code
                /^```c$/ { code = here && part }' "$textbook"
            echo '} }'
        } >"$topic.c"
        grep -q 'weir_[a-z]*_[a-z_]*(' "$topic.c"
        "$compiler" -std=gnu11 -Wall -Wextra -Werror -Wno-unused -I"$WEIR_SOURCE/include" \
            -c "$topic.c" -o "$topic.o"
    done
}

@test "every function of weir's that the text names exists" {
    grep -o 'weir_[a-z_]*()' "$textbook" | sort -u >named
    [ -s named ]
    while read -r name; do
        grep -qw "${name%()}" "$WEIR_SOURCE"/include/weir/*.h || { echo "no $name"; false; }
    done <named
}

@test "lines are broken at the width, and no word is lost" {
    code_lines | sort -u >code
    for topic in "" textbook "${topics[@]}"; do
        "$WEIR" explain --width 1000 $topic | words_of >wide
        for width in 60 72 80; do
            "$WEIR" explain --width "$width" $topic >page
            awk -v width="$width" 'length($0) > width { print substr($0, 5) }' page | sort -u >long
            [ "$(comm -23 long code)" = "" ] || { echo "$topic at $width:"; comm -23 long code; false; }
            if grep -n ' $' page; then false; fi
            words_of <page | diff wide - || { echo "$topic at $width"; false; }
        done
    done
}

@test "a very narrow terminal gets the tables as lists" {
    code_lines | sort -u >code
    for width in 20 30 40; do
        for topic in "" textbook "${topics[@]}"; do
            "$WEIR" explain --width "$width" $topic >page
            awk -v width="$width" 'length($0) > width { print substr($0, 5) }' page | sort -u >long
            [ "$(comm -23 long code)" = "" ] || { echo "$topic at $width:"; comm -23 long code; false; }
        done
    done
    "$WEIR" explain --width 30 | grep -q '^    most common fault: '
}

@test "bold and colours on a terminal alone, and not with NO_COLOR or TERM=dumb" {
    escape=$(printf '\033')
    run "$WEIR" explain shmget
    [[ "$output" != *"$escape"* ]]
    on_terminal "TERM=xterm NO_COLOR= $WEIR explain shmget"
    [[ "$output" == *"$escape"* ]]
    on_terminal "TERM=xterm NO_COLOR=1 $WEIR explain shmget"
    [[ "$output" == *"shmget - "* ]]
    [[ "$output" != *"$escape"* ]]
    on_terminal "TERM=dumb $WEIR explain shmget"
    [[ "$output" == *"shmget - "* ]]
    [[ "$output" != *"$escape"* ]]
}

@test "the terminal's width is used" {
    on_terminal "stty cols 50; NO_COLOR=1 $WEIR explain | tr -d '\r' >/dev/null; NO_COLOR=1 $WEIR explain"
    tr -d '\r' <<<"$output" | awk 'length($0) > 50 { bad = 1 } END { exit bad }'
    tr -d '\r' <<<"$output" >on_terminal
    "$WEIR" explain --width 50 | diff - on_terminal
}

@test "an unknown topic: the list, the nearest one, and exit 1" {
    run --separate-stderr "$WEIR" explain shmgett
    [ "$status" -eq 1 ]
    [ "$output" = "" ]
    [[ "$stderr" == *"did you mean 'shmget'?"* ]]
    for topic in "${topics[@]}"; do
        [[ "$stderr" == *"$topic"* ]]
    done
    run --separate-stderr "$WEIR" explain bicycle
    [ "$status" -eq 1 ]
    [[ "$stderr" != *"did you mean"* ]]
    run "$WEIR" explain ""
    [ "$status" -eq 1 ]
    run "$WEIR" explain "$(head -c 5000 /dev/zero | tr '\0' s)"
    [ "$status" -eq 1 ]
}

@test "called wrongly: exit 2" {
    for arguments in "shmget shmat" "--width 5" "--width 1e3" "--width=" "--no-such" "--example" \
        "--example textbook"; do
        run --separate-stderr "$WEIR" explain $arguments
        echo "$arguments: $status"
        [ "$status" -eq 2 ]
        [ "$output" = "" ]
        [[ "$stderr" == *"Try 'weir explain --help'."* ]]
    done
}

@test "options may stand behind the topic" {
    "$WEIR" explain --example fork >before
    "$WEIR" explain fork -e | diff before -
}

@test "an output that cannot be written is a failure" {
    run bash -c "\"$WEIR\" explain shmget >/dev/full"
    [ "$status" -eq 1 ]
    [[ "$output" == *"cannot write the output"* ]]
}

@test "a reader who goes away early gets no message" {
    mkfifo pipe
    { exec 3<pipe; exec 3<&-; } &
    exec 4>pipe
    wait $! # now nobody reads
    run --separate-stderr bash -c "\"$WEIR\" explain semop >&4"
    [ "$status" -eq 141 ]
    [ "$stderr" = "" ]
}

@test "every manual page is complete and sound" {
    command -v mandoc >/dev/null || skip "mandoc is not here"
    export SOURCE_DATE_EPOCH=86400
    for topic in textbook "${topics[@]}"; do
        "$WEIR" explain --man "$topic" >"weir-$topic.7"
        mandoc -T lint "weir-$topic.7"
        mandoc -T utf8 "weir-$topic.7" | plain >page
        grep -q "weir-$topic" page
        grep -q 1970-01-02 page
    done
    for section in SYNOPSIS DESCRIPTION ARGUMENTS FLAGS 'RETURN VALUE' ERRORS PITFALLS EXAMPLES \
        'WITH WEIR' 'SEE ALSO'; do
        grep -q "^\.SH $section$" weir-semop.7
    done
}

@test "a manual page's program is the example" {
    command -v mandoc >/dev/null || skip "mandoc is not here"
    for topic in "${topics[@]}"; do
        "$WEIR" explain --man "$topic" >page.7
        "$WEIR" explain --example "$topic" >example.c
        mandoc -T ascii -O width=120 page.7 | plain |
            sed -n '/^EXAMPLES$/,/^ *\$ cc /{/^[A-Z]/d;/^ *\$ cc /d;s/^ \{11\}//;p}' >from_page
        diff <(sed '/./,$!d' from_page | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}') example.c
    done
}
