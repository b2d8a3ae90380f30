// SPDX-License-Identifier: Apache-2.0
/*
 * Servers that misbehave while a device is opened: each case spoils one reply, and the verdict is one clear line. None may
 * leave a descriptor behind; user_run_test.c has those that misbehave later.
 */
#include "user_rig.h"

#include <errno.h>
#include <fcntl.h>

static struct user_rig r;

struct spoiled {
	const char *name;
	uint16_t command; /* whose reply; the first one, or: */
	unsigned index;   /* that about this region or kind */
	void (*spoil)(struct vfuser_server *s, struct vfuser_reply *p);
	enum vfuser_verdict verdict;
	const char *says; /* part of the error's text; NULL: it is no harm */
	unsigned deadline_ms;
};

static const struct spoiled *now;
static bool done;
static int spare[2]; /* a pipe */

/* What a reply is about: the third word, where there is one. */
static bool is_about(const struct vfuser_reply *p, unsigned index)
{
	uint32_t word = 0;

	if (p->h.command == USER_GET_REGION_INFO || p->h.command == USER_GET_IRQ_INFO ||
	    p->h.command == USER_GET_REGION_IO_FDS)
		memcpy(&word, p->payload + 8, sizeof(word));
	return word == index;
}

static enum vfuser_verdict mangle(void *arg, struct vfuser_server *s, struct vfuser_reply *p)
{
	(void)arg;
	if (done || p->h.command != now->command || !is_about(p, now->index))
		return VFUSER_SEND;
	done = true;
	if (now->spoil)
		now->spoil(s, p);
	return now->verdict;
}

/* ---- what is done to a reply ---- */

static void resize(struct vfuser_reply *p, size_t len)
{
	p->len = len;
	p->h.size = (uint32_t)(sizeof(p->h) + len);
}

static void put16(struct vfuser_reply *p, unsigned at, uint16_t v)
{
	memcpy(p->payload + at, &v, sizeof(v));
}

static void put32(struct vfuser_reply *p, unsigned at, uint32_t v)
{
	memcpy(p->payload + at, &v, sizeof(v));
}

static void put64(struct vfuser_reply *p, unsigned at, uint64_t v)
{
	memcpy(p->payload + at, &v, sizeof(v));
}

static void with_json(struct vfuser_reply *p, const char *text)
{
	strcpy((char *)p->payload + 4, text);
	resize(p, 4 + strlen(text) + 1);
}

static void no_fds(struct vfuser_reply *p)
{
	if (p->own_fds)
		for (unsigned i = 0; i < p->n_fds; i++)
			close(p->fd[i]);
	p->own_fds = false;
	p->n_fds = 0;
}

static void add_fds(struct vfuser_reply *p, unsigned n)
{
	no_fds(p);
	for (unsigned i = 0; i < n; i++)
		p->fd[p->n_fds++] = spare[0];
}

#define SPOIL(name, code)                                                 \
	static void name(struct vfuser_server *s, struct vfuser_reply *p) \
	{                                                                 \
		(void)s;                                                  \
		code;                                                     \
	}

/* Any reply. */
SPOIL(shorter, resize(p, p->len - 1))
SPOIL(longer, resize(p, p->len + 1))
SPOIL(empty, resize(p, 0))
SPOIL(less_than_header, p->h.size = 8)
SPOIL(size_zero, p->h.size = 0)
SPOIL(too_big, p->h.size = (uint32_t)USER_MSG_MAX + 1)
SPOIL(biggest, p->h.size = UINT32_MAX)
SPOIL(half, p->h.size += 100)
SPOIL(wrong_id, p->h.id++)
SPOIL(wrong_command, p->h.command = USER_RESET)
SPOIL(neither, p->h.flags = 7)
SPOIL(refused, (resize(p, 0), p->h.flags |= USER_ERROR, p->h.error = EINVAL))
SPOIL(refused_zero, (resize(p, 0), no_fds(p), p->h.flags |= USER_ERROR, p->h.error = 0))
SPOIL(refused_huge, (resize(p, 0), p->h.flags |= USER_ERROR, p->h.error = UINT32_MAX))
SPOIL(refused_with_data, (p->h.flags |= USER_ERROR, p->h.error = EINVAL))
SPOIL(one_fd, add_fds(p, 1))
SPOIL(no_fd, no_fds(p))
SPOIL(fds_33, add_fds(p, 33))
SPOIL(fds_64, add_fds(p, 64))
SPOIL(bytewise, p->pieces = 1)
SPOIL(three_bytes, p->pieces = 3)

