/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X (PCI 3.0, 6.8.2): a table of messages in a BAR, one a vector, each with a mask; and the pending
 * bits. Each vector has an eventfd, which the machine turns into the message while it is unmasked.
 *
 * Lock: the msix's own, taken last. Table and PBA accesses come from vCPU threads, msix_raise() from any.
 */
#pragma once

#include <pthread.h>

#include "bus/msi.h"
#include "pci/pci.h"

#define MSIX_ENTRY_LEN 16 /* PCI_MSIX_ENTRY_SIZE */
#define MSIX_MAX       2048

struct msix;

/*
 * Adds the capability to *d: `vectors` entries, the table at `table_off` in BAR `bar`, the PBA at `pba_off`.
 * The BAR's own functions call msix_table_* and msix_pba_read for these places.
 */
int msix_create(struct msix **out, struct pci_dev *d, const struct msi_router *router,
		unsigned vectors, unsigned bar, uint32_t table_off, uint32_t pba_off,
		struct err *e);
void msix_destroy(struct msix *x); /* NULL is fine */

/* Accesses of 4 or 8 bytes, aligned; others read as 0 and write nothing. `off` relative to the table, PBA. */
void msix_table_read(struct msix *x, uint64_t off, void *data, unsigned len);
void msix_table_write(struct msix *x, uint64_t off, const void *data, unsigned len);
void msix_pba_read(struct msix *x, uint64_t off, void *data, unsigned len);

/* From config_written(): the guest may have changed the enable or function mask bit. */
void msix_config_written(struct msix *x, unsigned off, unsigned len);

/* MSI-X is enabled: INTx must not be used. */
bool msix_enabled(struct msix *x);
/* One message of vector `v`, now or when it is unmasked. A vector out of range does nothing. */
void msix_raise(struct msix *x, unsigned v);
unsigned msix_vectors(const struct msix *x);
/* Back to the state after reset: disabled, all entries masked. */
void msix_reset(struct msix *x);
