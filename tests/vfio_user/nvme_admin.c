// SPDX-License-Identifier: Apache-2.0
/* Admin commands (section 5). */
#include <stdio.h>
#include <string.h>

#include "vfio_user/nvme.h"

enum {
	ADMIN_DELETE_SQ = 0x00,
	ADMIN_CREATE_SQ = 0x01,
	ADMIN_GET_LOG = 0x02,
	ADMIN_DELETE_CQ = 0x04,
	ADMIN_CREATE_CQ = 0x05,
	ADMIN_IDENTIFY = 0x06,
	ADMIN_ABORT = 0x08,
	ADMIN_SET_FEATURES = 0x09,
	ADMIN_GET_FEATURES = 0x0a,
	ADMIN_ASYNC_EVENT = 0x0c,
	ADMIN_DOORBELL_BUFFER = 0x7c,
};

enum { CNS_NAMESPACE = 0, CNS_CONTROLLER = 1, CNS_LIST = 2, CNS_DESCRIPTORS = 3 };
enum { FEATURE_WRITE_CACHE = 0x06, FEATURE_QUEUES = 0x07, FEATURE_LAST = 0x0b };
enum { LOG_ERRORS = 1, LOG_HEALTH = 2, LOG_FIRMWARE = 3 };

/* ---- data for the driver ---- */

static uint16_t give(struct nvme *n, const struct nvme_command *c, const uint8_t *data, size_t len)
{
	struct iovec iov[NVME_PAGES];
	int n_iov = nvme_pages(n, c, len, iov);

	if (n_iov < 0)
		return NVME_TRANSFER_ERROR;
	for (int i = 0; i < n_iov; data += iov[i++].iov_len)
		memcpy(iov[i].iov_base, data, iov[i].iov_len);
	return NVME_OK;
}

static void put16(uint8_t *page, unsigned at, uint16_t v)
{
	memcpy(page + at, &v, sizeof(v));
}

static void put32(uint8_t *page, unsigned at, uint32_t v)
{
	memcpy(page + at, &v, sizeof(v));
}

static void put64(uint8_t *page, unsigned at, uint64_t v)
{
	memcpy(page + at, &v, sizeof(v));
}

/* ASCII, with blanks behind it. */
static void put_text(uint8_t *page, unsigned at, unsigned len, const char *text)
{
	memset(page + at, ' ', len);
	memcpy(page + at, text, MIN(strlen(text), len));
}

/* Figure 247. */
static void describe_controller(const struct nvme *n, uint8_t *page)
{
	put16(page, 0, 0x4e58); /* vendor, and subsystem vendor */
	put16(page, 2, 0x4e58);
	put_text(page, 4, 20, "0001");
	put_text(page, 24, 40, "vfio-user fixture");
	put_text(page, 64, 8, "1");
	page[77] = NVME_MDTS;
	put32(page, 80, 0x00010400);
	put16(page, 256, n->doorbells == NVME_BY_EVENTFD ? 1u << 8 : 0); /* doorbell buffers */
	page[258] = 3;                       /* aborts at a time, less one */
	page[259] = 3;                       /* async events, likewise */
	page[260] = 3;                       /* one firmware, read-only */
	page[512] = 0x66;                    /* entries of 64 bytes */
	page[513] = 0x44;                    /* and of 16 */
	put32(page, 516, 1);                 /* namespaces */
	put16(page, 520, 1u << 2 | 1u << 3); /* dataset management, write zeroes */
	page[525] = 1;                       /* there is a cache to be flushed */
	snprintf((char *)page + 768, 256, "nqn.2014-08.org.nvmexpress:uuid:%s",
		 "5e0a1c4e-7a0e-4f0c-9d55-746f79766d6d");
	put16(page, 2048, 2500); /* power state 0: 25 W */
}

/* Figure 245: one format, blocks of 512 bytes. */
static void describe_namespace(const struct nvme *n, uint8_t *page)
{
	put64(page, 0, n->blocks);
	put64(page, 8, n->blocks);
	put64(page, 16, n->blocks);
	page[128 + 2] = 9; /* the block's size is 2^9 */
}

static uint16_t identify(struct nvme *n, const struct nvme_command *c)
{
	uint8_t page[NVME_PAGE] = {0};

	switch (c->dw10 & 0xff) {
	case CNS_CONTROLLER:
		describe_controller(n, page);
		break;
	case CNS_NAMESPACE:
		if (c->nsid != 1)
			return NVME_BAD_NAMESPACE;
		describe_namespace(n, page);
		break;
	case CNS_LIST: /* those above nsid */
		if (c->nsid == 0)
			put32(page, 0, 1);
		break;
	case CNS_DESCRIPTORS:
		if (c->nsid != 1)
			return NVME_BAD_NAMESPACE;
		page[0] = 1; /* an EUI-64, of 8 bytes */
		page[1] = 8;
		put64(page, 4, 0x010000766d6d7974);
		break;
	default:
		return NVME_BAD_FIELD;
	}
	return give(n, c, page, sizeof(page));
}

