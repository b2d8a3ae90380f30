// SPDX-License-Identifier: Apache-2.0
#include "backend/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "backend/disk_impl.h"
#include "backend/overlay.h"
#include "base/io.h"
#include "base/log.h"

void disk_list_add(struct disk_list *l, struct disk_request *r)
{
	r->next = NULL;
	if (l->head)
		l->tail->next = r;
	else
		l->head = r;
	l->tail = r;
}

struct disk_request *disk_list_take(struct disk_list *l)
{
	struct disk_request *r = l->head;

	if (r)
		l->head = r->next;
	return r;
}

void disk_list_move(struct disk_list *to, struct disk_list *from)
{
	if (!from->head)
		return;
	if (to->head)
		to->tail->next = from->head;
	else
		to->head = from->head;
	to->tail = from->tail;
	from->head = NULL;
}

void disk_list_fail(struct disk_list *to, struct disk_list *from, int error)
{
	for (struct disk_request *r = from->head; r; r = r->next)
		r->error = error;
	disk_list_move(to, from);
}

/* ---- opening ---- */

static int open_files(struct disk *d, const struct disk_config *config, struct err *e)
{
	bool write = config->overlay == OVERLAY_NONE && !config->readonly;
	unsigned flags = (write ? DISK_FILE_WRITE : 0) | (config->direct ? DISK_FILE_DIRECT : 0) |
			 (config->no_lock ? DISK_FILE_NO_LOCK : 0);
	uint64_t size;
	int rc = disk_file_open(&d->file, config->path, flags, &size, &d->block_size, e);

	if (rc < 0)
		return rc;
	d->file.no_flush = config->no_flush;
	d->size = align_down(size, DISK_SECTOR);
	if (d->size != size)
		log_warn("disk '%s': the last %u bytes are less than a sector, and left out",
			 config->path, (unsigned)(size - d->size));
	if (config->overlay == OVERLAY_NONE)
		return 0;
	return overlay_open(&d->overlay, config, &d->file, d->size, e);
}

static int open_engine(struct disk *d, const struct disk_config *config, struct err *e)
{
	int rc;

	if (d->overlay && config->engine == DISK_ENGINE_IO_URING)
		return err_set(e, EINVAL,
			       "an overlay is served by threads; leave out engine=io_uring");
	d->ops = &disk_uring_ops;
	if (d->overlay || config->engine == DISK_ENGINE_THREADS)
		d->ops = &disk_threads_ops;
	rc = d->ops->open(d, e);
	if (rc == 0 || d->ops == &disk_threads_ops || config->engine == DISK_ENGINE_IO_URING)
		return rc;
	log_info("disk '%s': %s; threads it is", config->path, e->text);
	d->ops->close(d);
	d->ops = &disk_threads_ops;
	return d->ops->open(d, e);
}

int disk_open(struct disk **out, const struct disk_config *config, struct loop *loop,
	      void (*ready)(void *arg), void *arg, struct err *e)
{
	struct disk *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, ENOMEM, "disk: out of memory");
	*d = (struct disk){
		.file = DISK_FILE_EMPTY,
		.readonly = config->readonly,
		.can_discard = !config->readonly && !config->no_discard,
		.path = config->path,
		.loop = loop,
		.ready = ready,
		.arg = arg,
		.source = {.fd = -1},
		.inotify = {.fd = -1},
	};
	rc = open_files(d, config, e);
	if (rc == 0)
		rc = open_engine(d, config, e);
	if (rc < 0) {
		disk_close(d);
		return err_wrap(e, rc, "disk: ");
	}
	*out = d;
	return 0;
}

void disk_close(struct disk *d)
{
	if (!d)
		return;
	if (d->engine) {
		disk_drain(d);
		d->ops->close(d);
	}
	if (d->inotify.fd >= 0)
		loop_remove(d->loop, &d->inotify);
	fd_close(&d->inotify.fd);
	overlay_close(d->overlay);
	disk_file_close(&d->file);
	free(d);
}

/* ---- what it is ---- */

uint64_t disk_size(const struct disk *d)
{
	return d->size;
}

bool disk_readonly(const struct disk *d)
{
	return d->readonly;
}

