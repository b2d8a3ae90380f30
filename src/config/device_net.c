// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/device.h"
#include "config/set.h"
#include "config/text.h"

/* What the kernel takes (dev_valid_name() there). */
static int set_tap(void *target, const struct given *given, struct err *e)
{
	struct net_config *n = target;
	const char *name = given->text;

	if (!*name || strlen(name) >= IFNAMSIZ || strpbrk(name, "/: \t") || find_control(name) ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, EINVAL, "'%s' is no name of a network interface",
			       show(name).text);
	return set_line(&n->tap, name, e);
}

static int set_socket(void *target, const struct given *given, struct err *e)
{
	struct net_config *n = target;
	int rc = check_socket_path(given->text, 0, e);

	return rc < 0 ? rc : set_path(&n->socket, given->text, e);
}

static const struct word kinds[] = {
	{"tap", NET_TAP},
	{"user", NET_USER},
	{"passt", NET_PASST},
	{0},
};

static const struct field kind_field = {
	.type = FIELD_WORD,
	.words = kinds,
	MEMBER(struct net_config, kind),
};

/* "tap", "tap=NAME", "user", "passt=SOCKET". */
static int set_first(void *target, const char *word, struct err *e)
{
	struct net_config *n = target;
	struct given kind = {0}, path = {0};
	char *name;
	int rc = place_split(word, &name, &path.text, e);

	kind.text = name;
	if (rc == 0)
		rc = field_set(&kind_field, n, &kind, e);
	free(name);
	if (rc < 0 || !path.text)
		return rc;
	if (n->kind == NET_USER)
		return err_set(e, EINVAL, "'user' takes no name");
	return n->kind == NET_TAP ? set_tap(n, &path, e) : set_socket(n, &path, e);
}

static int set_net_id(void *target, const struct given *given, struct err *e)
{
	struct net_config *n = target;

	return set_id(&n->id, given->text, e);
}

/* Six pairs of hexadecimal digits; the lowest bit of the first byte says "to a group" (IEEE 802). */
int read_mac(uint8_t to[6], const struct given *given, struct err *e)
{
	static const uint8_t nobody[6];
	uint8_t mac[6];
	int end = 0;

	if (strspn(given->text, "0123456789abcdefABCDEF:") != 17 || strlen(given->text) != 17 ||
	    sscanf(given->text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &end) != 6 ||
	    end != 17)
		return err_set(e, EINVAL, "'%s' is no MAC address like 52:54:00:12:34:56",
			       show(given->text).text);
	if (mac[0] & 1)
		return err_set(e, EINVAL, "'%s' is a multicast address: no interface may have one",
			       show(given->text).text);
	if (memcmp(mac, nobody, 6) == 0)
		return err_set(e, EINVAL, "'%s' is nobody's address", show(given->text).text);
	memcpy(to, mac, 6);
	return 0;
}

static int set_mac(void *target, const struct given *given, struct err *e)
{
	struct net_config *n = target;
	int rc = read_mac(n->mac, given, e);

	n->has_mac |= rc == 0;
	return rc;
}

static int set_queue_size(void *target, const struct given *given, struct err *e)
{
	struct net_config *net = target;
	uint64_t n = given->number;

	if (n < 16 || n > CONFIG_MAX_QUEUE_SIZE || (n & (n - 1)))
		return err_set(e, EINVAL, "'%s' is not a power of two from 16 to %d",
			       show(given->text).text, CONFIG_MAX_QUEUE_SIZE);
	net->queue_size = (unsigned)n;
	return 0;
}

/* Both directions, each so much. */
static int set_bandwidth(void *target, const struct given *given, struct err *e)
{
	struct net_config *n = target;

	if (given->number < 1 || given->number > BUCKET_MAX)
		return err_set(e, EINVAL, "'%s' a second is too little or too much",
			       show(given->text).text);
	n->rx_limit.bandwidth = n->tx_limit.bandwidth = bucket_per_second(given->number);
	return 0;
}

