#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: the progress of send and recv fits the terminal, and always tells rate and remaining time.
# Method: a sender on terminals of several widths, whose receiver makes a pause in the midst.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    truncate -s 8M input
}

# drawn COLUMNS: every drawing of a transfer, a line each, in "drawn". There are ten a second at
# most, so the receiver lets more than a tenth pass in the midst of it.
drawn() {
    "$WEIR" recv --wait 20 "width/$1" | (head -c 4000000 >/dev/null; sleep 0.3; cat >/dev/null) 3>&- &
    script --quiet --return --command "stty cols $1; '$WEIR' send --wait 20 width/$1 input" typescript \
        </dev/null >/dev/null
    wait
    tr '\r' '\n' <typescript | grep -a '/s  ' | sed 's/\x1b\[K//g' >drawn
    cat drawn
}

@test "80 columns: share, bar, sizes, rate, remaining time" {
    drawn 80
    grep -qE '^ *[0-9]+% \[#+ *\] .* of 8\.0 MiB  .*/s  [0-9:-]+ left$' drawn
    grep -qE '^100% \[#+\] 8\.0 MiB of 8\.0 MiB  .*/s  [0-9:]+ in all$' drawn
    [ "$(awk 'length > 79' drawn)" = "" ]
}

@test "narrower: the bar goes first, then the sizes, never the time" {
    drawn 50
    grep -qE '^ *[0-9]+% [0-9.]+ [KM]iB of 8\.0 MiB  .*/s  [0-9:-]+ left$' drawn
    [ "$(awk 'length > 49' drawn)" = "" ]
    drawn 36
    grep -qE '^ *[0-9]+% [0-9.]+ .*/s  [0-9:-]+ left$' drawn
    [ "$(grep -c ' of ' drawn)" -eq 0 ]
    [ "$(awk 'length > 35' drawn)" = "" ]
}
