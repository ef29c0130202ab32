/* SPDX-License-Identifier: Apache-2.0 */
/* See device.h. */
#include "lcore/device.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_pause.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "lcore/buffer.h"
#include "lcore/device_flow.h"
#include "lcore/frame.h"
#include "lcore/steer.h"

enum {
	RX_DESCRIPTORS = 1024,
	TX_DESCRIPTORS = 1024,
	BURST_BUFFERS = 1024, /* an lcore's, on their way through the node or to it (steer.h) */
	POOL_NAME_SIZE = 32,
	ETHERNET_SIZE = 14,
	/* af_packet asks for a buffer of its ring's frame whatever the MTU is. */
	DATA_SIZE_MIN = 2048,
	NOTES_SIZE = 320,
};

/* What the driver can do, and what is left for us. */
struct abilities {
	bool rss;
	bool flow; /* a rule leads what is ours to the first queue */
	bool checksum;
	bool group;	  /* takes frames to groups when asked to */
	bool promiscuous; /* takes all frames: we look at addresses */
	bool mtu_known;	  /* can be told of a larger MTU */
};

struct device_queue_end {
	struct device *device;
	uint16_t queue;
	struct device_counters counters;
} __rte_cache_aligned;

struct device {
	uint16_t port;
	uint16_t queues_count;
	bool started;
	bool configured;
	bool groups; /* frames to group addresses are wanted, not only to all */
	struct rte_ether_addr mac;
	struct abilities can;
	struct rte_mempool *pool; /* what the driver receives into */
	uint64_t down_ns;	  /* when the link was seen to be down, or tried again */
	uint64_t next_look_ns;
	int log_type;
	struct device_status status;
	char driver[32];
	char name[RTE_ETH_NAME_MAX_LEN];
	char text[DEVICE_TEXT_SIZE];
	struct device_queue_end ends[LIMIT_QUEUES];
};

static bool refuse(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool
refuse(char *error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error, DEVICE_ERROR_SIZE, format, arguments);
	va_end(arguments);
	return false;
}

/* ---- Bursts ----------------------------------------------------------------- */

static inline bool
address_fits(const struct device *d, const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	return rte_is_same_ether_addr(&ether->dst_addr, &d->mac) ||
	       ((ether->dst_addr.addr_bytes[0] & 1) != 0 &&
		   (d->groups || rte_is_broadcast_ether_addr(&ether->dst_addr)));
}

/* IPv4 headers without options are all that frame.h takes: others need no sum. */
static inline bool
checksum_fits(const struct device *d, const struct rte_mbuf *m)
{
	struct rte_ipv4_hdr ip;
	const uint8_t *at = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t type;
	memcpy(&type, at + offsetof(struct rte_ether_hdr, ether_type), sizeof(type));
	if (type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) || m->data_len < FRAME_HEADERS_SIZE)
		return true;
	if (d->can.checksum)
		return (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) != RTE_MBUF_F_RX_IP_CKSUM_BAD;
	memcpy(&ip, at + ETHERNET_SIZE, sizeof(ip));
	return ip.version_ihl != RTE_IPV4_VHL_DEF || rte_raw_cksum(&ip, sizeof(ip)) == 0xffff;
}

/* Whether the frame goes on; it is whole then. */
static inline bool
frame_admit(struct device_queue_end *end, struct rte_mbuf *m)
{
	const struct device *d = end->device;
	struct device_counters *count = &end->counters;
	if (__builtin_expect(m->nb_segs != 1, 0)) {
		if (rte_pktmbuf_linearize(m) != 0) {
			count->rx_pieces++;
			return false;
		}
		count->rx_joined++;
	}
	if (m->data_len < ETHERNET_SIZE)
		return true; /* the endpoint counts it as short */
	if (!address_fits(d, m)) {
		count->rx_other++;
		return false;
	}
	if (!checksum_fits(d, m)) {
		count->rx_checksum++;
		return false;
	}
	return true;
}

static uint32_t
device_rx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	struct device_queue_end *end = self;
	uint16_t got = rte_eth_rx_burst(end->device->port, end->queue, frames, (uint16_t)count);
	uint32_t kept = 0;
	for (uint32_t i = 0; i < got; i++) {
		if (frame_admit(end, frames[i]))
			frames[kept++] = frames[i];
		else
			rte_pktmbuf_free(frames[i]);
	}
	end->counters.rx_frames += got;
	return kept;
}

