/* SPDX-License-Identifier: Apache-2.0 */
/* See hub.h. Pure; the switch's lcore. */
#include "lcore/hub.h"

#include <assert.h>
#include <string.h>

#include "engine/check.h"

static_assert((HUB_MACS_MAX & (HUB_MACS_MAX - 1)) == 0, "places by mask");
static_assert(HUB_PORTS_MAX <= 64 && HUB_PORTS_MAX < HUB_PORT_ANY, "sets are 64-bit masks");

static struct hub_mac *mac_find(struct hub *h, const uint8_t *mac, uint64_t now_ns);
static void mac_learn(struct hub *h, uint32_t port, const uint8_t *mac, uint64_t now_ns);

void
hub_init(struct hub *h, const struct hub_config *config)
{
	check(config->ports_count >= 1 && config->ports_count <= HUB_PORTS_MAX);
	check(config->age_ns > 0);
	memset(h, 0, sizeof(*h));
	h->config = *config;
	for (uint32_t from = 0; from < HUB_PORTS_MAX; from++) {
		for (uint32_t to = 0; to < HUB_PORTS_MAX; to++)
			random_init(&h->links[from][to].random, config->seed,
			    (uint64_t)from * HUB_PORTS_MAX + to);
	}
}

static bool
is_group(const uint8_t *mac)
{
	return (mac[0] & 1) != 0;
}

/* 01:80:c2:00:00:00 to 0f: pause frames, spanning tree and the like. */
static bool
is_reserved(const uint8_t *mac)
{
	static const uint8_t prefix[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};
	return memcmp(mac, prefix, sizeof(prefix)) == 0 && mac[5] <= HUB_RESERVED_LAST;
}

static bool
is_zero(const uint8_t *mac)
{
	static const uint8_t zero[6];
	return memcmp(mac, zero, sizeof(zero)) == 0;
}

uint64_t
hub_targets(struct hub *h, uint32_t from, const uint8_t *destination, const uint8_t *source,
    uint64_t now_ns)
{
	check(from < h->config.ports_count);
	check(now_ns > 0);
	uint32_t count = h->config.ports_count;
	uint64_t all = count == 64 ? UINT64_MAX : (1ull << count) - 1;
	uint64_t others = all & ~(1ull << from);
	/* A group cannot send, nor can nobody. */
	if (is_group(source) || is_zero(source) || is_reserved(destination)) {
		h->ports[from].reserved++;
		return 0;
	}
	mac_learn(h, from, source, now_ns);
	if (is_group(destination))
		return others;
	const struct hub_mac *entry = mac_find(h, destination, now_ns);
	if (entry != NULL)
		return others & 1ull << entry->port;
	h->ports[from].flooded++;
	return others;
}

/* ---- MACs --------------------------------------------------------------- */

static uint32_t
mac_place(const uint8_t *mac)
{
	uint64_t word = 0;
	memcpy(&word, mac, 6);
	return (uint32_t)random_mix(word) & (HUB_MACS_MAX - 1);
}

static bool
mac_is_old(const struct hub *h, const struct hub_mac *entry, uint64_t now_ns)
{
	return now_ns - entry->seen_ns > h->config.age_ns;
}

/* The entry of a MAC, forgotten ones aside; or NULL. */
static struct hub_mac *
mac_find(struct hub *h, const uint8_t *mac, uint64_t now_ns)
{
	uint32_t place = mac_place(mac);
	for (uint32_t i = 0; i < HUB_PROBES; i++) {
		struct hub_mac *entry = &h->macs[(place + i) & (HUB_MACS_MAX - 1)];
		if (entry->seen_ns != 0 && memcmp(entry->mac, mac, 6) == 0)
			return mac_is_old(h, entry, now_ns) ? NULL : entry;
	}
	return NULL;
}

static void
mac_forget(struct hub *h, struct hub_mac *entry)
{
	check(h->macs_of_port[entry->port] > 0);
	h->macs_of_port[entry->port]--;
	memset(entry, 0, sizeof(*entry));
}

