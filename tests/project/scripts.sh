#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The checks of the source find what they look for.
#
# Goal: check-floors, check-tags, check-pages, check-length and check-mutants pass on this source, and
# fail on each kind of fault that they are there for.
# Method: a small tree of files with one fault at a time.
set -u
scripts=${WEIR_SOURCE:?}/scripts
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0

fresh_tree() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree/src/base" "$tree/src/segment" "$tree/include/weir" "$tree/tools" "$tree/examples"
    printf '#include <weir/segment.h>\n#include "base/error.h"\n#include "segment/own.h"\n' \
        >"$tree/src/segment/good.c"
    printf '#include <weir/error.h>\n' >"$tree/include/weir/segment.h"
    printf '#include <weir/weir.h>\n#include "own.h"\n#include "../examples/e.h"\n' \
        >"$tree/tools/good.c"
    printf 'void commit(void)\n{\n    /* Release [lane.commit]: payload first. Pairs with peek(). */\n}\n' \
        >"$tree/src/base/a.c"
    printf 'void peek(void)\n{\n    /* Acquire [lane.commit]: pairs with\n     * commit(). */\n}\n' \
        >"$tree/src/segment/b.c"
    printf '#include <stdatomic.h>\n' >"$tree/src/base/atomics.h"
}

expect() { # pass or fail, script, what
    output=$("$scripts/$2" "$tree" 2>&1)
    status=$?
    if { [ "$1" = pass ] && [ "$status" != 0 ]; } || { [ "$1" = fail ] && [ "$status" != 1 ]; }; then
        echo "FAILED: $2 should $1 on $3, exit status $status:"
        echo "$output"
        failed=1
    fi
}

floors() { # the line, the file
    fresh_tree
    mkdir -p "$tree/$(dirname "$2")"
    printf '%s\n' "$1" >"$tree/$2"
    expect fail check-floors "$1 in $2"
}

tags() { # what, file, text
    fresh_tree
    printf '%b\n' "$3" >"$tree/$2"
    expect fail check-tags "$1"
}

fresh_tree
expect pass check-floors "a tree without a fault"
expect pass check-tags "a tree without a fault"
floors '#include "segment/own.h"' src/base/low.c
floors '#  include "inspect/walk.h"' src/segment/low.c
floors '#include "channel/own.h"' src/latest/beside.c
floors '#include <weir/inspect.h>' src/waitset/beside.c
floors '#include "own.h"' src/segment/bare.c
floors '#include <weir/segment.h>' src/base/low.c
floors '#include <weir/weir.h>' src/segment/all.c
floors '#include <weir/unheard_of.h>' src/segment/new.c
floors '#include "base/error.h"' src/attic/x.c
floors '#include <weir/inspect.h>' include/weir/segment.h
floors '#include "error.h"' include/weir/segment.h
floors '#include "../src/base/error.h"' tools/private.c
floors '#include "../../src/base/error.h"' examples/private.c
rm -rf "${tree:?}"/*
expect fail check-floors "an empty tree"

tags "a tag that stands once" src/base/c.c '/* Release [lane.alone]: x */'
tags "a tag that is only released" src/base/c.c '/* Release [x.y]: a */\n/* Release [x.y]: b */'
tags "a tag that is only acquired" src/base/c.c '/* Acquire [x.y]: a */\n/* Acquire [x.y]: b */'
tags "a partner that is not there" src/base/c.c '/* Release [lane.commit]: a. Pairs with gone(). */'
tags "a partner without the tag" src/base/c.c \
    'void idle(void)\n{\n}\n/* Release [lane.commit]: a. Pairs with\n * peek() and idle(). */'
tags "stdatomic in a .c file" src/base/c.c '#include <stdatomic.h>'
tags "stdatomic in a second header" src/segment/c.h '#include <stdatomic.h>'

pages() { # what, file, text that is appended
    rm -rf "${tree:?}"/*
    mkdir -p "$tree/docs" "$tree/src/channel" "$tree/src/sync" "$tree/src/latest" \
        "$tree/src/base" "$tree/src/segment" "$tree/src/alloc"
    while read -r page folder letters; do
        printf '/*\n * %s1: x\n * CRASH a.b: x\n */\n/* Release [c.d]: x */\n' "$letters" \
            >"$tree/src/$folder/a.h"
        printf -- '- %s1: x\n## Order pairs\n| c.d | x |\n## Crash points\n| a.b | x |\n' "$letters" \
            >"$tree/docs/$page.md"
    done <<'END_OF_PAGES'
lane channel CH
sync sync I
latest latest L
design segment D
END_OF_PAGES
    printf '%b\n' "$3" >>"$tree/$2"
    expect "$4" check-pages "$1"
}
pages "a tree without a fault" src/sync/a.h '/* nothing */' pass
pages "a crash point in the code alone" src/sync/a.h '/* CRASH a.c */' fail
pages "a crash point in the page alone" docs/sync.md '| a.c | x |' fail
pages "an order pair in the code alone" src/channel/a.h '/* Release [c.e]: x */' fail
pages "an invariant in the code alone" src/sync/a.h '/*\n * I2: x\n */' fail
pages "an invariant in the page alone" docs/sync.md '- I2: x' fail
pages "a crash point of latest in its code alone" src/latest/a.h '/* CRASH a.c */' fail
pages "a crash point of the pool in its code alone" src/alloc/b.h '/* CRASH a_b.c */' fail
pages "a crash point of a segment in the page alone" docs/design.md '| a.c_d | x |' fail
pages "an order pair of base in its code alone" src/base/b.h '/* Acquire [c.e_f]: x */' fail
pages "an invariant with another's name" src/base/b.h '/*\n * CH1: x\n */' fail
pages "an index in the code" src/segment/b.h 'int a = kinds[ref.by];' pass

fresh_tree
{
    printf 'int long_function(void)\n{\n'
    for line in 1 2 3 4 5 6 7 8 9 10; do
        printf '    call_%s();\n    a();\n    b();\n    c();\n    d();\n    e();\n    f();\n' "$line"
    done
    printf '}\n'
} >"$tree/src/base/long.c"
expect fail check-length "a function of 72 lines"
sed -i '3,4d' "$tree/src/base/long.c"
expect pass check-length "a function of 70 lines"

fresh_tree
mkdir -p "$tree/proof/mutants"
printf 'int a;\nint b;\n' >"$tree/src/base/good.c"
printf 'What: x\n\n--- a/src/base/good.c\n+++ b/src/base/good.c\n@@ -1,2 +1,2 @@\n int a;\n-int b;\n+int c;\n' \
    >"$tree/proof/mutants/one.patch"
expect pass check-mutants "a patch that applies"
printf 'int a;\nint d;\n' >"$tree/src/base/good.c"
expect fail check-mutants "a patch of lines that have changed"

tree=$WEIR_SOURCE
trap - EXIT
expect pass check-floors "this source"
expect pass check-tags "this source"
expect pass check-pages "this source"
expect pass check-length "this source"
expect pass check-mutants "this source"
exit "$failed"
