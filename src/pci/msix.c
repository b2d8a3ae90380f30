// SPDX-License-Identifier: Apache-2.0
#include "pci/msix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pci/pci_impl.h"

/* One entry of the table, as the guest sees it, and what stands behind it. */
struct vector {
	uint64_t address;
	uint32_t data;
	bool masked;

	struct msi_source source;
	bool foreign; /* others have the eventfd: msix_eventfd() */
};

struct msix {
	pthread_mutex_t lock;
	struct pci_dev *dev;
	const struct msi_router *router;
	unsigned cap; /* offset of the capability */
	unsigned n;
	bool enabled, all_masked; /* as in the capability's message control word */
	uint64_t pending[MSIX_MAX / 64];
	struct log_limit limit;
	struct vector vector[];
};

static bool is_waiting(const struct vector *v)
{
	return v->foreign && msi_source_waiting(&v->source);
}

static bool is_pending(const struct msix *x, unsigned v)
{
	return (x->pending[v / 64] >> v % 64 & 1) || is_waiting(&x->vector[v]);
}

static void set_pending(struct msix *x, unsigned v, bool on)
{
	uint64_t bit = 1ULL << v % 64;

	x->pending[v / 64] = on ? x->pending[v / 64] | bit : x->pending[v / 64] & ~bit;
}

static bool unmasked(const struct msix *x, unsigned v)
{
	return x->enabled && !x->all_masked && !x->vector[v].masked;
}

/*
 * After a change of what vector `v` depends on: if it is unmasked, it sends from now on. What others wrote into its
 * eventfd before is sent by KVM when the route is connected.
 */
static void update(struct msix *x, unsigned v)
{
	int rc;

	if (!unmasked(x, v)) {
		if (x->vector[v].foreign)
			msi_source_disconnect(&x->vector[v].source, x->router);
		return;
	}
	rc = msi_source_connect(&x->vector[v].source, x->router, x->vector[v].address,
				x->vector[v].data);
	if (rc < 0) {
		log_limited(&x->limit, "%s: MSI-X vector %u cannot be delivered: %s", x->dev->name,
			    v, strerror(-rc));
	} else if (is_pending(x, v)) {
		set_pending(x, v, false);
		irq_raise(&x->vector[v].source.irq);
	}
}

int msix_eventfd(struct msix *x, unsigned v)
{
	int rc = -EINVAL;

	pthread_mutex_lock(&x->lock);
	if (v < x->n && (rc = msi_source_open(&x->vector[v].source, x->router)) == 0) {
		x->vector[v].foreign = true;
		update(x, v);
		rc = x->vector[v].source.irq.fd;
	}
	pthread_mutex_unlock(&x->lock);
	return rc;
}

void msix_raise(struct msix *x, unsigned v)
{
	pthread_mutex_lock(&x->lock);
	if (v < x->n && x->enabled) {
		if (unmasked(x, v) && x->vector[v].source.connected)
			irq_raise(&x->vector[v].source.irq);
		else
			set_pending(x, v, true);
	}
	pthread_mutex_unlock(&x->lock);
}

/* The table and the pending bits, as the guest sees them. */

/* `size` is a multiple of 8: what is aligned and begins inside ends inside. */
static bool is_whole(uint64_t off, unsigned len, uint64_t size)
{
	return (len == 4 || len == 8) && off % len == 0 && off < size;
}

static uint32_t entry_get(const struct vector *v, unsigned off)
{
	switch (off) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return (uint32_t)v->address;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return (uint32_t)(v->address >> 32);
	case PCI_MSIX_ENTRY_DATA:
		return v->data;
	default:
		return v->masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;
	}
}