static int set_pps(void *target, const struct given *given, struct err *e)
{
	struct net_config *n = target;

	if (given->number < 1 || given->number > UINT32_MAX)
		return err_set(e, EINVAL, "'%s' is not a whole number from 1 to %u",
			       show(given->text).text, UINT32_MAX);
	n->rx_limit.ops = n->tx_limit.ops = bucket_per_second(given->number);
	return 0;
}

static int bad_hostfwd(const char *written, struct err *e)
{
	return err_set(e, EINVAL,
		       "'%s' is not [tcp|udp]:[HOST ADDRESS]:PORT-[GUEST ADDRESS]:PORT, as in "
		       "tcp:127.0.0.1:2222-:22",
		       show(written).text);
}

/* "ADDRESS:PORT", the address IPv4 or left out. */
static bool parse_end(const char *text, char **addr, uint16_t *port)
{
	const char *colon = strchr(text, ':');
	char copy[INET_ADDRSTRLEN];
	struct in_addr in;
	uint64_t n;

	if (!colon || (size_t)(colon - text) >= sizeof(copy) || parse_u64(colon + 1, &n) < 0 ||
	    n < 1 || n > UINT16_MAX)
		return false;
	memcpy(copy, text, (size_t)(colon - text));
	copy[colon - text] = '\0';
	if (*copy && inet_pton(AF_INET, copy, &in) != 1)
		return false;
	*port = (uint16_t)n;
	*addr = *copy ? strdup(copy) : NULL;
	return !*copy || *addr;
}

static bool parse_hostfwd(struct hostfwd_config *f, char *text)
{
	char *dash = strchr(text, '-');
	size_t proto = strcspn(text, ":");

	if (!dash || text[proto] != ':')
		return false;
	*dash = '\0';
	f->udp = proto == 3 && strncmp(text, "udp", 3) == 0;
	if (!f->udp && proto != 0 && (proto != 3 || strncmp(text, "tcp", 3) != 0))
		return false;
	return parse_end(text + proto + 1, &f->host_addr, &f->host_port) &&
	       parse_end(dash + 1, &f->guest_addr, &f->guest_port);
}

static int add_hostfwd(void *target, const struct given *given, struct err *e)
{
	struct net_config *n = target;
	struct hostfwd_config f = {0}, *bigger = NULL;
	char *copy = strdup(given->text);
	int rc = 0;

	if (!copy)
		rc = err_set(e, ENOMEM, "out of memory");
	else if (n->n_hostfwds == CONFIG_MAX_HOSTFWDS)
		rc = err_set(e, EINVAL, "there are at most %d forwarded ports",
			     CONFIG_MAX_HOSTFWDS);
	else if (!parse_hostfwd(&f, copy))
		rc = bad_hostfwd(given->text, e);
	else if (!(bigger = reallocarray(n->hostfwd, n->n_hostfwds + 1, sizeof(f))))
		rc = err_set(e, ENOMEM, "out of memory");
	free(copy);
	if (rc < 0) {
		free(f.host_addr);
		free(f.guest_addr);
		return rc;
	}
	n->hostfwd = bigger;
	n->hostfwd[n->n_hostfwds++] = f;
	return 0;
}

#define NET(member) MEMBER(struct net_config, member)

