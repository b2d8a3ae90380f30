// SPDX-License-Identifier: Apache-2.0
#include "dev/pvpanic.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"

#define PANICKED     (1u << 0) /* the guest panicked and is lost */
#define CRASH_LOADED (1u << 1) /* it panicked, but a crash kernel takes over: leave it alone */

struct pvpanic {
	struct lifecycle life;
	pthread_mutex_t lock; /* guards log */
	struct log_limit log;
};

/* A driver reads first, to learn which events it may write. */
static void pvpanic_read(void *dev, uint64_t off, void *data, unsigned len)
{
	uint8_t *to = data;

	(void)dev, (void)off;
	for (unsigned i = 0; i < len; i++)
		to[i] = PANICKED | CRASH_LOADED;
}

static void pvpanic_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct pvpanic *p = dev;
	uint8_t events = *(const uint8_t *)data;

	(void)off, (void)len;
	if (events & PANICKED) {
		p->life.event(p->life.arg, GUEST_PANIC);
	} else if (events & CRASH_LOADED) {
		pthread_mutex_lock(&p->lock);
		log_limited(&p->log, "guest kernel panicked; its crash kernel takes over");
		pthread_mutex_unlock(&p->lock);
	}
}

const struct bus_ops pvpanic_bus_ops = {.read = pvpanic_read, .write = pvpanic_write};

int pvpanic_create(struct pvpanic **out, struct lifecycle life, struct err *e)
{
	struct pvpanic *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, ENOMEM, "pvpanic: out of memory");
	pthread_mutex_init(&p->lock, NULL);
	p->life = life;
	*out = p;
	return 0;
}

void pvpanic_destroy(struct pvpanic *p)
{
	if (!p)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}
