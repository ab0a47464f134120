# SPDX-License-Identifier: MIT
"""take.py NAME - prints the note in the POSIX segment /NAME."""
import sys

from note import NOTE, shared

memory = shared(sys.argv[1])
count, text = NOTE.unpack_from(memory.buf)
print(f"{count}: {text.split(bytes(1))[0].decode()}")
memory.close()