/* VERSION. */
SPOIL(two_bytes, resize(p, 2))
SPOIL(major_1, put16(p, 0, 1))
SPOIL(minor_9, put16(p, 2, 9))
SPOIL(not_json, with_json(p, "{\"capabilities\":"))
SPOIL(json_list, with_json(p, "[]"))
SPOIL(json_number, with_json(p, "1"))
SPOIL(json_twice, with_json(p, "{\"capabilities\":{},\"capabilities\":{}}"))
SPOIL(caps_list, with_json(p, "{\"capabilities\":[]}"))
SPOIL(caps_null, with_json(p, "{\"capabilities\":null}"))
SPOIL(no_caps, with_json(p, "{}"))
SPOIL(no_json, resize(p, 4))
SPOIL(unknown_caps, with_json(p, "{\"capabilities\":{\"migration\":{\"pgsize\":4096},\"x\":[]}}"))
SPOIL(fds_none, with_json(p, "{\"capabilities\":{\"max_msg_fds\":0}}"))
SPOIL(fds_negative, with_json(p, "{\"capabilities\":{\"max_msg_fds\":-1}}"))
SPOIL(fds_text, with_json(p, "{\"capabilities\":{\"max_msg_fds\":\"8\"}}"))
SPOIL(fds_real, with_json(p, "{\"capabilities\":{\"max_msg_fds\":8.5}}"))
SPOIL(fds_huge, with_json(p, "{\"capabilities\":{\"max_msg_fds\":99999999999999999999}}"))
SPOIL(xfer_zero, with_json(p, "{\"capabilities\":{\"max_data_xfer_size\":0}}"))
SPOIL(maps_zero, with_json(p, "{\"capabilities\":{\"max_dma_maps\":0}}"))
SPOIL(pages_zero, with_json(p, "{\"capabilities\":{\"pgsizes\":0}}"))
SPOIL(pages_large, with_json(p, "{\"capabilities\":{\"pgsizes\":2097152}}"))
SPOIL(twin_true, with_json(p, "{\"capabilities\":{\"twin_socket\":true}}"))
SPOIL(twin_no_index, with_json(p, "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}"))
SPOIL(twin_no_fd,
      with_json(p, "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}"))
SPOIL(twin_far,
      with_json(p, "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":99}}}"))
SPOIL(twin_pipe,
      (with_json(p, "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}"),
       add_fds(p, 1)))

static void json_deep(struct vfuser_server *s, struct vfuser_reply *p)
{
	(void)s;
	memset(p->payload + 4, '[', 4000);
	p->payload[4004] = '\0';
	resize(p, 4005);
}

static void json_long(struct vfuser_server *s, struct vfuser_reply *p)
{
	(void)s;
	memset(p->payload + 4, ' ', 5000);
	p->payload[5004] = '\0';
	resize(p, 5005);
}

/* GET_INFO: argsz, flags, regions, interrupts. */
SPOIL(not_pci, put32(p, 4, 0))
SPOIL(regions_none, put32(p, 8, 0))
SPOIL(regions_absurd, put32(p, 8, UINT32_MAX))
SPOIL(regions_many, put32(p, 8, 12))
SPOIL(irqs_absurd, put32(p, 12, UINT32_MAX))
SPOIL(irqs_none, put32(p, 12, 0))