static uint16_t get_log(struct nvme *n, const struct nvme_command *c)
{
	uint8_t page[NVME_PAGE] = {0};
	size_t len = (((size_t)(c->dw11 & 0xffff) << 16 | c->dw10 >> 16) + 1) * 4;

	switch (c->dw10 & 0xff) {
	case LOG_HEALTH:
		put16(page, 1, 300); /* kelvin */
		page[3] = page[4] = 100;
		break;
	case LOG_ERRORS:
	case LOG_FIRMWARE:
		break;
	default:
		return NVME_BAD_FIELD;
	}
	return len > sizeof(page) ? NVME_BAD_FIELD : give(n, c, page, len);
}

/* ---- queues ---- */

static bool bad_base(struct nvme *n, const struct nvme_command *c, size_t len)
{
	return c->prp1 % NVME_PAGE || !(c->dw11 & 1) || !vfuser_dma(&n->server, c->prp1, len);
}

static uint16_t create_cq(struct nvme *n, const struct nvme_command *c)
{
	unsigned id = c->dw10 & 0xffff, size = (c->dw10 >> 16) + 1, vector = c->dw11 >> 16;

	if (id == 0 || id >= NVME_PAIRS || n->cq[id].size)
		return NVME_BAD_QUEUE;
	if (size < 2 || size > NVME_ENTRIES)
		return NVME_BAD_SIZE;
	if (vector >= NVME_PAIRS || bad_base(n, c, size * sizeof(struct nvme_completion)))
		return NVME_BAD_FIELD;
	n->cq[id] = (struct nvme_cq){.base = c->prp1,
				     .size = (uint16_t)size,
				     .vector = (uint16_t)vector,
				     .phase = true,
				     .interrupts = c->dw11 & 2};
	return NVME_OK;
}

static uint16_t create_sq(struct nvme *n, const struct nvme_command *c)
{
	unsigned id = c->dw10 & 0xffff, size = (c->dw10 >> 16) + 1, cq = c->dw11 >> 16;

	if (id == 0 || id >= NVME_PAIRS || n->sq[id].size)
		return NVME_BAD_QUEUE;
	if (size < 2 || size > NVME_ENTRIES)
		return NVME_BAD_SIZE;
	if (cq == 0 || cq >= NVME_PAIRS || !n->cq[cq].size ||
	    bad_base(n, c, size * sizeof(struct nvme_command)))
		return NVME_BAD_FIELD;
	n->sq[id] = (struct nvme_sq){.base = c->prp1, .size = (uint16_t)size, .cq = (uint16_t)cq};
	return NVME_OK;
}

static uint16_t delete_sq(struct nvme *n, unsigned id)
{
	if (id == 0 || id >= NVME_PAIRS || !n->sq[id].size)
		return NVME_BAD_QUEUE;
	n->sq[id].size = 0;
	return NVME_OK;
}

static uint16_t delete_cq(struct nvme *n, unsigned id)
{
	if (id == 0 || id >= NVME_PAIRS || !n->cq[id].size)
		return NVME_BAD_QUEUE;
	for (unsigned q = 1; q < NVME_PAIRS; q++)
		if (n->sq[q].size && n->sq[q].cq == id)
			return NVME_BAD_QUEUE;
	n->cq[id].size = 0;
	return NVME_OK;
}

static uint16_t doorbell_buffer(struct nvme *n, const struct nvme_command *c)
{
	if (n->doorbells != NVME_BY_EVENTFD)
		return NVME_BAD_OPCODE;
	if (c->prp1 % NVME_PAGE || c->prp2 % NVME_PAGE ||
	    !vfuser_dma(&n->server, c->prp1, NVME_PAGE) ||
	    !vfuser_dma(&n->server, c->prp2, NVME_PAGE))
		return NVME_BAD_FIELD;
	n->shadow = c->prp1;
	n->events = c->prp2;
	return NVME_OK;
}

static uint16_t features(const struct nvme_command *c, uint32_t *result)
{
	unsigned id = c->dw10 & 0xff;

	if (id == 0 || id > FEATURE_LAST)
		return NVME_BAD_FIELD;
	if (id == FEATURE_QUEUES) /* all there are, whatever was asked for; each less one */
		*result = (NVME_PAIRS - 2) << 16 | (NVME_PAIRS - 2);
	else if (id == FEATURE_WRITE_CACHE)
		*result = 1;
	return NVME_OK;
}

uint16_t nvme_admin(struct nvme *n, const struct nvme_command *c, uint32_t *result)
{
	switch (c->opcode) {
	case ADMIN_IDENTIFY:
		return identify(n, c);
	case ADMIN_GET_LOG:
		return get_log(n, c);
	case ADMIN_CREATE_CQ:
		return create_cq(n, c);
	case ADMIN_CREATE_SQ:
		return create_sq(n, c);
	case ADMIN_DELETE_CQ:
		return delete_cq(n, c->dw10 & 0xffff);
	case ADMIN_DELETE_SQ:
		return delete_sq(n, c->dw10 & 0xffff);
	case ADMIN_SET_FEATURES:
	case ADMIN_GET_FEATURES:
		return features(c, result);
	case ADMIN_ABORT: /* it is done already, or will be */
		*result = 1;
		return NVME_OK;
	case ADMIN_ASYNC_EVENT: /* nothing ever happens */
		return NVME_LATER;
	case ADMIN_DOORBELL_BUFFER:
		return doorbell_buffer(n, c);
	default:
		return NVME_BAD_OPCODE;
	}
}