static void
device_tx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	struct device_queue_end *end = self;
	uint32_t sent = 0;
	for (uint32_t tries = 0; tries < DEVICE_TX_TRIES && sent < count; tries++) {
		uint16_t left = (uint16_t)(count - sent);
		uint16_t took =
		    rte_eth_tx_burst(end->device->port, end->queue, frames + sent, left);
		sent += took;
		if (took == 0)
			rte_pause();
	}
	end->counters.tx_frames += sent;
	if (__builtin_expect(sent < count, 0)) {
		end->counters.tx_full += count - sent;
		rte_pktmbuf_free_bulk(frames + sent, count - sent);
	}
}

struct port_queue
device_queue(struct device *d, uint32_t queue)
{
	check(queue < d->queues_count);
	return (struct port_queue){
	    .self = &d->ends[queue],
	    .rx_burst = device_rx,
	    .tx_burst = device_tx,
	};
}

/* ---- Opening ------------------------------------------------------------------ */

/* The names of all ports, for people. */
static void
ports_write(char *text, size_t size)
{
	size_t at = 0;
	text[0] = '\0';
	for (uint16_t port = 0; port < RTE_MAX_ETHPORTS; port++) {
		char name[RTE_ETH_NAME_MAX_LEN];
		if (rte_eth_dev_is_valid_port(port) &&
		    rte_eth_dev_get_name_by_port(port, name) == 0 && at < size)
			at += (size_t)snprintf(
			    text + at, size - at, "%s%s", at > 0 ? ", " : "", name);
	}
}

static bool
port_find(struct device *d, const char *wanted, char *error)
{
	char names[160];
	uint32_t count = rte_eth_dev_count_avail();
	ports_write(names, sizeof(names));
	if (count == 0) {
		return refuse(error, "there is no DPDK port: name a device before --, as "
				     "--vdev=net_af_packet0,iface=eth1 or -a PCI-ADDRESS");
	}
	if (wanted == NULL) {
		d->port = (uint16_t)rte_eth_find_next(0);
		if (count == 1)
			return true;
		return refuse(
		    error, "there are %u DPDK ports: say which with --port: %s", count, names);
	}
	char *end;
	unsigned long number = strtoul(wanted, &end, 10);
	if (wanted[0] != '\0' && *end == '\0' && number < RTE_MAX_ETHPORTS &&
	    rte_eth_dev_is_valid_port((uint16_t)number)) {
		d->port = (uint16_t)number;
		return true;
	}
	if (rte_eth_dev_get_port_by_name(wanted, &d->port) == 0)
		return true;
	return refuse(error, "--port %.64s: no such DPDK port; there is %s", wanted, names);
}

static bool
mac_check(struct device *d, const struct device_config *config, char *error)
{
	char own[RTE_ETHER_ADDR_FMT_SIZE];
	char wanted[RTE_ETHER_ADDR_FMT_SIZE];
	if (rte_eth_macaddr_get(d->port, &d->mac) != 0)
		return refuse(error, "port %s does not tell its MAC", d->name);
	if (config->mac == NULL || rte_is_same_ether_addr(&d->mac, config->mac))
		return true;
	rte_ether_format_addr(own, sizeof(own), &d->mac);
	rte_ether_format_addr(wanted, sizeof(wanted), config->mac);
	return refuse(error,
	    "port %s has the MAC %s, the cluster file says %s: correct the file, or the port's "
	    "address (ip link set DEVICE address, or mac= of --vdev)",
	    d->name, own, wanted);
}

/* RSS as senders reckon it (steer.h). */
static bool
rss_possible(const struct rte_eth_dev_info *info)
{
	return (info->flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV4_UDP) != 0 &&
	       info->reta_size >= STEER_TABLE_MIN && info->reta_size <= STEER_TABLE_MAX &&
	       info->hash_key_size == STEER_KEY_SIZE;
}