/* GET_REGION_INFO: argsz, flags, index, cap_offset, size, offset; then id, version, next, areas, 0, offset, size. */
SPOIL(index_5, put32(p, 8, 5))
SPOIL(size_2_63, put64(p, 16, 1ULL << 63))
SPOIL(size_0, put64(p, 16, 0))
SPOIL(size_100, put64(p, 16, 100))
SPOIL(unreadable, put32(p, 4, 0))
SPOIL(cap_far, put32(p, 12, 4096))
SPOIL(cap_end, put32(p, 12, 60))
SPOIL(cap_in_head, put32(p, 12, 8))
SPOIL(cap_odd, put32(p, 12, 33))
SPOIL(cap_last, put32(p, 12, UINT32_MAX - 7))
SPOIL(cap_loop, (put16(p, 32, 77), put32(p, 36, 32)))
SPOIL(cap_unknown, (put16(p, 32, 77), put64(p, 16, 4096)))
SPOIL(areas_2_32, put32(p, 40, UINT32_MAX))
SPOIL(areas_two, put32(p, 40, 2))
SPOIL(areas_none, put32(p, 40, 0))
SPOIL(area_outside, put64(p, 48, 8192))
SPOIL(area_too_long, put64(p, 56, 16384))
SPOIL(area_wraps, (put64(p, 48, UINT64_MAX - 4095), put64(p, 56, 8192)))
SPOIL(area_empty, put64(p, 56, 0))
SPOIL(area_odd, put64(p, 48, 512))
SPOIL(area_odd_len, put64(p, 56, 512))
SPOIL(areas_overlap, (put32(p, 40, 2), put64(p, 64, 0), put64(p, 72, 4096), resize(p, 80)))
SPOIL(area_behind_file, put64(p, 48, 4096))
SPOIL(file_offset_wraps, put64(p, 24, UINT64_MAX - 4095))
SPOIL(file_offset_odd, put64(p, 24, 100))

static void areas_33(struct vfuser_server *s, struct vfuser_reply *p)
{
	(void)s;
	put32(p, 40, 33);
	memset(p->payload + 48, 0, 33 * 16);
	resize(p, 48 + 33 * 16);
}

/* GET_REGION_IO_FDS: argsz, flags, index, count; then offset, size, fd, type, flags, shadow fd, shadow offset, match. */
SPOIL(bells_absurd, put32(p, 12, UINT32_MAX))
SPOIL(bells_three, put32(p, 12, 3))
SPOIL(bells_none, put32(p, 12, 0))
SPOIL(bells_many_small, put32(p, 12, 12))
SPOIL(bell_outside, put64(p, 16, 4096))
SPOIL(bell_over_end, put64(p, 16, 4094))
SPOIL(bell_wraps, put64(p, 16, UINT64_MAX))
SPOIL(bell_of_3, put64(p, 24, 3))
SPOIL(bell_huge, put64(p, 24, (1ULL << 32) + 4))
SPOIL(bell_fd_far, put32(p, 32, 99))
SPOIL(bell_unknown, put32(p, 36, 99))
SPOIL(bell_flags, put32(p, 40, UINT32_MAX))
SPOIL(shadow_fd_far, put32(p, 16 + 48 + 28, 99))
SPOIL(shadow_behind_file, put64(p, 16 + 48 + 32, 4094))
SPOIL(shadow_wraps, put64(p, 16 + 48 + 32, UINT64_MAX))
SPOIL(shadow_no_width, put64(p, 16 + 48 + 8, 0))
SPOIL(shadow_in_pipe, (no_fds(p), p->fd[0] = p->fd[1] = p->fd[2] = spare[1], p->n_fds = 3))

/* GET_IRQ_INFO: argsz, flags, index, count. */
SPOIL(kind_4, put32(p, 8, 4))
SPOIL(vectors_absurd, put32(p, 12, UINT32_MAX))
SPOIL(vectors_2049, put32(p, 12, 2049))

/* REGION_READ: offset, region, count, data. */
SPOIL(read_elsewhere, put64(p, 0, 4))
SPOIL(read_other_region, put32(p, 8, 0))
SPOIL(read_count, put32(p, 12, 3))
SPOIL(nobody, put32(p, 16, UINT32_MAX))

