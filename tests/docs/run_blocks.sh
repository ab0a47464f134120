#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run_blocks.sh PYTHON - run_blocks.py sees what is wrong in a document
#
# Goal: a false document fails, and for the reason that it is false.
# Method: one document that is true, and one for each way of being false.
set -u
python=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
runner=${WEIR_SOURCE:?}/tests/docs/run_blocks.py
failed=0

options=

run() {
    cat >"$folder/document.md"
    # shellcheck disable=SC2086 # words, or none
    "$python" "$runner" "$folder/document.md" --source "$WEIR_SOURCE" --grace 0.5 $options \
        >"$folder/said" 2>&1
}

is_true() { # what; the document on stdin
    run || {
        echo "FAILED: $1"
        cat "$folder/said"
        failed=1
    }
}

is_false() { # what, what is said of it; the document on stdin
    if run; then
        echo "FAILED: $1: was taken for true"
        failed=1
    elif ! grep -qF -- "$2" "$folder/said"; then
        echo "FAILED: $1: '$2' is not said, but"
        cat "$folder/said"
        failed=1
    fi
}

is_true "a true document" <<'END_OF_DOCUMENT'
[This document](document.md#anything) is true, and so is [that](https://example.org/).
```text
anything
```
```c file=one.c
#include <stdio.h>

int main(void)
{
    puts("one 1 0x1a  end");
    return 0;
}
```
```c in=one.c
puts("one 1 0x1a  end");
return 0;
```
```diff file=three.c from=one.c
-    puts("one 1 0x1a  end");
-    return 0;
+    puts("three");
+    return 3;
 }
```
```sh tested=LICENSE
MIT License    # a comment
```
```console
$ cc -o one one.c && cc -o three three.c
$ ./one
one [...] end
$ for i in 1 2 3; do
>     echo $i
> done
1
[...]
$ ./three
three
$ echo $?
3
$ tail -f /dev/null &
[1] 4711
$ kill -STOP %1; until grep -q 'State:.T' /proc/$!/status; do :; done
$ echo stopped
stopped
$ kill -CONT %1; kill $!; wait
```
```console numbers=any
$ ./one
one 77 0xf end
```
```console vary=77,c0ffee,0xbeef,you
$ echo 5 50 at 0x1d, 7 of $(id -un) is id:7, 0x57badf is 57 and badf, then 7
5 50 at 0xbeef, 77 of you is id:77, 0x57c0ffee is 57 and c0ffee, then 77
$ echo   "7    again"
77 again
```
```console status=3
$ ./three
three
```
END_OF_DOCUMENT

is_false "other output" 'but this is:' <<'END_OF_DOCUMENT'
```console
$ echo hello
goodbye
```
END_OF_DOCUMENT
is_false "more output than shown" 'but this is:' <<'END_OF_DOCUMENT'
```console
$ printf 'one\ntwo\n'
one
```
END_OF_DOCUMENT
is_false "more output than shown, in the middle" 'but this is:' <<'END_OF_DOCUMENT'
```console
$ echo one; echo two
one
$ echo three
three
```
END_OF_DOCUMENT
is_false "less output than shown" 'but this is:' <<'END_OF_DOCUMENT'
```console
$ echo one
one
two
```
END_OF_DOCUMENT
is_false "other numbers, where they count" 'but this is:' <<'END_OF_DOCUMENT'
```console
$ echo 4
5
```
END_OF_DOCUMENT
is_false "other words, where numbers do not count" 'but this is:' <<'END_OF_DOCUMENT'
```console numbers=any
$ echo 4 apples
5 pears
```
END_OF_DOCUMENT
is_false "another number, where a different one may vary" 'but this is:' <<'END_OF_DOCUMENT'
```console vary=3
$ echo id 7, 14 bytes
id 3, 13 bytes
```
END_OF_DOCUMENT
is_false "another word beside a number that varies" 'but this is:' <<'END_OF_DOCUMENT'
```console vary=3
$ echo id 7 again
id 3 anew
```
END_OF_DOCUMENT
is_false "two numbers where one is shown twice" 'but this is:' <<'END_OF_DOCUMENT'
```console vary=3
$ echo id 7
id 3
$ echo id 8 again
id 3 again
```
END_OF_DOCUMENT
is_false "a word where a number varies" 'but this is:' <<'END_OF_DOCUMENT'
```console vary=3
$ echo id none
id 3
```
END_OF_DOCUMENT
is_false "what varies and is nowhere" "'4' shall vary and is not in the output" <<'END_OF_DOCUMENT'
```console vary=4
$ echo id 3, 44 bytes
id 3, 44 bytes
```
END_OF_DOCUMENT
is_false "what varies and is no number" "'apples' is no number" <<'END_OF_DOCUMENT'
```console vary=apples
$ echo apples
apples
```
END_OF_DOCUMENT
is_false "a command that fails" 'ended with status 1' <<'END_OF_DOCUMENT'
```console
$ false
```
END_OF_DOCUMENT
is_false "another status than promised" 'ended with status 0, not 3' <<'END_OF_DOCUMENT'
```console status=3
$ true
```
END_OF_DOCUMENT
is_false "another status than shown" 'but this is:' <<'END_OF_DOCUMENT'
```console numbers=any
$ false
$ echo $?
2
```
END_OF_DOCUMENT
is_false "a program that does not compile" 'error' <<'END_OF_DOCUMENT'
```c file=one.c
int main(void) { return nothing; }
```
```console
$ cc -o one one.c
```
END_OF_DOCUMENT
is_false "a diff of something else" 'occurs 0 times' <<'END_OF_DOCUMENT'
```c file=one.c
int one;
```
```diff file=two.c from=one.c
-int two;
+int three;
```
END_OF_DOCUMENT
is_false "a passage of something else" 'no passage of one.c' <<'END_OF_DOCUMENT'
```c file=one.c
int one;
```
```c in=one.c
int two;
```
END_OF_DOCUMENT
is_false "a command that is tested nowhere" 'does not stand in LICENSE' <<'END_OF_DOCUMENT'
```sh tested=LICENSE
./dev nothing
```
END_OF_DOCUMENT
is_false "a block without a test" 'does not say how it is tested' <<'END_OF_DOCUMENT'
```c
int one;
```
END_OF_DOCUMENT
is_false "a link to nowhere" 'there is no nowhere.md' <<'END_OF_DOCUMENT'
See [there](nowhere.md#at-the-end).
END_OF_DOCUMENT
is_false "a block without an end" 'never closed' <<'END_OF_DOCUMENT'
```console
$ true
END_OF_DOCUMENT

printf '#!/bin/sh\necho here\n' >"$folder/a_program"
chmod +x "$folder/a_program"
options="--marked --program $folder/a_program"
is_true "blocks that nothing is said of, and a program that is nowhere else" <<'END_OF_DOCUMENT'
```c
this is not looked at
```
```c file=one.c
int main(void) { return 0; }
```
```console
$ a_program
here
$ cc -o one one.c && ./one
```
END_OF_DOCUMENT
is_false "a console block that nothing is said of" 'but this is:' <<'END_OF_DOCUMENT'
```console
$ a_program
there
```
END_OF_DOCUMENT

[ "$failed" = 0 ] && echo "run_blocks.py tells true from false"
exit "$failed"
