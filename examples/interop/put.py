# SPDX-License-Identifier: MIT
"""put.py NAME TEXT - writes a note into the POSIX segment /NAME."""
import sys

from note import NOTE, shared

try:
    memory = shared(sys.argv[1], create=True)
except FileExistsError:
    memory = shared(sys.argv[1])
count, _ = NOTE.unpack_from(memory.buf)
NOTE.pack_into(memory.buf, 0, count + 1, sys.argv[2].encode())
memory.close()