static void
rss_table_set(struct device *d, uint16_t table_size)
{
	struct rte_eth_rss_reta_entry64 table[STEER_TABLE_MAX / RTE_ETH_RETA_GROUP_SIZE] = {0};
	for (uint16_t i = 0; i < table_size; i++) {
		struct rte_eth_rss_reta_entry64 *group = &table[i / RTE_ETH_RETA_GROUP_SIZE];
		group->mask |= 1ull << (i % RTE_ETH_RETA_GROUP_SIZE);
		group->reta[i % RTE_ETH_RETA_GROUP_SIZE] = steer_table_queue(i, d->queues_count);
	}
	/* What the device does otherwise is corrected by hand-over: only speed is lost. */
	d->can.rss = rte_eth_dev_rss_reta_update(d->port, table, table_size) == 0;
}

/* Drivers of shared memory pass frames of any size, and say 1500 all the same. */
static bool
mtu_is_free(const struct device *d)
{
	return strcmp(d->driver, "net_memif") == 0 || strcmp(d->driver, "net_ring") == 0 ||
	       strcmp(d->driver, "net_null") == 0;
}

/*
 * A memif port has any number, but what counts is how many its peer has, which nobody knows
 * before they are connected: more than one only where that was asked for.
 */
static uint16_t
queues_choose(
    const struct device *d, const struct rte_eth_dev_info *info, const struct device_config *config)
{
	bool enough = config->queues_count <= info->max_rx_queues &&
		      config->queues_count <= info->max_tx_queues &&
		      strcmp(d->driver, "net_memif") != 0;
	return enough || !config->or_one ? (uint16_t)config->queues_count : 1;
}

static bool
configure(struct device *d, const struct rte_eth_dev_info *info, const struct device_config *config,
    char *error)
{
	struct rte_eth_conf conf = {0};
	uint16_t queues = queues_choose(d, info, config);
	d->can.checksum = (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0;
	if (d->can.checksum)
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
	if (queues > 1 && rss_possible(info)) {
		d->can.rss = true;
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){
		    .rss_key = (uint8_t *)(uintptr_t)steer_key40,
		    .rss_key_len = STEER_KEY_SIZE,
		    .rss_hf = RTE_ETH_RSS_NONFRAG_IPV4_UDP,
		};
	}
	if (config->mtu > RTE_ETHER_MTU && !mtu_is_free(d))
		conf.rxmode.mtu = config->mtu;
	if (queues > info->max_rx_queues || queues > info->max_tx_queues) {
		return refuse(error, "port %s has %u queues: give --queues %u, or the device more",
		    d->name, RTE_MIN(info->max_rx_queues, info->max_tx_queues),
		    RTE_MIN(info->max_rx_queues, info->max_tx_queues));
	}
	if (conf.rxmode.mtu > info->max_mtu) {
		return refuse(error, "port %s carries an MTU of %u at most, --mtu is %u", d->name,
		    info->max_mtu, config->mtu);
	}
	int result = rte_eth_dev_configure(d->port, queues, queues, &conf);
	if (result != 0) {
		return refuse(error,
		    "port %s (%s) cannot be set up with %u queues and an MTU of "
		    "%u: %s",
		    d->name, d->driver, queues, config->mtu, rte_strerror(-result));
	}
	d->configured = true;
	d->queues_count = queues;
	return true;
}

static uint32_t
data_size(uint32_t mtu)
{
	return RTE_MAX((uint32_t)DATA_SIZE_MIN, mtu + ETHERNET_SIZE + 2 * RTE_VLAN_HLEN);
}

static uint32_t
buffers_count(uint32_t queues_count, uint32_t ends_count)
{
	uint32_t ends = RTE_MAX(queues_count, ends_count);
	return queues_count * RX_DESCRIPTORS + ends * (BURST_BUFFERS + BUFFER_CACHE_COUNT * 3 / 2) -
	       1;
}

uint32_t
device_memory_mib(uint32_t queues_count, uint32_t ends_count, uint32_t mtu)
{
	uint64_t each = sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM + data_size(mtu) + 64;
	return (uint32_t)(buffers_count(queues_count, ends_count) * each >> 20) + 1;
}

uint32_t
device_queues_count(const struct device *d)
{
	return d->queues_count;
}

