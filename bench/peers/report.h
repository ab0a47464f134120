/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_REPORT_H
#define BENCH_PEERS_REPORT_H

#include "lane/report.h"

/* A cell as text for a terminal. */
void peers_report_cell(const struct summary *summary);

/* All of them as the tables of docs/performance.md. */
void peers_report_markdown(const struct summary *summaries, unsigned count, const char *command);

#endif
