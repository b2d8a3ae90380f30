// SPDX-License-Identifier: Apache-2.0
/* Sections are those of virtio 1.2. docs/rng.md walks through this file. */
#include "dev/virtio/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "backend/ratelimit.h"

#define REQUESTQ      0 /* 5.4.2: the only queue */
#define QUEUE_SIZE    64
#define SEGMENTS      64 /* buffers that one request may consist of */
#define CHAINS_A_KICK 16 /* then other devices get their turn: 1 MiB, some milliseconds */

struct rng {
	struct virtio_dev base;
	struct ratelimit limit;
	struct iovec iov[SEGMENTS];
};

/*
 * Straight into the guest's memory; how many bytes. At least one (5.4.6.1), for getrandom(2) only waits, or
 * fails, on a host that has not finished booting; a signal can make it fewer than were asked for.
 */
static uint32_t fill(const struct iovec *iov, unsigned n, uint32_t max)
{
	uint32_t done = 0;

	for (unsigned i = 0; i < n && done < max; i++) {
		size_t want = MIN(iov[i].iov_len, max - done);
		ssize_t got = getrandom(iov[i].iov_base, want, 0);

		if (got > 0)
			done += (uint32_t)got;
		if (got != (ssize_t)want)
			break;
	}
	return done;
}

static void rng_kick(struct virtio_dev *dev, unsigned queue)
{
	struct rng *rng = container_of(dev, struct rng, base);
	struct vq *q = virtio_vq(dev, queue);
	struct vq_chain c = {.iov = rng->iov, .iov_max = SEGMENTS};
	bool limited = false;
	int rc = 0;

	vq_kicks_off(q);
	for (unsigned n = 0; n < CHAINS_A_KICK && (rc = vq_pop(q, &c)) > 0; n++) {
		uint32_t max = (uint32_t)MIN(c.in_len, RNG_REQUEST_MAX);

		limited = !ratelimit_take(&rng->limit, max);
		if (limited) {
			vq_unpop(q, &c); /* rng_resume() comes back for it */
			break;
		}
		vq_push(q, &c, fill(c.iov + c.n_out, c.n_in, max));
	}
	virtio_finish(dev, queue, rc); /* rc < 0: NEEDS_RESET; else an interrupt if it is wanted */
	if (!limited && (rc > 0 || (rc == 0 && vq_kicks_on(q))))
		virtio_kick_again(dev, queue);
}

/* Loop thread: there are tokens again. */
static void rng_resume(void *arg)
{
	struct rng *rng = arg;

	pthread_mutex_lock(&rng->base.lock);
	virtio_kick_again(&rng->base, REQUESTQ);
	pthread_mutex_unlock(&rng->base.lock);
}

static void rng_destroy(struct virtio_dev *dev)
{
	struct rng *rng = container_of(dev, struct rng, base);

	ratelimit_fini(&rng->limit);
	virtio_fini(dev);
	free(rng);
}

static const struct virtio_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.kick = rng_kick,
	.destroy = rng_destroy,
};

int rng_create(struct virtio_dev **out, const struct rng_config *config,
	       const struct virtio_host *host, struct err *e)
{
	struct rng *rng = calloc(1, sizeof(*rng));
	int rc;

	if (!rng)
		return err_set(e, ENOMEM, "rng: out of memory");
	rc = virtio_init(&rng->base, &rng_ops, host, 1, QUEUE_SIZE, NULL, 0, e);
	if (rc < 0) {
		free(rng);
		return rc;
	}
	rc = ratelimit_init(&rng->limit, &config->limit, host->loop, rng_resume, rng, e);
	if (rc < 0)
		rng_destroy(&rng->base);
	else
		*out = &rng->base;
	return rc;
}