static bool
queues_open(struct device *d, const struct device_config *config, char *error)
{
	char name[POOL_NAME_SIZE];
	uint16_t rx_count = RX_DESCRIPTORS;
	uint16_t tx_count = TX_DESCRIPTORS;
	int socket = rte_eth_dev_socket_id(d->port);
	snprintf(name, sizeof(name), "device_%u", d->port);
	uint32_t ends = config->ends_count;
	bool shared = strcmp(d->driver, "net_af_xdp") == 0;
	uint32_t count = buffers_count(d->queues_count, ends);
	d->pool = shared ? buffer_pool_create_dense(name, count, data_size(config->mtu))
			 : buffer_pool_create_device(name, count, data_size(config->mtu));
	if (d->pool == NULL) {
		uint32_t mib = device_memory_mib(d->queues_count, ends, config->mtu);
		return refuse(error,
		    "EAL has too little memory: port %s needs %u MiB for buffers; "
		    "give EAL more with -m",
		    d->name, mib);
	}
	int result = rte_eth_dev_adjust_nb_rx_tx_desc(d->port, &rx_count, &tx_count);
	for (uint16_t i = 0; i < d->queues_count && result == 0; i++) {
		result = rte_eth_rx_queue_setup(
		    d->port, i, rx_count, (unsigned int)socket, NULL, d->pool);
		if (result == 0)
			result = rte_eth_tx_queue_setup(
			    d->port, i, tx_count, (unsigned int)socket, NULL);
	}
	if (result == 0)
		return true;
	return refuse(error, "port %s (%s) cannot open its queues: %s", d->name, d->driver,
	    rte_strerror(-result));
}

static bool
start(struct device *d, const struct rte_eth_dev_info *info, const struct device_config *config,
    char *error)
{
	if (config->mtu < RTE_ETHER_MTU && !mtu_is_free(d)) {
		/* Not to send less than it takes in: any MTU of the device's will do. */
		(void)rte_eth_dev_set_mtu(d->port, RTE_ETHER_MTU);
	}
	int result = rte_eth_dev_start(d->port);
	if (result != 0) {
		/* A memif client's only cause, which it tells as EPERM: nobody is at the socket. */
		if (strcmp(d->driver, "net_memif") == 0)
			return refuse(error,
			    "port %s (net_memif) finds nobody at its socket: start "
			    "oskr-switch, or who else serves it, before",
			    d->name);
		return refuse(error, "port %s (%s) does not start: %s", d->name, d->driver,
		    rte_strerror(-result));
	}
	d->started = true;
	d->can.group = !config->group || rte_eth_allmulticast_enable(d->port) == 0;
	if (d->can.rss)
		rss_table_set(d, info->reta_size);
	else if (d->queues_count > 1 && config->first_queue_udp != 0)
		d->can.flow = device_flow_set(d->port, config->first_queue_udp, 0);
	return true;
}

static void
text_write(struct device *d, const struct device_config *config)
{
	char mac[RTE_ETHER_ADDR_FMT_SIZE];
	char left[NOTES_SIZE];
	rte_ether_format_addr(mac, sizeof(mac), &d->mac);
	snprintf(left, sizeof(left), "%s%s%s%s", "addresses",
	    d->can.checksum ? "" : ", header checksums",
	    d->queues_count == 1 || d->can.rss || d->can.flow ? "" : ", hand-over between queues",
	    d->can.group ? "" : ", groups as the device likes");
	snprintf(d->text, sizeof(d->text), "port %s: %s, %s, MTU %u, %u queue%s%s; in software: %s",
	    d->name, d->driver, mac, config->mtu, d->queues_count, d->queues_count == 1 ? "" : "s",
	    d->can.rss ? " by RSS" : (d->can.flow ? " by a flow rule" : ""), left);
}

static bool
open_port(struct device *d, const struct device_config *config, char *error)
{
	struct rte_eth_dev_info info;
	if (!port_find(d, config->port, error))
		return false;
	rte_eth_dev_get_name_by_port(d->port, d->name);
	int result = rte_eth_dev_info_get(d->port, &info);
	if (result != 0)
		return refuse(
		    error, "port %s tells nothing of itself: %s", d->name, rte_strerror(-result));
	snprintf(d->driver, sizeof(d->driver), "%s", info.driver_name);
	if (!mac_check(d, config, error) || !configure(d, &info, config, error) ||
	    !queues_open(d, config, error) || !start(d, &info, config, error))
		return false;
	text_write(d, config);
	return true;
}

