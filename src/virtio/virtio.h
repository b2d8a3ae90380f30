/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device (virtio 1.2, chapters 2 and 3): what all of them share, between the device, which knows
 * its queues and its back end, and the transport (virtio/pci.h, virtio/mmio.h), which knows registers and
 * interrupts. Neither knows the other.
 *
 * Threads: registers are accessed by vCPU threads; queues are served by the loop thread. The device's lock
 * covers both: every function of struct virtio_ops is called with it held, and virtio_queue_*,
 * virtio_interrupt() and the like need it held. Lock order: PCI bus, device, back end, MSI-X.
 *
 * Doorbells: each queue has an eventfd. The host's kernel signals it when the driver writes the doorbell; a
 * transport signals it for a write that came as an exit. The loop then calls kick().
 *
 * Reset: when virtio_set_status(dev, 0) returns, nothing is in flight and no memory of the guest will be
 * written any more. ops->reset() may wait for its back end, for as long as a disk that hangs takes, but not for
 * the loop's thread; and the loop's thread never waits for a reset. So ops->reset() releases the lock where it
 * waits. Meanwhile no queue is ready (virtio_queue_ready()): a doorbell or a timer finds nothing to do, and what
 * it was for is gone when the reset ends. Other vCPUs that write the status wait; what they read is the old one.
 */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <pthread.h>

#include "base/base.h"
#include "base/err.h"
#include "base/log.h"
#include "event/loop.h"
#include "mem/gmem.h"
#include "virtio/vq.h"

#define VIRTIO_CONFIG_CHANGED (-1) /* "queue" of a configuration change interrupt */

struct virtio_dev;

/* What every device is given; outlives it. */
struct virtio_host {
	const struct gmem *mem;
	struct loop *loop;
};

struct virtio_ops {
	const char *name;
	uint16_t id; /* VIRTIO_ID_... */
	/*
	 * Loop thread: the driver rang the doorbell of `queue`, which is enabled, with DRIVER_OK. NULL where the loop
	 * watches no doorbell (virtio_watch_doorbell()).
	 */
	void (*kick)(struct virtio_dev *dev, unsigned queue);
	/* Optional. Any thread: the driver is ready (DRIVER_OK); dev->features are final. */
	void (*activate)(struct virtio_dev *dev);
	/*
	 * Optional. Cancels or drains what is in flight; see above. The rings are still there, but no queue is
	 * ready. It may release the lock to wait, and returns with it held.
	 */
	void (*reset)(struct virtio_dev *dev);
	/* Optional. Any thread: with DRIVER_OK, what virtio_eventfd() says may have changed. */
	void (*vectors_changed)(struct virtio_dev *dev);
	/* Optional: a field of the configuration space was written (off + len inside it), config[] not yet. */
	void (*config_write)(struct virtio_dev *dev, unsigned off, const void *data, unsigned len);
	/*
	 * Optional: reads the configuration space (off + len inside it) instead of config[], which may be NULL then.
	 * data[] is zeroed. Neither this nor config_write() is called while reset() waits.
	 */
	void (*config_read)(struct virtio_dev *dev, unsigned off, void *data, unsigned len);
	/* Frees the whole object. The loop has ended. No lock held. */
	void (*destroy)(struct virtio_dev *dev);
};

struct virtio_queue {
	struct vq vq;
	struct loop_source doorbell; /* eventfd */
	struct virtio_dev *dev;
	unsigned index;
};

/* Set by the transport. Any thread, device's lock held; must not block. */
struct virtio_transport {
	void (*interrupt)(void *arg, int queue); /* or VIRTIO_CONFIG_CHANGED */
	/*
	 * The eventfd that interrupts for `queue` when somebody else writes it, for queues that are not served by
	 * us (vhost). Negative: there is none now (INTx, MMIO, no vector): interrupt() is to be called.
	 */
	int (*eventfd)(void *arg, int queue);
	/* The status became 0, in whatever way: vectors and the like go back to their reset state. */
	void (*reset)(void *arg);
	void *arg;
};

struct virtio_dev {
	const struct virtio_ops *ops;
	const struct virtio_host *host;
	struct virtio_transport transport;
	pthread_mutex_t lock;

	uint64_t offered;   /* feature bits; ring features and VERSION_1 are virtio_init()'s */
	uint64_t features;  /* what the driver accepted; final with FEATURES_OK */
	uint8_t status;     /* VIRTIO_CONFIG_S_... */
	uint8_t generation; /* of the configuration, 4.1.4.3.1 */
	bool resetting;     /* a vCPU is in ops->reset(), perhaps without the lock */
	pthread_cond_t reset_ended;

	struct virtio_queue *queue;
	unsigned n_queues;
	void *config; /* little-endian; the device's own struct, or NULL: there is none, or ops->config_read */
	unsigned config_len;
	struct log_limit log;
};