/* Commands without an end, instead of an answer. */
static void flood(struct vfuser_server *s, struct vfuser_reply *p)
{
	char data[64];
	int rc;

	(void)p;
	do /* each is refused, until the client has gone */
		rc = vfuser_dma_read(s, 0, data, sizeof(data));
	while (rc != -ECONNRESET && rc != -EPIPE);
}

#define SOON 300

static const struct spoiled cases[] = {
	{"short version", USER_VERSION, 0, two_bytes, VFUSER_SEND, "a reply is too short", 0},
	{"empty version", USER_VERSION, 0, empty, VFUSER_SEND, "a reply is too short", 0},
	{"size below the header's", USER_VERSION, 0, less_than_header, VFUSER_SEND,
	 "shorter than its header", 0},
	{"size 0", USER_GET_INFO, 0, size_zero, VFUSER_SEND, "shorter than its header", 0},
	{"size above all", USER_VERSION, 0, too_big, VFUSER_SEND, "a message is too long", 0},
	{"size 4 GiB", USER_GET_INFO, 0, biggest, VFUSER_SEND, "a message is too long", 0},
	{"wrong id", USER_VERSION, 0, wrong_id, VFUSER_SEND, "wrong message ID", 0},
	{"wrong id later", USER_DMA_MAP, 0, wrong_id, VFUSER_SEND, "wrong message ID", 0},
	{"wrong command", USER_GET_INFO, 0, wrong_command, VFUSER_SEND, "to another command", 0},
	{"neither command nor reply", USER_VERSION, 0, neither, VFUSER_SEND,
	 "neither command nor reply", 0},
	{"version refused", USER_VERSION, 0, refused, VFUSER_SEND, "Invalid argument", 0},
	{"error without a number", USER_GET_INFO, 0, refused_zero, VFUSER_SEND,
	 "device info: the server says: Remote I/O error", 0},
	{"error 2^32-1", USER_GET_INFO, 0, refused_huge, VFUSER_SEND, "Remote I/O error", 0},
	{"error with data", USER_GET_INFO, 0, refused_with_data, VFUSER_SEND,
	 "an error came with data", 0},
	{"no answer", USER_VERSION, 0, NULL, VFUSER_SILENT, "version: no answer", SOON},
	{"no answer later", USER_DMA_MAP, 0, NULL, VFUSER_SILENT, "RAM: no answer", SOON},
	{"no answer to a reset", USER_RESET, 0, NULL, VFUSER_SILENT, "reset: no answer", SOON},
	{"half an answer", USER_GET_INFO, 0, half, VFUSER_SEND, "no answer", SOON},
	{"hangs up", USER_VERSION, 0, NULL, VFUSER_CLOSE, "closed the connection", 0},
	{"hangs up later", USER_GET_IRQ_INFO, 2, NULL, VFUSER_CLOSE, "closed the connection", 0},
	{"hangs up in a message", USER_GET_INFO, 0, half, VFUSER_CUT, "closed the connection", 0},
	{"commands without end", USER_GET_INFO, 0, flood, VFUSER_SEND, "no answer", SOON},
	{"bytes one by one", USER_VERSION, 0, bytewise, VFUSER_SEND, NULL, 0},
	{"three bytes a time", USER_GET_INFO, 0, three_bytes, VFUSER_SEND, NULL, 0},

	{"major version", USER_VERSION, 0, major_1, VFUSER_SEND, "speaks 1.0, toyvmm 0.0", 0},
	{"minor version", USER_VERSION, 0, minor_9, VFUSER_SEND, "speaks 0.9, toyvmm 0.0", 0},
	{"no JSON", USER_VERSION, 0, no_json, VFUSER_SEND, NULL, 0},
	{"JSON cut off", USER_VERSION, 0, not_json, VFUSER_SEND, "are not JSON", 0},
	{"JSON without NUL", USER_VERSION, 0, shorter, VFUSER_SEND, "have no end", 0},
	{"deep JSON", USER_VERSION, 0, json_deep, VFUSER_SEND, "are not JSON", 0},
	{"long JSON", USER_VERSION, 0, json_long, VFUSER_SEND, "are too long", 0},
	{"a list", USER_VERSION, 0, json_list, VFUSER_SEND, "are not JSON", 0},
	{"a number", USER_VERSION, 0, json_number, VFUSER_SEND, "are not JSON", 0},
	{"a key twice", USER_VERSION, 0, json_twice, VFUSER_SEND, "are not JSON", 0},
	{"capabilities a list", USER_VERSION, 0, caps_list, VFUSER_SEND, "'capabilities'", 0},
	{"capabilities null", USER_VERSION, 0, caps_null, VFUSER_SEND, "'capabilities'", 0},
	{"no capabilities", USER_VERSION, 0, no_caps, VFUSER_SEND, NULL, 0},
	{"unknown capabilities", USER_VERSION, 0, unknown_caps, VFUSER_SEND, NULL, 0},
	{"no descriptors", USER_VERSION, 0, fds_none, VFUSER_SEND, "'max_msg_fds'", 0},
	{"-1 descriptors", USER_VERSION, 0, fds_negative, VFUSER_SEND, "'max_msg_fds'", 0},
	{"descriptors in words", USER_VERSION, 0, fds_text, VFUSER_SEND, "'max_msg_fds'", 0},
	{"8.5 descriptors", USER_VERSION, 0, fds_real, VFUSER_SEND, "'max_msg_fds'", 0},
	{"10^20 descriptors", USER_VERSION, 0, fds_huge, VFUSER_SEND, "are not JSON", 0},
	{"no data", USER_VERSION, 0, xfer_zero, VFUSER_SEND, "'max_data_xfer_size'", 0},
	{"no mappings", USER_VERSION, 0, maps_zero, VFUSER_SEND, "'max_dma_maps'", 0},
	{"no pages", USER_VERSION, 0, pages_zero, VFUSER_SEND, "'pgsizes'", 0},
	{"large pages only", USER_VERSION, 0, pages_large, VFUSER_SEND, "have 2097152 bytes", 0},
	{"twin socket true", USER_VERSION, 0, twin_true, VFUSER_SEND, "'twin_socket'", 0},
	{"twin socket without index", USER_VERSION, 0, twin_no_index, VFUSER_SEND, "'twin_socket'",
	 0},
	{"twin socket missing", USER_VERSION, 0, twin_no_fd, VFUSER_SEND,
	 "second socket is not there", 0},
	{"twin socket's index", USER_VERSION, 0, twin_far, VFUSER_SEND, "'twin_socket'", 0},
	{"twin socket a pipe", USER_VERSION, 0, twin_pipe, VFUSER_SEND, "closed the connection", 0},
	{"descriptor with the version", USER_VERSION, 0, one_fd, VFUSER_SEND, "nobody asked for",
	 0},

	{"short device info", USER_GET_INFO, 0, shorter, VFUSER_SEND, "too short", 0},
	{"long device info", USER_GET_INFO, 0, longer, VFUSER_SEND, "too long", 0},
	{"descriptor with device info", USER_GET_INFO, 0, one_fd, VFUSER_SEND,
	 "too many file descriptors", 0},
	{"64 descriptors", USER_GET_INFO, 0, fds_64, VFUSER_SEND, "too many file descriptors", 0},
	{"not PCI", USER_GET_INFO, 0, not_pci, VFUSER_SEND, "not a PCI device", 0},
	{"no regions", USER_GET_INFO, 0, regions_none, VFUSER_SEND, "0 regions", 0},
	{"2^32-1 regions", USER_GET_INFO, 0, regions_absurd, VFUSER_SEND, "4294967295 regions", 0},
	{"more regions", USER_GET_INFO, 0, regions_many, VFUSER_SEND, NULL, 0},
	{"2^32-1 kinds of interrupts", USER_GET_INFO, 0, irqs_absurd, VFUSER_SEND,
	 "4294967295 kinds", 0},
	{"no interrupts", USER_GET_INFO, 0, irqs_none, VFUSER_SEND, NULL, 0},

	{"short region info", USER_GET_REGION_INFO, 0, shorter, VFUSER_SEND, "too short", 0},
	{"region refused", USER_GET_REGION_INFO, 0, refused, VFUSER_SEND, "region 0: ", 0},
	{"another region", USER_GET_REGION_INFO, 0, index_5, VFUSER_SEND, "about region 5", 0},
	{"region of 2^63", USER_GET_REGION_INFO, 0, size_2_63, VFUSER_SEND,
	 "region 0: 9223372036854775808 bytes", 0},
	{"config of 0", USER_GET_REGION_INFO, CONFIG, size_0, VFUSER_SEND, "of 0 bytes", 0},
	{"config of 100", USER_GET_REGION_INFO, CONFIG, size_100, VFUSER_SEND, "of 100 bytes", 0},
	{"config unreadable", USER_GET_REGION_INFO, CONFIG, unreadable, VFUSER_SEND,
	 "cannot be read", 0},
	{"BAR of 0 with areas", USER_GET_REGION_INFO, MEM_BAR, size_0, VFUSER_SEND, NULL, 0},
	{"no file", USER_GET_REGION_INFO, MEM_BAR, no_fd, VFUSER_SEND, "no file came", 0},
	{"a pipe", USER_GET_REGION_INFO, MEM_BAR, one_fd, VFUSER_SEND, "cannot be mapped", 0},
	{"33 files", USER_GET_REGION_INFO, MEM_BAR, fds_33, VFUSER_SEND,
	 "too many file descriptors", 0},
	{"capability far away", USER_GET_REGION_INFO, MEM_BAR, cap_far, VFUSER_SEND,
	 "capabilities make no sense", 0},
	{"capability at the end", USER_GET_REGION_INFO, MEM_BAR, cap_end, VFUSER_SEND,
	 "capabilities make no sense", 0},
	{"capability in the head", USER_GET_REGION_INFO, MEM_BAR, cap_in_head, VFUSER_SEND,
	 "capabilities make no sense", 0},
	{"capability unaligned", USER_GET_REGION_INFO, MEM_BAR, cap_odd, VFUSER_SEND,
	 "capabilities make no sense", 0},
	{"capability at 2^32", USER_GET_REGION_INFO, MEM_BAR, cap_last, VFUSER_SEND,
	 "capabilities make no sense", 0},
	{"capabilities in a circle", USER_GET_REGION_INFO, MEM_BAR, cap_loop, VFUSER_SEND,
	 "capabilities make no sense", 0},
	{"unknown capability", USER_GET_REGION_INFO, MEM_BAR, cap_unknown, VFUSER_SEND, NULL, 0},
	{"2^32-1 areas", USER_GET_REGION_INFO, MEM_BAR, areas_2_32, VFUSER_SEND,
	 "capabilities make no sense", 0},
	{"an area too many", USER_GET_REGION_INFO, MEM_BAR, areas_two, VFUSER_SEND,
	 "capabilities make no sense", 0},
	{"33 areas", USER_GET_REGION_INFO, MEM_BAR, areas_33, VFUSER_SEND, "33 areas", 0},
	{"no areas", USER_GET_REGION_INFO, MEM_BAR, areas_none, VFUSER_SEND, NULL, 0},
	{"area outside", USER_GET_REGION_INFO, MEM_BAR, area_outside, VFUSER_SEND,
	 "not pages of its region", 0},
	{"area too long", USER_GET_REGION_INFO, MEM_BAR, area_too_long, VFUSER_SEND,
	 "not pages of its region", 0},
	{"area that wraps", USER_GET_REGION_INFO, MEM_BAR, area_wraps, VFUSER_SEND,
	 "not pages of its region", 0},
	{"area of nothing", USER_GET_REGION_INFO, MEM_BAR, area_empty, VFUSER_SEND,
	 "not pages of its region", 0},
	{"area unaligned", USER_GET_REGION_INFO, MEM_BAR, area_odd, VFUSER_SEND,
	 "not pages of its region", 0},
	{"area of half a page", USER_GET_REGION_INFO, MEM_BAR, area_odd_len, VFUSER_SEND,
	 "not pages of its region", 0},
	{"areas that overlap", USER_GET_REGION_INFO, MEM_BAR, areas_overlap, VFUSER_SEND, "overlap",
	 0},
	{"area behind its file", USER_GET_REGION_INFO, MEM_BAR, area_behind_file, VFUSER_SEND,
	 "not in its file", 0},
	{"file offset wraps", USER_GET_REGION_INFO, MEM_BAR, file_offset_wraps, VFUSER_SEND,
	 "not in its file", 0},
	{"file offset unaligned", USER_GET_REGION_INFO, MEM_BAR, file_offset_odd, VFUSER_SEND,
	 "not in its file", 0},

	{"doorbells refused", USER_GET_REGION_IO_FDS, BELL_BAR, refused_zero, VFUSER_SEND, NULL, 0},
	{"no doorbells", USER_GET_REGION_IO_FDS, BELL_BAR, bells_none, VFUSER_SEND, NULL, 0},
	{"another region's", USER_GET_REGION_IO_FDS, BELL_BAR, index_5, VFUSER_SEND,
	 "about region 5", 0},
	{"2^32-1 doorbells", USER_GET_REGION_IO_FDS, BELL_BAR, bells_absurd, VFUSER_SEND,
	 "wrong length", 0},
	{"a doorbell too many", USER_GET_REGION_IO_FDS, BELL_BAR, bells_three, VFUSER_SEND,
	 "wrong length", 0},
	{"doorbells too small", USER_GET_REGION_IO_FDS, BELL_BAR, bells_many_small, VFUSER_SEND,
	 "wrong length", 0},
	{"short doorbells", USER_GET_REGION_IO_FDS, BELL_BAR, shorter, VFUSER_SEND, "wrong length",
	 0},
	{"doorbell outside", USER_GET_REGION_IO_FDS, BELL_BAR, bell_outside, VFUSER_SEND,
	 "not in its region", 0},
	{"doorbell over the end", USER_GET_REGION_IO_FDS, BELL_BAR, bell_over_end, VFUSER_SEND,
	 "not in its region", 0},
	{"doorbell that wraps", USER_GET_REGION_IO_FDS, BELL_BAR, bell_wraps, VFUSER_SEND,
	 "not in its region", 0},
	{"doorbell of 3 bytes", USER_GET_REGION_IO_FDS, BELL_BAR, bell_of_3, VFUSER_SEND,
	 "not in its region", 0},
	{"doorbell of 4 GiB", USER_GET_REGION_IO_FDS, BELL_BAR, bell_huge, VFUSER_SEND,
	 "not in its region", 0},
	{"doorbell's descriptor", USER_GET_REGION_IO_FDS, BELL_BAR, bell_fd_far, VFUSER_SEND,
	 "did not come", 0},
	{"no descriptors for them", USER_GET_REGION_IO_FDS, BELL_BAR, no_fd, VFUSER_SEND,
	 "did not come", 0},
	{"unknown doorbell", USER_GET_REGION_IO_FDS, BELL_BAR, bell_unknown, VFUSER_SEND, NULL, 0},
	{"unknown flags", USER_GET_REGION_IO_FDS, BELL_BAR, bell_flags, VFUSER_SEND, NULL, 0},
	{"shadow's descriptor", USER_GET_REGION_IO_FDS, BELL_BAR, shadow_fd_far, VFUSER_SEND,
	 "did not come", 0},
	{"shadow behind its file", USER_GET_REGION_IO_FDS, BELL_BAR, shadow_behind_file,
	 VFUSER_SEND, "does not fit into its file", 0},
	{"shadow that wraps", USER_GET_REGION_IO_FDS, BELL_BAR, shadow_wraps, VFUSER_SEND,
	 "does not fit into its file", 0},
	{"shadow without a width", USER_GET_REGION_IO_FDS, BELL_BAR, shadow_no_width, VFUSER_SEND,
	 "does not fit into its file", 0},
	{"shadow in a pipe", USER_GET_REGION_IO_FDS, BELL_BAR, shadow_in_pipe, VFUSER_SEND,
	 "does not fit into its file", 0},

	{"another kind", USER_GET_IRQ_INFO, 2, kind_4, VFUSER_SEND, "about kind 4", 0},
	{"2^32-1 vectors", USER_GET_IRQ_INFO, 2, vectors_absurd, VFUSER_SEND, "at most 2048", 0},
	{"2049 vectors", USER_GET_IRQ_INFO, 2, vectors_2049, VFUSER_SEND, "at most 2048", 0},
	{"MSI-X refused", USER_GET_IRQ_INFO, 2, refused, VFUSER_SEND, "kind 2: ", 0},
	{"requests refused", USER_GET_IRQ_INFO, 4, refused, VFUSER_SEND, NULL, 0},
	{"short interrupt info", USER_GET_IRQ_INFO, 2, shorter, VFUSER_SEND, "too short", 0},

	{"read of elsewhere", USER_REGION_READ, 0, read_elsewhere, VFUSER_SEND,
	 "answered with another's data", 0},
	{"read of another region", USER_REGION_READ, 0, read_other_region, VFUSER_SEND,
	 "answered with another's data", 0},
	{"read of another length", USER_REGION_READ, 0, read_count, VFUSER_SEND,
	 "answered with another's data", 0},
	{"short read", USER_REGION_READ, 0, shorter, VFUSER_SEND, "too short", 0},
	{"long read", USER_REGION_READ, 0, longer, VFUSER_SEND, "too long", 0},
	{"nobody there", USER_REGION_READ, 0, nobody, VFUSER_SEND, "no device answers", 0},

	{"reset refused", USER_RESET, 0, refused, VFUSER_SEND, "reset: the server says", 0},
	{"reset with data", USER_RESET, 0, longer, VFUSER_SEND, "too long", 0},
	{"DMA refused", USER_DMA_MAP, 0, refused, VFUSER_SEND, "DMA mapping of RAM: the server", 0},
	{"DMA with data", USER_DMA_MAP, 0, longer, VFUSER_SEND, "too long", 0},
	{"DMA with a descriptor", USER_DMA_MAP, 0, one_fd, VFUSER_SEND, "too many file descriptors",
	 0},
};

