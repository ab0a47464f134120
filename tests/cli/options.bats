#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: each option that a command's help names is one that the command takes, with a value exactly
#       when the help shows one.
# Method: the options are read from each help and given to the command, in front of one that no
#         command has: that one alone may be refused.

load common.bash

# commands: the names that 'weir --help' lists.
commands() {
    "$WEIR" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p'
}

# options COMMAND: the long ones of its help, "--name" or "--name=".
options() {
    "$WEIR" "$1" --help | sed -n '/^Options:/,/^$/p' | 
        sed -n 's/^ *\(-., \)\{0,1\}\(--[a-z-]*=\{0,1\}\).*/\2/p'
}

@test "a command that is not there: the one that was meant" {
    refused 2 "there is no command 'lst'; did you mean 'list'\?" "$WEIR" lst
    refused 2 "did you mean 'sub'\?" "$WEIR" subscribe
    refused 2 "did you mean 'create'\?" "$WEIR" help craete
    refused 2 "did you mean 'rm'\?" "$WEIR" remove x
    refused 2 "did you mean 'list'\?" "$WEIR" ls
    refused 2 "did you mean 'pub'\?" "$WEIR" publish
    for word in foo '' bicycle $'\e[2J' --lst; do
        run --separate-stderr "$WEIR" "$word"
        [ "$status" -eq 2 ]
        [[ "$stderr" != *'did you mean'* ]]
    done
}

@test "wrong uses are told what to do" {
    refused 2 "'key:0x1': a channel has a NAME, such as" "$WEIR" sub key:0x1
    refused 2 "'id:3': a channel has a NAME, such as" "$WEIR" pub id:3
    refused 2 "'sem:3': a channel has a NAME, such as" "$WEIR" top sem:3
    refused 2 "options of 'weir lock' stand before NAME" "$WEIR" lock a --wait 0 -- true
    [ -z "$("$WEIR" list -w --noheadings)" ]
}

@test "every option of every help" {
    local command option count=0
    for command in $(commands); do
        [ "$command" != demo ] || continue # its scenes have options of their own
        for option in $(options "$command"); do
            [ "$option" != --help ] || continue
            [ "${option%=}" = "$option" ] || option+=1
            run timeout 20 "$WEIR" "$command" "$option" --no-such-option </dev/null
            if [ "$status" -ne 2 ] || [[ "$output" == *"unrecognized option '${option%=1}"* ]] ||
                [[ "$output" == *'requires an argument'* || "$output" == *"doesn't allow"* ]] ||
                [[ "$output" == *'ambiguous'* ]]; then
                echo "weir $command $option: status $status, $output"
                return 1
            fi
            count=$((count + 1))
        done
    done
    echo "$count options"
    [ "$count" -gt 100 ]
}
