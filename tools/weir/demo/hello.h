/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_HELLO_H
#define WEIR_TOOL_HELLO_H

/* weir demo, with no argument; an exit status. */
int hello_run(void);

#endif
