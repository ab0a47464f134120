#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# examples/interop: each language writes what weir reads, and reads what weir writes, whoever made
# the segment.
# Method: a note goes back and forth; its count tells that it was the same segment all the time.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    examples=$WEIR_SOURCE/examples/interop
    put=$WEIR_BUILD/examples/interop_put
    take=$WEIR_BUILD/examples/interop_take
    name=weir-test-$$
    key=0x6e6f7465
    export PYTHONDONTWRITEBYTECODE=1 # not into the checkout
}

teardown() {
    "$WEIR" rm -qf "posix:/$name" "key:$key"
}

need() {
    command -v "$1" >/dev/null || skip "$1 is not here"
}

# prints TEXT COMMAND...: it says so, and nothing on stderr.
prints() {
    local wanted=$1
    shift
    works "$@"
    [ "$output" = "$wanted" ] || {
        printf 'wanted: %s\ngot: %s\n' "$wanted" "$output"
        return 1
    }
}

# there_and_back REFERENCE NAME PUT... -- TAKE...: the language's two commands.
there_and_back() {
    local reference=$1 called=$2 their_put=() their_take
    shift 2
    while [ "$1" != -- ]; do
        their_put+=("$1")
        shift
    done
    shift
    their_take=("$@")
    # weir makes it ...
    works "$put" "$reference" 'from C'
    prints '1: from C' "${their_take[@]}" "$called"
    works "${their_put[@]}" "$called" 'from there'
    prints '2: from there' "$take" "$reference"
    prints '2: from there' "${their_take[@]}" "$called"
    works "$WEIR" rm "$reference"
    # ... and they do.
    works "${their_put[@]}" "$called" 'first'
    prints '1: first' "$take" "$reference"
    [ "$(field "$reference" SIZE)" -ge 64 ]
    works "$put" "$reference" 'from C'
    prints '2: from C' "${their_take[@]}" "$called"
    # The command sees the bytes too.
    [ "$("$WEIR" read "$reference" -o 4 -l 6)" = 'from C' ]
    printf '\x07\0\0\0by hand\0' | works "$WEIR" write "$reference"
    prints '7: by hand' "${their_take[@]}" "$called"
    works "$WEIR" rm "$reference"
    refused 1 . "$take" "$reference"
}

@test "Python's multiprocessing.shared_memory" {
    need python3
    python3 -c 'import multiprocessing.shared_memory' 2>/dev/null || skip 'Python is too old'
    there_and_back "posix:/$name" "$name" python3 "$examples/put.py" -- python3 "$examples/take.py"
}

@test "Python's careless way takes the name away from everybody" {
    need python3
    works "$put" "posix:/$name" 'from C'
    run --separate-stderr python3 "$examples/careless.py" "$name"
    [ "$output" = '64 bytes' ]
    # Its tracker, a process of its own, may take a moment.
    until ! [ -e "/dev/shm/$name" ]; do :; done
    refused 1 "$name" "$WEIR" info "posix:/$name"
}

@test "what Python has no memory for is refused with prefault, and no SIGBUS" {
    need python3
    alone
    mount -t tmpfs -o size=64k,mode=1777 tmpfs /dev/shm || skip 'nothing can be mounted here'
    python3 - "$name" <<'END'
import sys
from multiprocessing import resource_tracker, shared_memory
memory = shared_memory.SharedMemory(sys.argv[1], create=True, size=1 << 20)
resource_tracker.unregister("/" + memory.name, "shared_memory")
END
    [ "$(stat -c %s "/dev/shm/$name")" = 1048576 ]
    refused 1 'not there' "$WEIR" write "posix:/$name" < <(head -c 1M /dev/urandom)
    rm "/dev/shm/$name"
    umount /dev/shm
}

@test "Boost's shared_memory_object" {
    need c++
    echo '#include <boost/interprocess/shared_memory_object.hpp>' | c++ -E -x c++ - >/dev/null 2>&1 ||
        skip 'Boost is not here'
    for program in put take; do
        c++ -std=c++17 -Wall -Wextra -o "boost_$program" "$examples/$program.cpp"
    done
    there_and_back "posix:/$name" "$name" ./boost_put -- ./boost_take
}

@test "Perl's shmget, shmread and shmwrite" {
    need perl
    there_and_back "key:$key" "$key" perl "$examples/put.pl" -- perl "$examples/take.pl"
}

@test "PHP's shmop" {
    need php
    php -r 'exit(function_exists("shmop_open") ? 0 : 1);' || skip 'PHP has no shmop'
    there_and_back "key:$key" "$key" php "$examples/put.php" -- php "$examples/take.php"
}

@test "PHP's variables are shown and removed, and not understood" {
    need php
    php -r 'exit(function_exists("shm_attach") ? 0 : 1);' || skip 'PHP has no sysvshm'
    prints 'a variable' php "$examples/variable.php" "$key" 'a variable'
    [ "$(field "key:$key" SIZE)" = 1024 ]
    [ "$("$WEIR" read "key:$key" -l 6)" = PHP_SM ]
    prints 'a variable' php "$examples/variable.php" "$key"
    works "$WEIR" rm "key:$key"
}

@test "a note that is too small is refused, whoever made it" {
    works "$WEIR" create "posix:/$name" --size 63
    refused 1 'has 63 bytes, and 64 are asked for' "$take" "posix:/$name"
    refused 1 'has 63 bytes, and 64 are asked for' "$put" "posix:/$name" text
    refused 2 'posix:/NAME or key:NUMBER' "$take" nonsense
}