/* clang-format off: one row a field */
const struct field net_fields[] = {
	{.key = "kind", .type = FIELD_WORD, .words = kinds, NET(kind)},
	{.key = "host_dev_name", .type = FIELD_TEXT, .set = set_tap},
	{.key = "socket", .type = FIELD_PATH, .set = set_socket},
	{.option = "fd",
	 .key = "fd",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .min = 3,
	 .max = 1 << 20,
	 NET(fd)},
	{.option = "id", .key = "iface_id", .value = "NAME", .type = FIELD_TEXT, .set = set_net_id},
	{.option = "mac",
	 .key = "guest_mac",
	 .value = "ADDRESS",
	 .type = FIELD_TEXT,
	 .set = set_mac},
	{.option = "mtu",
	 .key = "mtu",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .min = 68,
	 .max = 65535,
	 NET(mtu)},
	{.option = "queues",
	 .key = "queues",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .min = 1,
	 .max = CONFIG_MAX_NET_QUEUES,
	 NET(queues)},
	{.option = "queue-size",
	 .key = "queue_size",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .min = 16,
	 .max = CONFIG_MAX_QUEUE_SIZE,
	 .set = set_queue_size},
	{.option = "offload",
	 .key = "offload",
	 .value = "on|off",
	 .type = FIELD_FLAG,
	 .inverted = true,
	 NET(no_offload)},
	{.option = "packed", .key = "packed", .type = FIELD_FLAG, NET(packed)},
	{.option = "vhost", .key = "vhost", .type = FIELD_FLAG, NET(vhost)},
	{.option = "hostfwd",
	 .key = "hostfwd",
	 .value = "RULE",
	 .type = FIELD_TEXTS,
	 .set = add_hostfwd},
	{.option = "restrict", .key = "restrict", .type = FIELD_FLAG, NET(restricted)},
	{.option = "bw", .value = "RATE", .type = FIELD_SIZE, .set = set_bandwidth},
	{.option = "pps",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .min = 1,
	 .max = UINT32_MAX,
	 .set = set_pps},
	{.key = "rx_rate_limiter", .type = FIELD_OBJECT, .fields = limit_fields, NET(rx_limit)},
	{.key = "tx_rate_limiter", .type = FIELD_OBJECT, .fields = limit_fields, NET(tx_limit)},
	{0},
};
/* clang-format on */

static int finish(void *target, struct err *e)
{
	return net_check(target, e);
}

const struct list net_list = {"tap[=NAME]|user|passt=SOCKET", set_first, net_fields, finish};

static bool is_limited(const struct limit_config *l)
{
	return l->bandwidth.size || l->ops.size;
}

static int check_vhost(const struct net_config *n, struct err *e)
{
	if (n->kind != NET_TAP)
		return err_set(e, EINVAL, "'%s' has no vhost: that is a tap's",
			       kinds[n->kind].name);
	if (n->packed)
		return err_set(e, EINVAL, "vhost-net has no packed virtqueues: packed or vhost");
	if (is_limited(&n->rx_limit) || is_limited(&n->tx_limit))
		return err_set(e, EINVAL,
			       "with vhost the host's kernel carries the frames, and has no rate "
			       "limit: tc(8) can set one on the tap");
	return 0;
}

int net_check(const struct net_config *n, struct err *e)
{
	const char *kind = kinds[n->kind].name;

	if (n->kind != NET_TAP && (n->tap || n->fd >= 0))
		return err_set(e, EINVAL, "'%s' has no %s", kind,
			       n->tap ? "host_dev_name" : "fd: that is a tap's");
	if (n->kind != NET_PASST && n->socket)
		return err_set(e, EINVAL, "'%s' has no socket", kind);
	if (n->kind == NET_PASST && !n->socket)
		return err_set(e, EINVAL, "'passt' needs a socket: passt=SOCKET");
	if (n->kind != NET_USER && (n->n_hostfwds || n->restricted))
		return err_set(e, EINVAL, "'%s' has no %s: that is of the kind 'user'", kind,
			       n->n_hostfwds ? "hostfwd" : "restrict");
	if (n->tap && n->fd >= 0)
		return err_set(e, EINVAL, "a tap has a name or an fd, not both");
	if (n->fd >= 0 && n->queues > 1)
		return err_set(e, EINVAL, "an fd is one queue; queues=%u is not possible",
			       n->queues);
	if (n->kind != NET_TAP && n->queues > 1)
		return err_set(e, EINVAL, "'%s' has one queue; queues=%u is not possible", kind,
			       n->queues);
	return n->vhost ? check_vhost(n, e) : 0;
}
