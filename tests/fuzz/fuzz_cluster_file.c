/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the cluster file. The first byte is the protocol's need, the rest
 * the text, in memory of exactly its size. A refusal is one printable line with
 * nothing left in the result; what is accepted keeps the rules, and written out
 * in full it reads back the same.
 */
#include <errno.h>
#include <stdio.h>

#include "config/cluster_file.h"
#include "fuzz.h"

enum { TEXT_SIZE_MAX = LIMIT_CLUSTER_FILE_SIZE };

static const struct cluster_need needs[4] = {{3, 1}, {2, 1}, {0, 1}, {5, 1}};

static void
refusal_check(const struct cluster_file *file, const struct config_error *error)
{
	static const struct cluster_file empty;
	size_t size = strnlen(error->text, sizeof(error->text));
	check(size > 0 && size < sizeof(error->text));
	for (size_t i = 0; i < size; i++)
		check(error->text[i] >= ' ' && error->text[i] <= '~');
	check(memcmp(file, &empty, sizeof(empty)) == 0);
}

static int
address_write(char *at, const char *word, const struct cluster_address *a)
{
	return sprintf(at, "%s %02x:%02x:%02x:%02x:%02x:%02x%%%u ip %u.%u.%u.%u port %u\n", word,
	    a->mac[0], a->mac[1], a->mac[2], a->mac[3], a->mac[4], a->mac[5], a->id, a->ip >> 24,
	    a->ip >> 16 & 255, a->ip >> 8 & 255, a->ip & 255, a->port);
}

static void
round_trip(const struct cluster_file *file, struct cluster_need need)
{
	static char text[TEXT_SIZE_MAX];
	struct cluster_file again;
	struct config_error error;
	const struct cluster_address *m = &file->multicast;
	int size = sprintf(text, "f %u\ninstances %u\n", file->f, file->instances);
	for (uint32_t i = 0; i < file->replicas_count; i++)
		size += address_write(text + size, "replica", &file->replicas[i]);
	/* Its IP address follows from the MAC and is not written. */
	if (file->has_multicast)
		size += sprintf(text + size, "multicast %02x:%02x:%02x:%02x:%02x:%02x%%%u\n",
		    m->mac[0], m->mac[1], m->mac[2], m->mac[3], m->mac[4], m->mac[5], m->id);
	check(cluster_file_parse(&again, "again", text, (size_t)size, need, &error) == 0);
	again.multicast.port = m->port;
	check(memcmp(&again, file, sizeof(again)) == 0);
}

static void
rules_check(const struct cluster_file *file, struct cluster_need need)
{
	uint32_t n = file->replicas_count;
	check(n <= LIMIT_REPLICAS && n >= need.replicas_per_fault * file->f + need.replicas_base);
	check(file->instances >= 1 && file->instances <= LIMIT_INSTANCES);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t j = 0; j < i; j++)
			check(memcmp(file->replicas[i].mac, file->replicas[j].mac, 6) != 0 ||
			      file->replicas[i].id != file->replicas[j].id);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_reader in = {bytes, size};
	struct cluster_need need = needs[fuzz_take(&in, 1) & 3];
	char *text = (char *)fuzz_copy(in.bytes, in.size);
	struct cluster_file file;
	struct config_error error;
	memset(&file, 0x55, sizeof(file));
	memset(&error, 0x55, sizeof(error));
	int status = cluster_file_parse(&file, "cluster", text, in.size, need, &error);
	free(text);
	check(status == 0 || status == -EINVAL);
	if (status != 0) {
		refusal_check(&file, &error);
		return 0;
	}
	rules_check(&file, need);
	round_trip(&file, need);
	return 0;
}
