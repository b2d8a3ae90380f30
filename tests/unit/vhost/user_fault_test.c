// SPDX-License-Identifier: Apache-2.0
/* A back end that misbehaves, one fault at one request at a time: an error, no hang, no descriptor left. */
#include "user_rig.h"

static const char *const names[N_FAULTS] = {
	[FAULT_SILENT] = "silent",
	[FAULT_CLOSE] = "close",
	[FAULT_CLOSE_MIDWAY] = "close midway",
	[FAULT_SHORT] = "short",
	[FAULT_LONG] = "long",
	[FAULT_EMPTY] = "empty",
	[FAULT_HUGE] = "huge",
	[FAULT_OTHER_REQUEST] = "other request",
	[FAULT_NO_REPLY_FLAG] = "no reply flag",
	[FAULT_VERSION] = "version",
	[FAULT_FD] = "a descriptor",
	[FAULT_MANY_FDS] = "many descriptors",
	[FAULT_NO_FD] = "no descriptor",
	[FAULT_REFUSE] = "refused",
};

/* Does creating or starting fail, as it must? */
static bool fails(struct rig *r)
{
	bool failed = rig_create(r) < 0;

	if (failed)
		r->v = NULL;
	else
		failed = rig_start(r) < 0;
	return failed && r->e.text[0];
}

static void try_fault(uint32_t request, enum fault fault)
{
	unsigned before = test_open_fds();
	struct rig r;
	bool failed;

	rig_init(&r);
	r.b.fault = fault;
	r.b.fault_request = request;
	r.b.value = 1;
	if (fault == FAULT_SILENT)
		r.setup.deadline_ms = 50;
	backend_start(&r.b);
	failed = fails(&r);
	rig_fini(&r);
	if (!failed || test_open_fds() != before)
		print_message("request %u, %s: %s\n", request, names[fault],
			      failed ? "a descriptor is left" : "it went well");
	CHECK(failed);
	CHECK_EQ(before, test_open_fds());
}

TEST(no_wrong_answer_is_taken_for_one)
{
	static const uint32_t asked[] = {VU_GET_FEATURES, VU_GET_PROTOCOL_FEATURES,
					 VU_GET_QUEUE_NUM, VU_GET_CONFIG, VU_GET_INFLIGHT_FD};

	for (unsigned i = 0; i < ARRAY_SIZE(asked); i++)
		for (enum fault f = FAULT_SILENT; f <= FAULT_MANY_FDS; f++)
			try_fault(asked[i], f);
	try_fault(VU_GET_INFLIGHT_FD, FAULT_NO_FD);
}

TEST(no_wrong_acknowledgement_is_taken_for_one)
{
	static const uint32_t ordered[] = {
		VU_SET_BACKEND_REQ_FD, VU_SET_FEATURES,     VU_SET_MEM_TABLE,  VU_SET_INFLIGHT_FD,
		VU_SET_VRING_NUM,      VU_SET_VRING_BASE,   VU_SET_VRING_ADDR, VU_SET_VRING_CALL,
		VU_SET_VRING_KICK,     VU_SET_VRING_ENABLE, VU_SET_STATUS,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(ordered); i++) {
		try_fault(ordered[i], FAULT_REFUSE);
		try_fault(ordered[i], FAULT_CLOSE);
		try_fault(ordered[i], FAULT_LONG);
		try_fault(ordered[i], FAULT_OTHER_REQUEST);
		try_fault(ordered[i], FAULT_FD);
	}
}

static void try_value(uint32_t request, uint64_t value, const char *text)
{
	struct rig r;

	rig_init(&r);
	r.b.fault = FAULT_VALUE;
	r.b.fault_request = request;
	r.b.value = value;
	backend_start(&r.b);
	CHECK(fails(&r));
	CHECK_HAS(r.e.text, text);
	rig_fini(&r);
}

TEST(absurd_numbers_are_refused)
{
	try_value(VU_GET_QUEUE_NUM, 0, "the back end has 0 virtqueues; 1 are needed");
	try_value(VU_GET_INFLIGHT_FD, 0, "its in-flight area is none");
	try_value(VU_GET_INFLIGHT_FD, 1ULL << 40, "its in-flight area is none");
	try_value(VU_GET_CONFIG, 1, "its answer to request 24 is none"); /* another offset */
	try_value(VU_GET_PROTOCOL_FEATURES, 0, "does not give its configuration space");
}

/* Only offered bits are ever accepted, whatever else it claims to be able to. */
TEST(features_beyond_the_known_are_not_taken)
{
	struct rig r;

	rig_init(&r);
	r.b.features = ~0ULL;
	r.b.protocol = ~0ULL;
	rig_up(&r);
	CHECK(r.b.accepted_protocol == (ALL_PROTOCOL | BIT(VU_PROTOCOL_RESET_DEVICE)));
	CHECK(!(r.v->features & (BIT(VU_F_PROTOCOL) | BIT(VIRTIO_F_RING_PACKED) | BIT(26))));
	rig_fini(&r);
}

/* A disk whose back end breaks the protocol has lost it, and is waited for as if it had died. */
TEST(who_talks_unasked_is_hung_up_on)
{
	struct rig r;

	rig_init(&r);
	rig_up(&r);
	backend_raw(r.b.sock, "x", 1, NULL, 0);
	BACKEND_WAIT(&r.b, r.b.connections == 2 && r.b.seen[VU_SET_STATUS] == 1);
	CHECK_EQ(0, r.gone);
	rig_fini(&r);
}

TEST(garbage_on_the_back_ends_channel_ends_the_connection)
{
	uint8_t garbage[64];
	struct rig r;

	memset(garbage, 0xa5, sizeof(garbage));
	rig_init(&r);
	rig_up(&r);
	backend_raw(r.b.channel, garbage, sizeof(garbage), NULL, 0);
	BACKEND_WAIT(&r.b, r.b.connections == 2 && r.b.seen[VU_SET_STATUS] == 1);
	rig_fini(&r);
}
