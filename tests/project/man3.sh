#!/bin/sh
# SPDX-License-Identifier: MIT
#
# man3.sh PYTHON3 - the ERRORS of a manual page are those of the header's comment
#
# Goal: each code has its own remark, whole; what is said beside is a paragraph of its own; and a
# comment of which half a sentence would remain stops the build, with a sentence.
# Method: scripts/man3.py on a header of one function, whose comment is written anew each time.
set -u
python=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0
mkdir "$tree/weir"
cat >"$tree/weir/error.h" <<'END'
#define WEIR_ERROR_H

/*
 * Errors.
 */
#define WEIR_ERRORS(X) X(EINVAL, "an argument is out of its range", "look") \
    X(EINTR, "a signal arrived", "call again") \
    X(EPERM, "not allowed", "ask")
END

build() { # Returns and Errors, as lines of a comment
    {
        printf '#define WEIR_SAMPLE_H\n\n/*\n * A sample.\n */\n\n'
        printf '/*\n * weir_sample() - do it\n *\n * index: which.\n *\n'
        printf '%s\n' "$1" | sed 's/^/ * /'
        printf ' * Blocking: never.\n */\nWEIR_EXPORT int weir_sample(int index);\n'
    } >"$tree/weir/sample.h"
    "$python" "${WEIR_SOURCE:?}/scripts/man3.py" "$tree/weir" "$tree/man" 1.0 2026-01-01 2>&1
}

# The section as plain lines: "-CODE: remark" and paragraphs.
section() {
    sed -n '/^\.SH ERRORS/,/^\.SH NOTES/p' "$tree/man/weir_sample.3" | sed -e '/^\.SH/d' \
        -e '/^\.PP$/d' -e 's/\\f[BIRP]//g' -e 's/\\-/-/g' | awk '
        $0 == ".TP" { getline tag; getline text; print tag ": " text; next }
        { print }'
}

expect() { # the comment, what the page has to say
    complaint=$(build "$1") || {
        echo "FAILED: man3.py refused: $1"
        echo "$complaint"
        failed=1
        return
    }
    found=$(section)
    [ "$found" = "$2" ] || {
        printf 'FAILED: of this comment\n%s\nthe page says\n%s\ninstead of\n%s\n' "$1" "$found" "$2"
        failed=1
    }
}

refuse() { # the comment, what the complaint has to contain
    if complaint=$(build "$1"); then
        echo "FAILED: accepted: $1"
        section
        failed=1
        return
    fi
    case $complaint in
    "man3.py: weir_sample: "*"$2"*) ;;
    *)
        printf 'FAILED: of this comment\n%s\nit complained\n%s\nwithout\n%s\n' \
            "$1" "$complaint" "$2"
        failed=1
        ;;
    esac
}

# A remark ends with its bracket; brackets may stand in it.
expect 'Returns: 0.
Errors: -EINVAL (NULL, not aligned to 8), and those of weir_identity() at the first
    call (and the last) of a process. Nothing is held then.' \
    '-EINVAL: NULL, not aligned to 8.
Besides: those of weir_identity(3) at the first call (and the last) of a process.
Nothing is held then.'

# What leads to further codes is no remark of the one before, which keeps its own meaning.
expect 'Returns: 0.
Errors: -EINTR, -ECHILD (of -EPERM see below; not here); and, once for each subscriber, which
    is not waited for from then on: -EPROTO (no page), -EPERM or -EACCES (no trust (see x)).
    Each time, as long as it is there: -EPERM (another user).' \
    '-EINTR: A signal arrived.
-ECHILD: Of -EPERM see below; not here.
Once for each subscriber, which is not waited for from then on:
-EPROTO: No page.
-EPERM or -EACCES: No trust (see x).
Each time, as long as it is there:
-EPERM: Another user.'

# With a comma each is for itself; a colon explains all that have nothing else.
expect 'Returns: 0; -EINTR, -EINVAL (index); -EPERM, -EACCES, -EIO: see read(2).' \
    '-EINTR: A signal arrived.
-EINVAL: index.
-EPERM, -EACCES, -EIO: See read(2).'

# Codes without a bracket.
expect 'Returns: as weir_other().
Errors: -EINTR, and those of weir_other(); -EAGAIN with a deadline of 0.' \
    '-EINTR: A signal arrived.
-EAGAIN: With a deadline of 0.
Besides: those of weir_other(3).'
expect 'Returns: 0: it is whole. -EIO: it is not: forget it (all of it). -EINVAL (index), -EPERM.
    Of a child there is none.' \
    '-EIO: It is not: forget it (all of it).
-EINVAL: index.
-EPERM: Not allowed.'

# Identifiers stay as they are.
expect 'Returns: 0.
Errors: -EINTR (deadline_ns 0), -EINVAL (stat->size), -EPERM (index is odd), -EIO (odd).' \
    '-EINTR: deadline_ns 0.
-EINVAL: stat->size.
-EPERM: index is odd.
-EIO: Odd.'

# What another function has, and what it has not.
expect 'Returns: as weir_other(), but never -EINTR or -EPERM.' \
    'Those of weir_other(3), but never -EINTR or -EPERM.'
expect 'Returns: 0; else as weir_other().
Errors: also -EINVAL (index), and for names those of weir_open().' \
    '-EINVAL: index.
Besides: those of weir_other(3); for names those of weir_open(3).'

# Half sentences.
refuse 'Returns: 0.
Errors: -EINVAL ((index), and more).' "'(index), and more.'"
refuse 'Returns: 0.
Errors: -EINVAL (index), and what else.' "'what else'"
refuse 'Returns: 0.
Errors: -EINVAL (and index).' "'And index.'"
refuse 'Returns: 0.
Errors: -EINVAL (index, and ).' "'index, and.'"
refuse 'Returns: 0.
Errors: -EINVAL (a sentence for).' "'A sentence for.'"
refuse 'Returns: 0.
Errors: -EINVAL (see weir_other().' 'brackets'
refuse 'Returns: 0.
Errors: -EINVAL (a deadline , passed).' "'A deadline , passed.'"
refuse 'Returns: 0.
Errors: -EINVAL (index). Without a sentence for -EINVAL.' 'midst'
refuse 'Returns: 0.
Errors: -EINVAL (index), -EPERM, when it is odd.' "'when it is odd'"
refuse 'Returns: 0, or -errno (-EPERM, -EINVAL).' 'EINVAL, EPERM'

exit "$failed"