static void entry_set(struct vector *v, unsigned off, uint32_t value)
{
	switch (off) {
	case PCI_MSIX_ENTRY_LOWER_ADDR: /* the two lowest bits are always 0 */
		v->address = (v->address & 0xffffffff00000000) | (value & ~3u);
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		v->address = (uint32_t)v->address | (uint64_t)value << 32;
		break;
	case PCI_MSIX_ENTRY_DATA:
		v->data = value;
		break;
	default: /* the other bits of Vector Control are reserved */
		v->masked = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
}

void msix_table_read(struct msix *x, uint64_t off, void *data, unsigned len)
{
	uint8_t *to = data;

	memset(data, 0, len);
	if (!is_whole(off, len, (uint64_t)x->n * MSIX_ENTRY_LEN))
		return;
	pthread_mutex_lock(&x->lock);
	for (unsigned i = 0; i < len; i += 4) {
		uint32_t value = entry_get(&x->vector[off / MSIX_ENTRY_LEN],
					   (unsigned)(off + i) % MSIX_ENTRY_LEN);
		memcpy(to + i, &value, 4);
	}
	pthread_mutex_unlock(&x->lock);
}

void msix_table_write(struct msix *x, uint64_t off, const void *data, unsigned len)
{
	unsigned v = (unsigned)(off / MSIX_ENTRY_LEN);
	const uint8_t *from = data;

	if (!is_whole(off, len, (uint64_t)x->n * MSIX_ENTRY_LEN))
		return;
	pthread_mutex_lock(&x->lock);
	for (unsigned i = 0; i < len; i += 4) {
		uint32_t value;
		memcpy(&value, from + i, 4);
		entry_set(&x->vector[v], (unsigned)(off + i) % MSIX_ENTRY_LEN, value);
	}
	update(x, v);
	pthread_mutex_unlock(&x->lock);
}

void msix_pba_read(struct msix *x, uint64_t off, void *data, unsigned len)
{
	uint64_t bits = 0;

	memset(data, 0, len);
	if (!is_whole(off, len, sizeof(x->pending)))
		return;
	pthread_mutex_lock(&x->lock);
	for (unsigned i = 0; i < len * 8; i++) {
		unsigned v = (unsigned)off * 8 + i;
		if (v < x->n && is_pending(x, v))
			bits |= 1ULL << i;
	}
	pthread_mutex_unlock(&x->lock);
	memcpy(data, &bits, len); /* little-endian, as the host */
}

/* The capability. */

static void forget_pending(struct msix *x)
{
	memset(x->pending, 0, sizeof(x->pending));
	for (unsigned v = 0; v < x->n; v++)
		if (x->vector[v].foreign)
			msi_source_forget(&x->vector[v].source);
}

static void set_control(struct msix *x, uint16_t control)
{
	pthread_mutex_lock(&x->lock);
	x->enabled = control & PCI_MSIX_FLAGS_ENABLE;
	x->all_masked = control & PCI_MSIX_FLAGS_MASKALL;
	for (unsigned v = 0; v < x->n; v++)
		update(x, v);
	if (!x->enabled)
		forget_pending(x);
	pthread_mutex_unlock(&x->lock);
}

void msix_config_written(struct msix *x, unsigned off, unsigned len)
{
	unsigned control = x->cap + PCI_MSIX_FLAGS;

	if (off < control + 2 && control < off + len)
		set_control(x, pci_get16(x->dev, control));
}

bool msix_unmasked(struct msix *x, unsigned v)
{
	bool yes;

	pthread_mutex_lock(&x->lock);
	yes = v < x->n && unmasked(x, v);
	pthread_mutex_unlock(&x->lock);
	return yes;
}

bool msix_enabled(struct msix *x)
{
	bool enabled;

	pthread_mutex_lock(&x->lock);
	enabled = x->enabled;
	pthread_mutex_unlock(&x->lock);
	return enabled;
}

unsigned msix_vectors(const struct msix *x)
{
	return x->n;
}

/* Routes stay: the next driver will want them, and what is masked costs nothing. */
void msix_reset(struct msix *x)
{
	pci_put16(x->dev, x->cap + PCI_MSIX_FLAGS, (uint16_t)(x->n - 1));
	set_control(x, 0);
	pthread_mutex_lock(&x->lock);
	for (unsigned v = 0; v < x->n; v++) {
		x->vector[v].address = 0;
		x->vector[v].data = 0;
		x->vector[v].masked = true;
	}
	pthread_mutex_unlock(&x->lock);
}

static int add_capability(struct pci_dev *d, unsigned vectors, unsigned bar, uint32_t table_off,
			  uint32_t pba_off)
{
	uint8_t cap[PCI_CAP_MSIX_SIZEOF] = {PCI_CAP_ID_MSIX};
	uint16_t size = (uint16_t)(vectors - 1);
	uint32_t table = table_off | bar, pba = pba_off | bar;

	memcpy(cap + PCI_MSIX_FLAGS, &size, sizeof(size));
	memcpy(cap + PCI_MSIX_TABLE, &table, sizeof(table));
	memcpy(cap + PCI_MSIX_PBA, &pba, sizeof(pba));
	return pci_add_cap(d, cap, sizeof(cap));
}

int msix_adopt(struct msix **out, struct pci_dev *d, const struct msi_router *router, unsigned cap,
	       struct err *e)
{
	unsigned n = (pci_get16(d, cap + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1;
	struct msix *x = calloc(1, sizeof(*x) + n * sizeof(x->vector[0]));

	if (!x)
		return err_set(e, ENOMEM, "%s: MSI-X: out of memory", d->name);
	pci_put16(d, cap + PCI_MSIX_FLAGS, (uint16_t)(n - 1));
	d->writable[cap + PCI_MSIX_FLAGS + 1] =
		(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
	pthread_mutex_init(&x->lock, NULL);
	x->dev = d;
	x->router = router;
	x->cap = cap;
	x->n = n;
	for (unsigned v = 0; v < n; v++)
		x->vector[v] = (struct vector){.masked = true, .source = MSI_SOURCE_EMPTY};
	*out = x;
	return 0;
}

int msix_create(struct msix **out, struct pci_dev *d, const struct msi_router *router,
		unsigned vectors, unsigned bar, uint32_t table_off, uint32_t pba_off, struct err *e)
{
	int at;

	if (vectors < 1 || vectors > MSIX_MAX || bar >= PCI_BARS || (table_off | pba_off) % 8)
		return err_set(e, EINVAL, "%s: MSI-X: impossible table", d->name);
	at = add_capability(d, vectors, bar, table_off, pba_off);
	if (at < 0)
		return err_set(e, ENOSPC, "%s: no room for the MSI-X capability", d->name);
	return msix_adopt(out, d, router, (unsigned)at, e);
}

void msix_destroy(struct msix *x)
{
	if (!x)
		return;
	for (unsigned v = 0; v < x->n; v++)
		msi_source_close(&x->vector[v].source, x->router);
	pthread_mutex_destroy(&x->lock);
	free(x);
}
