// SPDX-License-Identifier: MIT
// put NAME TEXT - writes a note into the POSIX segment /NAME, with Boost.
#include <cstdio>
#include <iostream>

#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/shared_memory_object.hpp>

#include "note.h"

int main(int argc, char **argv)
try {
    using namespace boost::interprocess;
    shared_memory_object memory(open_or_create, argc > 1 ? argv[1] : "note", read_write,
                                permissions(0600));
    offset_t size = 0;
    if (memory.get_size(size) && size == 0)
        memory.truncate(sizeof(note));
    mapped_region region(memory, read_write, 0, sizeof(note));
    auto *shared = static_cast<note *>(region.get_address());
    std::snprintf(shared->text, sizeof shared->text, "%s", argc > 2 ? argv[2] : "Hello from C++");
    shared->count++;
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
