/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile host: as many malformed frames as a socket takes, to one node.
 *
 *     flood INTERFACE OWN_MAC MAC IP PORT SECONDS [CLUSTER PROTOCOL]
 *
 * They pass Ethernet, IPv4 and UDP and are wrong behind that, or are wrong before it:
 * noise, headers of other versions and clusters, sizes that lie, messages that are cut,
 * and forgeries of a right form. With the cluster's number and the protocol's, which
 * anyone can read from the wire, half of them are right in all but their proofs: HELLOs,
 * requests and the protocol's messages, each of which costs a check of a MAC or of a
 * signature if anything does, and words that a port leads astray. Prints how many frames
 * the kernel took. Same frames each time. Needs root.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/enrol.h"

enum {
	FRAMES = 256, /* different ones */
	HEADERS = sizeof(struct ether_header) + sizeof(struct iphdr) + sizeof(struct udphdr),
	SIZE_MAX_FRAME = 1400,
	BURST = 64,
};

struct target {
	uint8_t from[ETH_ALEN];
	uint8_t to[ETH_ALEN];
	struct in_addr ip;
	uint16_t port;
	bool known; /* its cluster and protocol are */
	uint32_t cluster;
	uint8_t protocol;
};

static uint8_t frames[FRAMES][SIZE_MAX_FRAME];
static struct iovec parts[FRAMES];

static uint64_t
noise(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* A message behind the headers: bytes, or a header that is nearly right. */
static void
message_write(uint8_t *at, uint32_t size, uint64_t *state)
{
	for (uint32_t i = 0; i < size; i++)
		at[i] = (uint8_t)noise(state);
	if (size < sizeof(struct message_header) || noise(state) % 4 == 0)
		return;
	struct message_header h;
	memcpy(&h, at, sizeof(h));
	h.version = noise(state) % 8 == 0 ? h.version : MESSAGE_VERSION;
	h.size = noise(state) % 4 == 0 ? h.size : size;
	h.type = (uint8_t)(noise(state) % 32);
	h.proof = (uint8_t)(noise(state) % 8);
	h.sender = (uint16_t)(noise(state) % 8);
	h.instance = 0;
	memcpy(at, &h, sizeof(h));
}

/* Right in form, by somebody who has no key; returns its size. */
static uint32_t
forgery_write(uint8_t *at, const struct target *to, uint64_t *state)
{
	static const uint8_t types[] = {MESSAGE_HELLO, MESSAGE_REQUEST, MESSAGE_ASTRAY,
	    MESSAGE_PROTOCOL, MESSAGE_PROTOCOL + 1, MESSAGE_PROTOCOL + 2, MESSAGE_PROTOCOL + 3};
	static const uint8_t proofs[] = {PROOF_MAC, PROOF_VECTOR, PROOF_SIGNATURE};
	uint8_t type = types[noise(state) % sizeof(types)];
	bool own = type == MESSAGE_HELLO || type == MESSAGE_ASTRAY;
	uint32_t size = 64 * (2 + (uint32_t)(noise(state) % 4));
	if (type == MESSAGE_HELLO)
		size = ENROL_MESSAGE_SIZE;
	for (uint32_t i = 0; i < size; i++)
		at[i] = (uint8_t)noise(state);
	struct message_header h = {
	    .size = size,
	    .cluster = to->cluster,
	    .sender = (uint16_t)(noise(state) % 4),
	    .protocol = own ? ENROL_PROTOCOL : to->protocol,
	    .type = type,
	    .proof = type == MESSAGE_HELLO ? PROOF_MAC : proofs[noise(state) % sizeof(proofs)],
	    .version = MESSAGE_VERSION,
	    .seq = 1 + noise(state) % 4,
	};
	memcpy(at, &h, sizeof(h));
	return size;
}

/* Kernels on the way look at it (RFC 791). */
static uint16_t
checksum(const struct iphdr *ip)
{
	uint16_t words[sizeof(*ip) / 2];
	uint32_t sum = 0;
	memcpy(words, ip, sizeof(words));
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static uint32_t
frame_write(uint8_t *at, const struct target *to, uint64_t *state)
{
	bool forged = to->known && noise(state) % 2 == 0;
	uint32_t size = (uint32_t)(noise(state) % (noise(state) % 4 == 0 ? 1300 : 200));
	if (forged)
		size = forgery_write(at + HEADERS, to, state);
	struct ether_header ether = {.ether_type = htons(ETHERTYPE_IP)};
	struct iphdr ip = {
	    .version = 4,
	    .ihl = 5,
	    .ttl = 64,
	    .protocol = IPPROTO_UDP,
	    .tot_len = htons((uint16_t)(sizeof(ip) + sizeof(struct udphdr) + size)),
	    .saddr = htonl(0x0a000001),
	    .daddr = to->ip.s_addr,
	};
	struct udphdr udp = {
	    .source = htons((uint16_t)noise(state)),
	    .dest = htons(to->port),
	    .len = htons((uint16_t)(sizeof(udp) + size)),
	};
	switch (forged ? 16 : noise(state) % 16) {
	case 0:
		ip.tot_len = htons((uint16_t)noise(state));
		break;
	case 1:
		udp.len = htons((uint16_t)noise(state));
		break;
	case 2:
		ip.ihl = (uint8_t)(noise(state) & 15);
		break;
	default:
		break;
	}
	ip.check = checksum(&ip);
	memcpy(ether.ether_dhost, to->to, ETH_ALEN);
	memcpy(ether.ether_shost, to->from, ETH_ALEN);
	memcpy(at, &ether, sizeof(ether));
	memcpy(at + sizeof(ether), &ip, sizeof(ip));
	memcpy(at + sizeof(ether) + sizeof(ip), &udp, sizeof(udp));
	if (!forged)
		message_write(at + HEADERS, size, state);
	return HEADERS + size;
}

static bool
mac_read(const char *text, uint8_t *mac)
{
	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5]) == ETH_ALEN;
}

