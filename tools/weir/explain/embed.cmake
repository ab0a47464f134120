# Turns a file into C: cmake -D INPUT=FILE -D OUTPUT=FILE.c -D NAME=SYMBOL -P embed.cmake
# defines `const unsigned char SYMBOL[]` and `const size_t SYMBOL_bytes`.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#include <stddef.h>

extern const unsigned char ${NAME}[];
extern const size_t ${NAME}_bytes;

const unsigned char ${NAME}[] = {
${bytes}
};
const size_t ${NAME}_bytes = sizeof ${NAME};
")