static void run(const struct spoiled *c)
{
	struct err e = {""};
	int rc;

	now = c;
	done = false;
	rig_init(&r);
	r.server.mangle = mangle;
	if (c->deadline_ms)
		r.host.deadline_ms = c->deadline_ms;
	rc = vfio_user_open(&r.v, &r.host, r.path, "dev0", &e);
	if (!done)
		fail_msg("%s: the reply never came", c->name);
	if ((rc < 0) != (c->says != NULL))
		fail_msg("%s: %d: %s", c->name, rc, e.text);
	if (c->says && !strstr(e.text, c->says))
		fail_msg("%s: '%s' instead of '%s'", c->name, e.text, c->says);
	r.server.mangle = NULL;
	rig_fini(&r);
}

static void run_all(uint16_t command)
{
	unsigned n = 0;

	assert_int_equal(0, pipe2(spare, O_CLOEXEC));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		if (cases[i].command == command) {
			run(&cases[i]);
			n++;
		}
	CHECK(n > 0);
	close(spare[0]);
	close(spare[1]);
}

TEST(wrong_version_is_refused)
{
	run_all(USER_VERSION);
}

TEST(wrong_device_info_is_refused)
{
	run_all(USER_GET_INFO);
}

TEST(wrong_region_is_refused)
{
	run_all(USER_GET_REGION_INFO);
}

TEST(wrong_doorbell_is_refused)
{
	run_all(USER_GET_REGION_IO_FDS);
}

TEST(wrong_interrupts_are_refused)
{
	run_all(USER_GET_IRQ_INFO);
}

TEST(wrong_configuration_space_is_refused)
{
	run_all(USER_REGION_READ);
}

TEST(wrong_answers_to_a_reset_are_refused)
{
	run_all(USER_RESET);
}

TEST(wrong_answers_to_dma_mappings_are_refused)
{
	run_all(USER_DMA_MAP);
}
