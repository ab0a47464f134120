/* SPDX-License-Identifier: MIT */
#include <weir/version.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *weir_version(int *major, int *minor, int *patch)
{
    if (major)
        *major = WEIR_VERSION_MAJOR;
    if (minor)
        *minor = WEIR_VERSION_MINOR;
    if (patch)
        *patch = WEIR_VERSION_PATCH;
    return TEXT(WEIR_VERSION_MAJOR) "." TEXT(WEIR_VERSION_MINOR) "." TEXT(WEIR_VERSION_PATCH);
}