static double
now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Sends until the time is over; returns how many were taken, or -1. */
static int64_t
pour(int link, double seconds)
{
	struct mmsghdr burst[BURST];
	int64_t taken = 0;
	uint32_t next = 0;
	double end_s = now_s() + seconds;
	memset(burst, 0, sizeof(burst));
	while (now_s() < end_s) {
		for (uint32_t i = 0; i < BURST; i++) {
			burst[i].msg_hdr.msg_iov = &parts[next++ % FRAMES];
			burst[i].msg_hdr.msg_iovlen = 1;
		}
		int sent = sendmmsg(link, burst, BURST, 0);
		if (sent > 0)
			taken += sent;
		else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			return -1;
	}
	return taken;
}

int
main(int argc, char **argv)
{
	struct target to = {.known = argc == 9};
	uint64_t state = 1;
	if ((argc != 7 && argc != 9) || !mac_read(argv[2], to.from) || !mac_read(argv[3], to.to) ||
	    inet_aton(argv[4], &to.ip) == 0) {
		fprintf(stderr, "usage: flood INTERFACE OWN_MAC MAC IP PORT SECONDS "
				"[CLUSTER PROTOCOL]\n");
		return 2;
	}
	to.port = (uint16_t)strtoul(argv[5], NULL, 10);
	if (to.known) {
		to.cluster = (uint32_t)strtoul(argv[7], NULL, 10);
		to.protocol = (uint8_t)strtoul(argv[8], NULL, 10);
	}
	struct sockaddr_ll where = {
	    .sll_family = AF_PACKET,
	    .sll_protocol = 0,
	    .sll_ifindex = (int)if_nametoindex(argv[1]),
	};
	for (uint32_t i = 0; i < FRAMES; i++)
		parts[i] = (struct iovec){frames[i], frame_write(frames[i], &to, &state)};
	int link = socket(AF_PACKET, SOCK_RAW, 0);
	if (link < 0 || bind(link, (struct sockaddr *)&where, sizeof(where)) != 0) {
		perror("flood");
		return 1;
	}
	int64_t taken = pour(link, strtod(argv[6], NULL));
	if (taken < 0)
		perror("flood");
	printf("%ld\n", (long)taken);
	close(link);
	return taken < 0;
}
