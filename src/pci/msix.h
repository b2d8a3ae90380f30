/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X (PCI 3.0, 6.8.2): a table of messages in a BAR, one a vector, each with a mask; and the pending
 * bits. A vector gets an eventfd and a route, which turns it into the message, when it is first unmasked
 * while MSI-X is enabled: an unused one costs nothing. Masking is done here, by not writing the eventfd, so
 * that it takes no system call; the route is told only of a new address or data. A vector that others raise
 * (msix_eventfd) is masked by its route.
 *
 * Lock: the msix's own, taken last; the router is called with it held. Table and PBA accesses come from vCPU
 * threads without the PCI bus's lock, msix_raise() from any thread.
 */
#pragma once

#include <pthread.h>

#include "bus/msi.h"
#include "pci/pci.h"

#define MSIX_ENTRY_LEN 16 /* PCI_MSIX_ENTRY_SIZE */
#define MSIX_MAX       2048

struct msix;

/*
 * Adds the capability to *d: `vectors` entries (1 to MSIX_MAX), the table at `table_off` in BAR `bar`, the PBA
 * at `pba_off`, both multiples of 8. The BAR's own functions call msix_table_* and msix_pba_read for these
 * places; writes to the PBA are lost. Before pci_add(); *d and *router outlive it. -EINVAL, -ENOSPC, -ENOMEM.
 */
int msix_create(struct msix **out, struct pci_dev *d, const struct msi_router *router,
		unsigned vectors, unsigned bar, uint32_t table_off, uint32_t pba_off,
		struct err *e);
/*
 * The same for a capability that is in config[] already, at `cap`, and in its list: a passed-through device's, which
 * says itself how many vectors there are and where. Masks and the enable bit become writable. -ENOMEM.
 */
int msix_adopt(struct msix **out, struct pci_dev *d, const struct msi_router *router, unsigned cap,
	       struct err *e);
void msix_destroy(struct msix *x); /* NULL is fine */

/* Accesses of 4 or 8 bytes, aligned; others read as 0 and write nothing. `off` relative to the table, PBA. */
void msix_table_read(struct msix *x, uint64_t off, void *data, unsigned len);
void msix_table_write(struct msix *x, uint64_t off, const void *data, unsigned len);
void msix_pba_read(struct msix *x, uint64_t off, void *data, unsigned len);

/* From config_written(): the guest may have changed the enable or function mask bit. */
void msix_config_written(struct msix *x, unsigned off, unsigned len);

/* A message of vector `v` would be sent now: MSI-X is enabled and nothing masks it. */
bool msix_unmasked(struct msix *x, unsigned v);
/* MSI-X is enabled: INTx must not be used. */
bool msix_enabled(struct msix *x);
/*
 * One message of vector `v`: now, or, if it or the function is masked, when it is unmasked (the pending bit).
 * While MSI-X is disabled, or for a vector out of range, it does nothing.
 */
void msix_raise(struct msix *x, unsigned v);
unsigned msix_vectors(const struct msix *x);
/*
 * The eventfd of vector `v`, for somebody who raises it without us: the host's kernel, or another process. From now
 * on masking takes the route away, so that what is written waits in the eventfd until the vector is unmasked (it is
 * the pending bit then). Owned by *x, in place until msix_destroy(). -EINVAL: no such vector; -errno.
 */
MUST_CHECK int msix_eventfd(struct msix *x, unsigned v);
/* Back to the state after reset: disabled, all entries 0 and masked. PCI bus's lock held. */
void msix_reset(struct msix *x);
