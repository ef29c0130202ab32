/* SPDX-License-Identifier: Apache-2.0 */
/* See hub_port.h. */
#include "lcore/hub_port.h"

#include <errno.h>
#include <rte_ethdev.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

/* What failed, as one line. Returns `result`. */
static int
fail(struct config_error *error, uint16_t id, const char *what, int result)
{
	char name[RTE_ETH_NAME_MAX_LEN] = "?";
	rte_eth_dev_get_name_by_port(id, name);
	config_error_set(error, 0, "port %s: %s: %s", name, what, strerror(-result));
	return result;
}

static int
device_start(struct hub_port *p, struct rte_mempool *pool, struct config_error *error)
{
	struct rte_eth_conf conf;
	struct rte_eth_dev_info info;
	uint16_t rx_size = HUB_DESCRIPTORS;
	uint16_t tx_size = HUB_DESCRIPTORS;
	memset(&conf, 0, sizeof(conf));
	int result = rte_eth_dev_info_get(p->id, &info);
	if (result != 0)
		return fail(error, p->id, "says nothing of itself", result);
	/* Frames that came in parts leave in parts. */
	conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	result = rte_eth_dev_configure(p->id, 1, 1, &conf);
	if (result != 0)
		return fail(error, p->id, "cannot be configured", result);
	result = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rx_size, &tx_size);
	if (result == 0)
		result = rte_eth_rx_queue_setup(
		    p->id, 0, rx_size, (unsigned int)SOCKET_ID_ANY, NULL, pool);
	if (result == 0)
		result =
		    rte_eth_tx_queue_setup(p->id, 0, tx_size, (unsigned int)SOCKET_ID_ANY, NULL);
	if (result != 0)
		return fail(error, p->id, "gives no queue", result);
	result = rte_eth_dev_start(p->id);
	if (result != 0)
		return fail(error, p->id, "does not start", result);
	p->started = true;
	return 0;
}

int
hub_port_open(struct hub_port *p, uint16_t id, struct rte_mempool *pool, uint32_t waiting_max,
    uint32_t mtu, struct config_error *error)
{
	check(waiting_max > 0 && (waiting_max & (waiting_max - 1)) == 0);
	memset(p, 0, sizeof(*p));
	p->id = id;
	p->waiting_max = waiting_max;
	p->waiting = calloc(waiting_max, sizeof(struct rte_mbuf *));
	if (p->waiting == NULL)
		return fail(error, id, "no memory for its queue", -ENOMEM);
	int result = device_start(p, pool, error);
	if (result != 0)
		return result;
	/* A device that knows of neither passes all frames (memif, ring). */
	result = rte_eth_promiscuous_enable(id);
	if (result != 0 && result != -ENOTSUP)
		return fail(error, id, "cannot hear all frames", result);
	result = mtu > RTE_ETHER_MTU ? rte_eth_dev_set_mtu(id, (uint16_t)mtu) : 0;
	if (result != 0 && result != -ENOTSUP)
		return fail(error, id, "does not take this --mtu", result);
	return 0;
}

void
hub_port_close(struct hub_port *p)
{
	for (; p->waiting_count > 0; p->waiting_count--)
		rte_pktmbuf_free(p->waiting[p->first++ & (p->waiting_max - 1)]);
	if (p->started) {
		rte_eth_dev_stop(p->id);
		rte_eth_dev_close(p->id);
	}
	p->started = false;
	free(p->waiting);
	p->waiting = NULL;
}

/* A device that cannot say whether it has a link is always up. */
static bool
link_is_up(uint16_t id)
{
	struct rte_eth_link link;
	return rte_eth_link_get_nowait(id, &link) != 0 || link.link_status == RTE_ETH_LINK_UP;
}

void
hub_port_look(struct hub_port *p, uint64_t now_ns)
{
	if (now_ns < p->next_look_ns)
		return;
	p->next_look_ns = now_ns + HUB_LINK_LOOK_NS;
	bool up = link_is_up(p->id);
	p->stats.ups += up && !p->up;
	p->up = up;
	if (up)
		return;
	p->stats.drop_down += p->waiting_count;
	for (; p->waiting_count > 0; p->waiting_count--)
		rte_pktmbuf_free(p->waiting[p->first++ & (p->waiting_max - 1)]);
}

uint32_t
hub_port_receive(struct hub_port *p, struct rte_mbuf **frames)
{
	uint32_t count = rte_eth_rx_burst(p->id, 0, frames, HUB_BURST);
	p->stats.rx_frames += count;
	return count;
}

void
hub_port_push(struct hub_port *p, struct rte_mbuf *frame)
{
	bool full = p->waiting_count == p->waiting_max;
	if (!p->up || full) {
		p->stats.drop_down += !p->up;
		p->stats.drop_full += p->up && full;
		rte_pktmbuf_free(frame);
		return;
	}
	p->waiting[(p->first + p->waiting_count++) & (p->waiting_max - 1)] = frame;
}

uint32_t
hub_port_send(struct hub_port *p)
{
	uint32_t sent = 0;
	while (p->waiting_count > 0) {
		uint32_t at = p->first & (p->waiting_max - 1);
		uint32_t count = p->waiting_max - at; /* up to the ring's end */
		count = count < p->waiting_count ? count : p->waiting_count;
		count = count < HUB_BURST ? count : HUB_BURST;
		uint32_t took = rte_eth_tx_burst(p->id, 0, &p->waiting[at], (uint16_t)count);
		check(took <= count);
		p->first += took;
		p->waiting_count -= took;
		sent += took;
		if (took < count)
			break;
	}
	p->stats.tx_frames += sent;
	return sent;
}