bool disk_can_discard(const struct disk *d)
{
	return d->can_discard;
}

unsigned disk_block_size(const struct disk *d)
{
	return d->block_size;
}

bool disk_rescan(struct disk *d)
{
	int64_t bytes = disk_file_size(&d->file);
	uint64_t size = align_down(bytes > 0 ? (uint64_t)bytes : 0, DISK_SECTOR);

	if (d->overlay || bytes < 0 || size == d->size)
		return false;
	d->size = size;
	return true;
}

/* What happened is found out by looking at the file: events are only taken off the queue. */
static void on_inotify(void *arg, uint32_t events)
{
	struct disk *d = arg;
	char buf[4096] __attribute__((aligned(8)));

	(void)events;
	while (read(d->inotify.fd, buf, sizeof(buf)) > 0)
		;
	d->changed(d->changed_arg);
}

void disk_watch(struct disk *d, void (*changed)(void *arg), void *arg)
{
	if (d->overlay)
		return;
	d->changed = changed;
	d->changed_arg = arg;
	d->inotify = (struct loop_source){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
					  .fn = on_inotify,
					  .arg = d};
	/* Not IN_MODIFY: each of our own writes would be one. */
	if (d->inotify.fd >= 0 &&
	    inotify_add_watch(d->inotify.fd, d->path, IN_CLOSE_WRITE | IN_ATTRIB) >= 0 &&
	    loop_add(d->loop, &d->inotify, EPOLLIN) == 0)
		return;
	log_info("disk '%s': a change of its size will not be seen: no inotify watch", d->path);
	fd_close(&d->inotify.fd);
}

/* ---- requests ---- */

int disk_do(struct disk *d, struct disk_request *r)
{
	return d->overlay ? overlay_do(d->overlay, r) : disk_file_do(&d->file, r);
}

bool disk_read_now(struct disk *d, const struct disk_request *r)
{
	return d->overlay ? overlay_read_now(d->overlay, r)
			  : disk_file_read_now(&d->file, r, r->offset);
}

void disk_submit(struct disk *d, struct disk_request *r)
{
	r->progress = 0;
	r->tries = 0;
	r->by_hand = r->buffered = false;
	r->error = 0;
	d->in_flight++;
	if (r->op == DISK_FLUSH && d->flushing) {
		disk_list_add(&d->flush_next, r);
		return;
	}
	d->flushing |= r->op == DISK_FLUSH;
	d->ops->submit(d, r);
}

void disk_commit(struct disk *d)
{
	d->ops->commit(d);
}

unsigned disk_reap(struct disk *d)
{
	return d->in_flight > 0 ? d->ops->reap(d) : 0;
}

/*
 * The next flush begins, for all that came while the last one ran: it began too early for them. *done: those for
 * which the last one was.
 */
static void next_flush(struct disk *d, struct disk_list *done)
{
	struct disk_request *leader = disk_list_take(&d->flush_next);

	disk_list_move(done, &d->flush_with);
	disk_list_move(&d->flush_with, &d->flush_next);
	d->flushing = leader != NULL;
	if (leader)
		d->ops->submit(d, leader);
}

void disk_finish(struct disk *d, struct disk_request *r)
{
	struct disk_list same = {0};
	int error = r->error;

	if (r->op == DISK_FLUSH)
		next_flush(d, &same);
	do { /* done() may submit the request again */
		d->in_flight--;
		r->done(r, error);
	} while ((r = disk_list_take(&same)) != NULL);
}

void disk_drain(struct disk *d)
{
	while (d->in_flight > 0) {
		d->ops->commit(d);
		if (d->ops->reap(d) == 0 && d->in_flight > 0)
			d->ops->wait(d);
	}
}

void disk_cancel(struct disk *d, pthread_mutex_t *lock)
{
	d->cancelling = true;
	while (d->in_flight > 0) {
		d->ops->cancel(d); /* each time: a flush that ends submits the next one */
		if (d->ops->reap(d) > 0 || d->in_flight == 0)
			continue;
		pthread_mutex_unlock(lock);
		d->ops->wait(d);
		pthread_mutex_lock(lock);
	}
	d->cancelling = false;
}