/*
 * Fills in the common part of a device that is about to be made. `queue_max`: entries, a power of two, of
 * each queue. The caller adds its bits to dev->offered. On failure nothing is left to undo.
 */
int virtio_init(struct virtio_dev *dev, const struct virtio_ops *ops,
		const struct virtio_host *host, unsigned n_queues, uint16_t queue_max, void *config,
		unsigned config_len, struct err *e);
/* For destroy(): the opposite. */
void virtio_fini(struct virtio_dev *dev);
void virtio_destroy(struct virtio_dev *dev); /* by ops->destroy; NULL is fine */

/* ---- for devices ---- */

static inline struct vq *virtio_vq(struct virtio_dev *dev, unsigned queue)
{
	return &dev->queue[queue].vq;
}

static inline bool virtio_has(const struct virtio_dev *dev, unsigned feature)
{
	return dev->features >> feature & 1;
}

/* DRIVER_OK, not broken, not being reset, and the queue is enabled: it may be popped from. */
bool virtio_queue_ready(const struct virtio_dev *dev, unsigned queue);
/* After pushing: interrupts the driver if it wants that. */
void virtio_notify(struct virtio_dev *dev, unsigned queue);
/*
 * The end of a kick(): rc as vq_pop() left it. 0: interrupts the driver if it wants that; negative: the ring
 * is broken, the device is finished until reset, and it is said once.
 */
void virtio_finish(struct virtio_dev *dev, unsigned queue, int rc);
/* kick() again soon: work is left that this call had no budget for. */
void virtio_kick_again(struct virtio_dev *dev, unsigned queue);
/*
 * For a device whose queues are served elsewhere (vhost): the loop stops, or begins again, to watch the doorbell of
 * `queue`; its eventfd is given to the one who serves it. 0 or -errno.
 */
MUST_CHECK int virtio_watch_doorbell(struct virtio_dev *dev, unsigned queue, bool watch);
/* The eventfd of the transport for `queue`, or VIRTIO_CONFIG_CHANGED; negative: see struct virtio_transport. */
int virtio_eventfd(struct virtio_dev *dev, int queue);
/* Interrupts in any case, whatever the ring says: who serves the queue elsewhere has looked at it. */
void virtio_interrupt(struct virtio_dev *dev, int queue);
/* The device's config[] has changed: a new generation, and an interrupt. */
void virtio_config_changed(struct virtio_dev *dev);
/* DEVICE_NEEDS_RESET, with the interrupt that tells (2.1.2). `why` is logged, rate-limited. */
void virtio_broken(struct virtio_dev *dev, const char *why);

/* ---- for transports; the lock is taken inside ---- */

void virtio_attach(struct virtio_dev *dev, struct virtio_transport transport); /* all zeros: none */
uint32_t virtio_offered(struct virtio_dev *dev,
			uint32_t select); /* 32 bits of the offer; 0 beyond bit 63 */
uint32_t virtio_accepted(struct virtio_dev *dev, uint32_t select);
void virtio_accept(struct virtio_dev *dev, uint32_t select, uint32_t bits);
uint8_t virtio_status(struct virtio_dev *dev);
void virtio_set_status(struct virtio_dev *dev, uint8_t status);
uint8_t virtio_generation(struct virtio_dev *dev);
/* Configuration space: any offset and length; what lies beyond it reads as 0 and writes nothing. */
void virtio_config_read(struct virtio_dev *dev, uint64_t off, void *data, unsigned len);
void virtio_config_write(struct virtio_dev *dev, uint64_t off, const void *data, unsigned len);

/* Fields of a queue. A queue that there is not: size 0, reads 0, writes nothing. */
enum virtio_queue_field {
	VQ_FIELD_MAX, /* read only */
	VQ_FIELD_SIZE,
	/* Write 1: vq_enable(); it reads back as 0 when that was refused. 0: disabled, before DRIVER_OK only. */
	VQ_FIELD_ENABLE,
	VQ_FIELD_DESC_LO,
	VQ_FIELD_DESC_HI,
	VQ_FIELD_DRIVER_LO,
	VQ_FIELD_DRIVER_HI,
	VQ_FIELD_DEVICE_LO,
	VQ_FIELD_DEVICE_HI,
};
uint32_t virtio_queue_get(struct virtio_dev *dev, uint32_t queue, enum virtio_queue_field field);
void virtio_queue_set(struct virtio_dev *dev, uint32_t queue, enum virtio_queue_field field,
		      uint32_t value);
/* What eventfd() of the transport says may have changed. The transport's own locks are not held. */
void virtio_vectors_changed(struct virtio_dev *dev);
/* The doorbell's write came as an exit. */
void virtio_kick(struct virtio_dev *dev, uint32_t queue);
