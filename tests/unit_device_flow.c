/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcore/device_flow.c, against a device that keeps the rules it is given and applies
 * them to frames, as rte_flow.h says of items, masks and actions; and against devices
 * that refuse one when asked, or only when it is made. The file is part of this one,
 * for its calls of DPDK come here.
 */
#include <rte_flow.h>
#include <string.h>

#include "lcore/frame.h"
#include "tests/unit.h"

enum { PORT = 5, ANY_QUEUE = -1 };

static int fake_validate(uint16_t port, const struct rte_flow_attr *attributes,
    const struct rte_flow_item *pattern, const struct rte_flow_action *actions,
    struct rte_flow_error *error);
static struct rte_flow *fake_create(uint16_t port, const struct rte_flow_attr *attributes,
    const struct rte_flow_item *pattern, const struct rte_flow_action *actions,
    struct rte_flow_error *error);

#define rte_flow_validate fake_validate
#define rte_flow_create	  fake_create
#include "lcore/device_flow.c"
#undef rte_flow_validate
#undef rte_flow_create

static struct {
	bool refuses;	   /* when asked */
	bool refuses_late; /* when the rule is made */
	uint32_t asked;
	uint32_t made;
	struct rte_flow_item_udp spec; /* of the rule */
	struct rte_flow_item_udp mask;
	int queue;
} device;

/* Understands one form alone: any Ethernet, any IPv4, UDP as given; to one queue. */
static bool
understands(const struct rte_flow_attr *attributes, const struct rte_flow_item *pattern,
    const struct rte_flow_action *actions)
{
	static const enum rte_flow_item_type types[] = {RTE_FLOW_ITEM_TYPE_ETH,
	    RTE_FLOW_ITEM_TYPE_IPV4, RTE_FLOW_ITEM_TYPE_UDP, RTE_FLOW_ITEM_TYPE_END};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		bool given = types[i] == RTE_FLOW_ITEM_TYPE_UDP;
		if (pattern[i].type != types[i] || (pattern[i].spec != NULL) != given)
			return false;
	}
	return attributes->ingress == 1 && attributes->egress == 0 && attributes->transfer == 0 &&
	       actions[0].type == RTE_FLOW_ACTION_TYPE_QUEUE &&
	       actions[1].type == RTE_FLOW_ACTION_TYPE_END;
}

static int
fake_validate(uint16_t port, const struct rte_flow_attr *attributes,
    const struct rte_flow_item *pattern, const struct rte_flow_action *actions,
    struct rte_flow_error *error)
{
	(void)error;
	device.asked++;
	CU_ASSERT_EQUAL(port, PORT);
	CU_ASSERT_TRUE(understands(attributes, pattern, actions));
	return device.refuses ? -ENOTSUP : 0;
}

static struct rte_flow *
fake_create(uint16_t port, const struct rte_flow_attr *attributes,
    const struct rte_flow_item *pattern, const struct rte_flow_action *actions,
    struct rte_flow_error *error)
{
	(void)error;
	device.made++;
	CU_ASSERT_EQUAL(port, PORT);
	CU_ASSERT_TRUE_FATAL(understands(attributes, pattern, actions));
	if (device.refuses_late)
		return NULL;
	memcpy(&device.spec, pattern[2].spec, sizeof(device.spec));
	memcpy(&device.mask, pattern[2].mask, sizeof(device.mask));
	device.queue = ((const struct rte_flow_action_queue *)actions[0].conf)->index;
	return (struct rte_flow *)(void *)&device;
}

/* Where the device puts a frame from and to these UDP ports. */
static int
queue_of(uint16_t from, uint16_t to)
{
	const struct rte_flow_item_udp item = {
	    .hdr = {.src_port = rte_cpu_to_be_16(from), .dst_port = rte_cpu_to_be_16(to)}};
	const uint8_t *bytes = (const uint8_t *)&item;
	const uint8_t *spec = (const uint8_t *)&device.spec;
	const uint8_t *mask = (const uint8_t *)&device.mask;
	for (size_t i = 0; i < sizeof(item); i++) {
		if (((bytes[i] ^ spec[i]) & mask[i]) != 0)
			return ANY_QUEUE;
	}
	return device.queue;
}

static void
what_comes_to_the_port_lands_in_the_queue(void)
{
	memset(&device, 0, sizeof(device));
	CU_ASSERT_TRUE(device_flow_set(PORT, 7000, 3));
	CU_ASSERT_EQUAL(device.asked, 1);
	CU_ASSERT_EQUAL(device.made, 1);
	CU_ASSERT_EQUAL(queue_of(7000, 7000), 3);
	CU_ASSERT_EQUAL(queue_of(50000, 7000), 3);
	CU_ASSERT_EQUAL(queue_of(7000, 7001), ANY_QUEUE);
	CU_ASSERT_EQUAL(queue_of(7000, 7000 ^ 0x8000), ANY_QUEUE);
}

static void
a_device_may_refuse(void)
{
	memset(&device, 0, sizeof(device));
	device.refuses = true;
	CU_ASSERT_FALSE(device_flow_set(PORT, 7000, 0));
	CU_ASSERT_EQUAL(device.made, 0);
	device.refuses = false;
	device.refuses_late = true;
	CU_ASSERT_FALSE(device_flow_set(PORT, 7000, 0));
	CU_ASSERT_EQUAL(device.made, 1);
}

static const struct unit_story stories[] = {
    {"what comes to the port lands in the queue", what_comes_to_the_port_lands_in_the_queue},
    {"a device may refuse", a_device_may_refuse},
};

UNIT_MAIN("device flow", stories)
