#!/usr/bin/env zsh
# SPDX-License-Identifier: MIT
#
# Completion offers what the command has.
#
# Goal: commands, options, objects, scenes and topics are completed by zsh.
# Method: the function is called as zsh does, with words typed so far, and with functions in the
#         place of zsh's own (compadd, _describe, _files) that keep what they are given.
path=(${WEIR:h} $path)
failed=0
offered=()

compadd() {
    while [[ $1 != -- ]]; do shift; done
    shift
    offered+=("$@")
}
_describe() { offered+=(${${(P)2}%%:*}) }
_files() { }

expect() { # offered words that must be there, words typed so far...
    local -a wanted=(${=1})
    shift
    words=("$@")
    CURRENT=$#
    offered=()
    source $WEIR_SOURCE/tools/weir/weir.zsh
    for word in $wanted; do
        (( ${offered[(Ie)$word]} )) && continue
        echo "FAILED: '$*' is not completed with $word, but with: $offered"
        failed=1
    done
}

expect "create demo explain list send pub sub tap top --version" weir ""
expect "--wait= --wait-for= --lossy --lag-max= --quiet" weir pub --
expect "--from= --lossy --json" weir sub --l
expect "seed lifecycle race" weir demo ""
expect "shmget shm_open semop" weir explain s
$WEIR create completion/one --size 4096 >/dev/null || exit 1
expect "completion/one" weir get completion/
$WEIR pub -q --persistent completion/two </dev/null || exit 1
expect "completion/two" weir sub completion/
$WEIR rm -q completion/two
$WEIR rm -q completion/one
exit $failed
