/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_CONSENT_H
#define WEIR_CHANNEL_CONSENT_H

/*
 * Whether a publisher can take a subscriber: whether it trusts who made the page, and the kernel
 * lets it read it. A publisher that cannot goes on without that subscriber, and will overwrite
 * what it reads; so the subscriber must have refused that lane. Both ask the same question here,
 * of facts that both can see (docs/lane.md, "Strangers"): of either segment what the kernel says,
 * and the publisher's trust, which stands in its lane. Who is not told the facts has no answer: a
 * subscriber refuses then, and a publisher does not go on.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/shm.h>

struct weir__consent {
    struct shmid_ds lane, page;
    uint32_t trust, trust_uid; /* the publisher's */
    bool is_of_two_namespaces; /* who asks may see other uids than the publisher does */
    bool is_unsure;            /* then: it is not known whether it does */
    uint32_t overflow_uid;     /* then: what who asks sees for each that it has no number for */
};

/*
 * 0: the publisher takes that subscriber, as far as the kernel's facts tell. -EPERM: its trust
 * refuses; -EACCES: the mode of the page does. Neither is known, which is no "no" of another's:
 * -EMFILE, -ENFILE, -ENOMEM: in this moment; -ENOSYS: it is not told what a uid stands for. With a
 * sentence, for the subscriber.
 */
int weir__consent(const struct weir__consent *consent);

#endif
