// SPDX-License-Identifier: MIT
// take NAME - prints the note in the POSIX segment /NAME, with Boost.
#include <cstring>
#include <iostream>
#include <string>

#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/shared_memory_object.hpp>

#include "note.h"

int main(int argc, char **argv)
try {
    using namespace boost::interprocess;
    shared_memory_object memory(open_only, argc > 1 ? argv[1] : "note", read_only);
    mapped_region region(memory, read_only, 0, sizeof(note));
    note copy;
    std::memcpy(&copy, region.get_address(), sizeof copy);
    std::cout << copy.count << ": " << std::string(copy.text, strnlen(copy.text, sizeof copy.text))
              << '\n';
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
