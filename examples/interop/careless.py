# SPDX-License-Identifier: MIT
"""careless.py NAME - opens the POSIX segment /NAME, and takes its name away from everybody."""
import sys
from multiprocessing import shared_memory

memory = shared_memory.SharedMemory(sys.argv[1])
print(f"{memory.size} bytes")
memory.close()  # the tracker still has it on its list, and removes it when we end
