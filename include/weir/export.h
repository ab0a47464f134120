/* SPDX-License-Identifier: MIT */
#ifndef WEIR_EXPORT_H
#define WEIR_EXPORT_H

/* Marks a symbol that the shared library shows; src/weir.map lists them again by release. */
#if defined(__GNUC__)
#define WEIR_EXPORT __attribute__((visibility("default")))
#else
#define WEIR_EXPORT
#endif

#endif
