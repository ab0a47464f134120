/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_REF_H
#define WEIR_SEGMENT_REF_H

#include <weir/ref.h>

/* Bytes that hold any reference as text, for sentences. */
#define WEIR__REF_TEXT_BYTES 288

/* "name 'a/b'", "key 0x1234", "ftok(/etc/passwd, 65)", "id 42", "POSIX name
 * '/a'", "descriptor 5", "a memfd" or "private". Returns text. */
const char *weir__ref_text(struct weir_ref ref, char text[WEIR__REF_TEXT_BYTES]);

/* The key of a reference by key or by ftok. */
int weir__ref_key(struct weir_ref ref, uint32_t *key);

#endif
