/* SPDX-License-Identifier: Apache-2.0 */
/* See process_state.h. */
#include "lcore/process_state.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/text.h"

enum { PATH_SIZE = 4096, TEXT_SIZE = 64, FILE_MODE = 0644 };

static bool
refuse(char *error, const char *path, const char *what, const char *detail)
{
	snprintf(error, PROCESS_STATE_ERROR_SIZE, "%.300s: %s%s", path, what, detail);
	return false;
}

/* "LIFE CLUSTER\n", both decimal, and nothing else. */
static bool
parse(const char *text, size_t size, struct process_life *life)
{
	uint64_t number;
	uint64_t cluster;
	const char *blank = memchr(text, ' ', size);
	if (blank == NULL || text[size - 1] != '\n')
		return false;
	size_t digits = (size_t)(blank - text);
	if (text_parse_count((struct text){text, digits}, UINT32_MAX, &number) != 0 ||
	    text_parse_count((struct text){blank + 1, size - digits - 2}, UINT32_MAX, &cluster) !=
		0)
		return false;
	*life = (struct process_life){(uint32_t)number, (uint32_t)cluster};
	return true;
}

bool
process_state_look(const char *path, const struct process_life *life, bool *restarted, char *error)
{
	char text[TEXT_SIZE];
	struct process_life noted;
	*restarted = false;
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file < 0 && errno == ENOENT)
		return true;
	if (file < 0)
		return refuse(error, path, "cannot be read: ", strerror(errno));
	ssize_t size = read(file, text, sizeof(text));
	int number = errno;
	close(file);
	if (size < 0)
		return refuse(error, path, "cannot be read: ", strerror(number));
	if (size == 0 || !parse(text, (size_t)size, &noted)) {
		return refuse(error, path, "does not hold the number of a life: ",
		    "if this replica may have run, give the cluster a higher --life; then "
		    "remove the file");
	}
	/* Of other keys, or another cluster file: nothing that was said then counts here. */
	if (noted.cluster - noted.life != life->cluster - life->life)
		return true;
	if (noted.life > life->life) {
		snprintf(error, PROCESS_STATE_ERROR_SIZE,
		    "%.300s: this replica has run in life %u of the cluster, --life is %u: give "
		    "all nodes the cluster's present life",
		    path, noted.life, life->life);
		return false;
	}
	*restarted = noted.life == life->life;
	return true;
}

/* A file's name is safe once its folder is. */
static bool
folder_sync(const char *path)
{
	char copy[PATH_SIZE];
	snprintf(copy, sizeof(copy), "%s", path);
	int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return false;
	bool done = fsync(folder) == 0;
	close(folder);
	return done;
}

bool
process_state_note(const char *path, const struct process_life *life, char *error)
{
	char aside[PATH_SIZE];
	char text[TEXT_SIZE];
	static const char remedy[] = "a replica must note that it runs: ";
	if (snprintf(aside, sizeof(aside), "%s.new", path) >= (int)sizeof(aside))
		return refuse(error, path, remedy, strerror(ENAMETOOLONG));
	int size = snprintf(text, sizeof(text), "%u %u\n", life->life, life->cluster);
	int file = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (file < 0)
		return refuse(error, aside, remedy, strerror(errno));
	bool done = write(file, text, (size_t)size) == size && fsync(file) == 0;
	int number = errno;
	done &= close(file) == 0;
	if (!done || rename(aside, path) != 0 || !folder_sync(path)) {
		number = done ? errno : number;
		unlink(aside);
		return refuse(error, path, remedy, strerror(number));
	}
	return true;
}