/* Makes a place free: an empty one, or one whose MAC has not been heard of for long. */
static struct hub_mac *
mac_place_take(struct hub *h, const uint8_t *mac, uint64_t now_ns)
{
	uint32_t place = mac_place(mac);
	struct hub_mac *found = NULL;
	for (uint32_t i = 0; i < HUB_PROBES; i++) {
		struct hub_mac *entry = &h->macs[(place + i) & (HUB_MACS_MAX - 1)];
		if (entry->seen_ns != 0 && mac_is_old(h, entry, now_ns))
			mac_forget(h, entry);
		if (entry->seen_ns == 0 && found == NULL)
			found = entry;
	}
	return found;
}

/* A port whose share is full may have MACs that are long gone: all are looked at, now and then. */
static void
macs_sweep(struct hub *h, uint64_t now_ns)
{
	if (now_ns - h->swept_ns < h->config.age_ns / HUB_SWEEPS_PER_AGE)
		return;
	h->swept_ns = now_ns;
	for (uint32_t i = 0; i < HUB_MACS_MAX; i++) {
		if (h->macs[i].seen_ns != 0 && mac_is_old(h, &h->macs[i], now_ns))
			mac_forget(h, &h->macs[i]);
	}
}

static void
mac_learn(struct hub *h, uint32_t port, const uint8_t *mac, uint64_t now_ns)
{
	struct hub_mac *entry = mac_find(h, mac, now_ns);
	if (entry != NULL && entry->port == port) {
		entry->seen_ns = now_ns;
		return;
	}
	if (h->macs_of_port[port] >= HUB_PORT_MACS_MAX)
		macs_sweep(h, now_ns);
	if (h->macs_of_port[port] >= HUB_PORT_MACS_MAX) {
		h->ports[port].not_learnt++;
		return;
	}
	if (entry != NULL) {
		h->ports[port].moved++;
		mac_forget(h, entry);
	} else {
		entry = mac_place_take(h, mac, now_ns);
	}
	if (entry == NULL) {
		h->ports[port].not_learnt++;
		return;
	}
	entry->seen_ns = now_ns;
	entry->port = (uint8_t)port;
	memcpy(entry->mac, mac, 6);
	h->macs_of_port[port]++;
	h->ports[port].learnt++;
}

/* ---- fates -------------------------------------------------------------- */

static bool
drawn(struct random *random, uint32_t ppm)
{
	return ppm > 0 && random_below(random, HUB_PPM) < ppm;
}

/* When one copy arrives. A frame that is not held back never overtakes another. */
static uint64_t
due_draw(struct hub_link *link, uint64_t now_ns)
{
	const struct hub_faults *f = &link->faults;
	uint64_t due_ns = now_ns + f->delay_ns;
	if (f->jitter_ns > 0)
		due_ns += random_below(&link->random, f->jitter_ns + 1);
	if (drawn(&link->random, f->reorder_ppm)) {
		link->counters.reordered++;
		return due_ns + f->reorder_ns;
	}
	if (due_ns < link->last_due_ns)
		due_ns = link->last_due_ns;
	link->last_due_ns = due_ns;
	return due_ns;
}

struct hub_fate
hub_judge(struct hub *h, uint32_t from, uint32_t to, uint32_t size, uint64_t now_ns)
{
	check(from < h->config.ports_count && to < h->config.ports_count && from != to);
	check(size > 0 && size < HUB_UNDAMAGED / 8);
	struct hub_link *link = &h->links[from][to];
	struct hub_fate fate = {.copies = 0};
	link->counters.frames++;
	link->counters.bytes += size;
	if (((h->partitioned[from] | h->cut[from]) >> to & 1) != 0) {
		link->counters.cut++;
		return fate;
	}
	if (drawn(&link->random, link->faults.loss_ppm)) {
		link->counters.lost++;
		return fate;
	}
	fate.copies = 1;
	if (drawn(&link->random, link->faults.duplicate_ppm)) {
		link->counters.duplicated++;
		fate.copies = 2;
	}
	for (uint32_t i = 0; i < fate.copies; i++) {
		fate.due_ns[i] = due_draw(link, now_ns);
		link->counters.delayed += fate.due_ns[i] > now_ns;
		fate.damaged_bit[i] = HUB_UNDAMAGED;
		if (drawn(&link->random, link->faults.corrupt_ppm)) {
			link->counters.corrupted++;
			fate.damaged_bit[i] = (uint32_t)random_below(&link->random, 8ull * size);
		}
	}
	check(fate.copies <= HUB_COPIES_MAX);
	return fate;
}

