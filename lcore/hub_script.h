/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people tell the switch: commands, and scripts of commands with times.
 *
 *	at 3 partition r0 r1 | r2 r3	# frames pass inside a group only
 *	at 5s heal			# ends the partition and all cuts
 *	at 6.5 cut r0 -> r2		# one direction; r0 <-> r2: both; r0 -> *: to all
 *	at 7 mend r0 -> r2
 *	at 8 loss 10% client -> *	# or 0.1
 *	at 8 delay 1ms 200us		# 1 ms, and up to 200 us more by chance; order is kept
 *	at 9 reorder 5% 2ms		# of 20 frames one comes 2 ms late
 *	at 9 duplicate 1%
 *	at 9 corrupt 1%			# one bit of the frame is inverted
 *	at 12 clear			# no faults any more
 *
 * Without a link a command is for all links. loss, delay, reorder, duplicate and corrupt
 * replace what the link had of the same; 0 ends it. Without "at" a line holds from the
 * start. Pure; any bytes may come.
 */
#ifndef OSKR_LCORE_HUB_SCRIPT_H
#define OSKR_LCORE_HUB_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "lcore/hub.h"

enum {
	HUB_NAME_SIZE = 20,   /* bytes of a port's name, with its end: two fit a counter's name */
	HUB_EVENTS_MAX = 256, /* lines of a script that say something */
	HUB_SCRIPT_SIZE_MAX = 64 * 1024,
	HUB_LINE_SIZE_MAX = 4096, /* a partition that names all ports */
	HUB_TIME_S_MAX = 7 * 24 * 3600,
	HUB_DELAY_S_MAX = 60,
};

/* The ports' names, in their order. */
struct hub_names {
	uint32_t count;
	char list[HUB_PORTS_MAX][HUB_NAME_SIZE];
};

struct hub_event {
	uint64_t at_ns; /* after the script's start */
	struct hub_command command;
};

/* Ordered by time; of the same time, in the file's order. */
struct hub_script {
	uint32_t count;
	struct hub_event events[HUB_EVENTS_MAX];
};

/*
 * Names from a list with commas, "r0,r1,client": letters and digits, all different. Returns 0, or
 * -EINVAL with one line in `error`.
 */
int hub_names_parse(struct hub_names *names, const char *list, struct config_error *error);

/* One command without "at". Returns 0, or -EINVAL with "NAME: what; the fix" in `error`. */
int hub_command_parse(struct hub_command *command, const struct hub_names *names, const char *name,
    const char *text, size_t size, struct config_error *error);

/*
 * A script. `name` stands for the file in messages. Returns 0, or -EINVAL with
 * "NAME:LINE: what; the fix" in `error`, *script being empty then.
 */
int hub_script_parse(struct hub_script *script, const struct hub_names *names, const char *name,
    const char *text, size_t size, struct config_error *error);

/* Reads a file of at most HUB_SCRIPT_SIZE_MAX bytes and parses it. Returns 0 or a negative errno.
 */
int hub_script_load(struct hub_script *script, const struct hub_names *names, const char *path,
    struct config_error *error);

#endif