struct device *
device_open(const struct device_config *config, char *error)
{
	check(config->queues_count >= 1 && config->queues_count <= LIMIT_QUEUES);
	struct device *d = rte_zmalloc("device", sizeof(*d), RTE_CACHE_LINE_SIZE);
	if (d == NULL) {
		refuse(error, "EAL has too little memory: give it more with -m");
		return NULL;
	}
	d->groups = config->group;
	d->log_type = rte_log_register_type_and_pick_level("oskr.device", RTE_LOG_NOTICE);
	for (uint16_t i = 0; i < LIMIT_QUEUES; i++) {
		d->ends[i].device = d;
		d->ends[i].queue = i;
	}
	if (open_port(d, config, error))
		return d;
	device_close(d);
	return NULL;
}

void
device_close(struct device *d)
{
	if (d == NULL)
		return;
	if (d->started)
		(void)rte_eth_dev_stop(d->port);
	if (d->configured)
		(void)rte_eth_dev_close(d->port);
	buffer_pool_free(d->pool);
	rte_free(d);
}

/* ---- What it tells -------------------------------------------------------------- */

const char *
device_text(const struct device *d)
{
	return d->text;
}

struct rte_ether_addr
device_mac(const struct device *d)
{
	return d->mac;
}

const char *
device_name(const struct device *d)
{
	return d->name;
}

bool
device_spreads(const struct device *d)
{
	return d->can.rss;
}

static void
word_set(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

/*
 * net_memif tries to connect when it is started, and then no more: who came before the
 * switch, or outlived it, would wait for ever. With more queues other lcores poll the port,
 * and it cannot be stopped here.
 */
static void
connect_again(struct device *d, uint64_t now_ns)
{
	if (now_ns - d->down_ns < DEVICE_CONNECT_NS || d->queues_count > 1 ||
	    strcmp(d->driver, "net_memif") != 0)
		return;
	d->down_ns = now_ns;
	word_set(&d->status.connects, d->status.connects + 1);
	if (rte_eth_dev_stop(d->port) == 0)
		(void)rte_eth_dev_start(d->port);
}

static void
link_follow(struct device *d, uint64_t now_ns)
{
	struct rte_eth_link link;
	if (rte_eth_link_get_nowait(d->port, &link) != 0)
		return;
	bool up = link.link_status == RTE_ETH_LINK_UP;
	if (up || d->down_ns == 0)
		d->down_ns = now_ns;
	else
		connect_again(d, now_ns);
	if (up == d->status.link_up)
		return;
	d->status.link_up = up;
	word_set(&d->status.link_changes, d->status.link_changes + 1);
	if (d->log_type >= 0)
		rte_log(RTE_LOG_NOTICE, (uint32_t)d->log_type, "oskr: port %s: link %s\n", d->name,
		    up ? "up" : "down");
}

uint32_t
device_look(void *self, uint64_t now_ns)
{
	struct device *d = self;
	struct rte_eth_stats stats;
	if (now_ns < d->next_look_ns)
		return 0;
	d->next_look_ns = now_ns + DEVICE_LOOK_NS;
	link_follow(d, now_ns);
	if (rte_eth_stats_get(d->port, &stats) != 0)
		return 0;
	word_set(&d->status.missed, stats.imissed);
	word_set(&d->status.no_buffer, stats.rx_nombuf);
	word_set(&d->status.rx_errors, stats.ierrors);
	word_set(&d->status.tx_errors, stats.oerrors);
	return 0;
}

const struct device_counters *
device_queue_counters(const struct device *d, uint32_t queue)
{
	check(queue < d->queues_count);
	return &d->ends[queue].counters;
}

const struct device_status *
device_status(const struct device *d)
{
	return &d->status;
}

uint32_t
device_buffers_missing(const struct device *d)
{
	return d->pool->size - rte_mempool_avail_count(d->pool);
}