/* ---- commands ----------------------------------------------------------- */

static void
link_command(struct hub *h, const struct hub_command *c, uint32_t from, uint32_t to)
{
	struct hub_faults *faults = &h->links[from][to].faults;
	switch (c->verb) {
	case HUB_CUT:
		h->cut[from] |= 1ull << to;
		break;
	case HUB_MEND:
		h->cut[from] &= ~(1ull << to);
		break;
	case HUB_LOSS:
		faults->loss_ppm = c->ppm;
		break;
	case HUB_DELAY:
		faults->delay_ns = c->time_ns;
		faults->jitter_ns = c->jitter_ns;
		break;
	case HUB_REORDER:
		faults->reorder_ppm = c->ppm;
		faults->reorder_ns = c->time_ns;
		break;
	case HUB_DUPLICATE:
		faults->duplicate_ppm = c->ppm;
		break;
	case HUB_CORRUPT:
		faults->corrupt_ppm = c->ppm;
		break;
	default:
		break;
	}
}

static bool
link_is_named(const struct hub_command *c, uint32_t from, uint32_t to)
{
	return (c->from == HUB_PORT_ANY || c->from == from) &&
	       (c->to == HUB_PORT_ANY || c->to == to);
}

static void
links_command(struct hub *h, const struct hub_command *c)
{
	for (uint32_t from = 0; from < h->config.ports_count; from++) {
		for (uint32_t to = 0; to < h->config.ports_count; to++) {
			bool named =
			    link_is_named(c, from, to) || (c->both && link_is_named(c, to, from));
			if (from != to && named)
				link_command(h, c, from, to);
		}
	}
}

/* Each port of a group loses the ports of all other groups. */
static void
partition(struct hub *h, const struct hub_command *c)
{
	uint64_t grouped = 0;
	for (uint32_t g = 0; g < c->groups_count; g++)
		grouped |= c->groups[g];
	memset(h->partitioned, 0, sizeof(h->partitioned));
	for (uint32_t g = 0; g < c->groups_count; g++) {
		for (uint32_t port = 0; port < h->config.ports_count; port++) {
			if ((c->groups[g] >> port & 1) != 0)
				h->partitioned[port] = grouped & ~c->groups[g];
		}
	}
}

void
hub_command(struct hub *h, const struct hub_command *c)
{
	check(c->verb < HUB_VERBS_COUNT);
	check(c->from == HUB_PORT_ANY || c->from < h->config.ports_count);
	check(c->to == HUB_PORT_ANY || c->to < h->config.ports_count);
	check(c->ppm <= HUB_PPM);
	check(c->groups_count <= HUB_PORTS_MAX);
	if (c->verb == HUB_PARTITION)
		partition(h, c);
	else if (c->verb != HUB_HEAL && c->verb != HUB_CLEAR)
		links_command(h, c);
	if (c->verb == HUB_HEAL || c->verb == HUB_CLEAR) {
		memset(h->partitioned, 0, sizeof(h->partitioned));
		memset(h->cut, 0, sizeof(h->cut));
	}
	if (c->verb != HUB_CLEAR)
		return;
	for (uint32_t from = 0; from < HUB_PORTS_MAX; from++) {
		for (uint32_t to = 0; to < HUB_PORTS_MAX; to++)
			memset(&h->links[from][to].faults, 0, sizeof(struct hub_faults));
	}
}
