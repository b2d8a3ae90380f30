/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals. Those that ask us to end are read in the event loop, so that the terminal and the back ends
 * are put right first; stop and continue, and our own faults, must give the user's terminal back at once
 * and are handled where they strike. SIGPIPE and SIGXFSZ are errors of write(2).
 */
#pragma once

#include <signal.h>

#include "machine/machine.h"

/* Dispositions that hold for the whole process. Before anything else. */
void signals_init(void);

/* What a thread blocks that is not the loop's: everything but faults, which kill wherever they strike. */
void signals_thread_mask(sigset_t *mask);

/* SIGTERM and its like end the machine's run from now on, see m->signal. */
int signals_watch(struct machine *m, struct err *e);
void signals_unwatch(struct machine *m);

/* Dies of `number` as if it had never been caught, so that our parent sees what ended us. */
void signals_die_of(int number);
