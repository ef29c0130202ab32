/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In fuzzers the linker puts these in the place of calloc, free, mmap (mmap64) and
 * munmap (--wrap): a node takes the same large blocks anew for each input, and
 * to map, fault in and unmap them costs ten times what the input does. A large
 * block that is given back is kept for who asks for one of its size next. While
 * it is kept it is poisoned, and its borders stay the sanitizer's, so nothing
 * that it would have seen is hidden. One thread.
 */
#include <sanitizer/asan_interface.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum {
	KEPT_MAX = 64,
	KEPT_SIZE_MIN = 16 << 10, /* smaller ones are quick, and are the allocator's */
	KEPT_SIZE_MAX = 4 << 20,
};

struct kept {
	uint8_t *at;
	size_t size;
	bool out; /* in use */
	bool mapped;
};

static struct kept kept[KEPT_MAX];
static uint32_t kept_count;
/* Where they begin: most that is freed lies elsewhere, and is seen to at a glance. */
static uintptr_t lowest = UINTPTR_MAX;
static uintptr_t highest;

void *__real_calloc(size_t count, size_t size);
void __real_free(void *at);
void *__real_mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset);
int __real_munmap(void *at, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *at);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset);
int __wrap_munmap(void *at, size_t size);

static bool
worth_keeping(size_t size)
{
	return size >= KEPT_SIZE_MIN && size <= KEPT_SIZE_MAX;
}

/* One that was given back, zeroed; or NULL. */
static uint8_t *
kept_take(size_t size, bool mapped)
{
	for (uint32_t i = 0; i < kept_count; i++) {
		struct kept *k = &kept[i];
		if (k->out || k->size != size || k->mapped != mapped)
			continue;
		ASAN_UNPOISON_MEMORY_REGION(k->at, size);
		memset(k->at, 0, size);
		k->out = true;
		return k->at;
	}
	return NULL;
}

static void
kept_add(uint8_t *at, size_t size, bool mapped)
{
	if (kept_count == KEPT_MAX)
		return;
	kept[kept_count++] = (struct kept){at, size, true, mapped};
	lowest = (uintptr_t)at < lowest ? (uintptr_t)at : lowest;
	highest = (uintptr_t)at > highest ? (uintptr_t)at : highest;
}

/* True: it is ours, and kept from now on. */
static bool
kept_return(const void *at, bool mapped)
{
	if ((uintptr_t)at < lowest || (uintptr_t)at > highest)
		return false;
	for (uint32_t i = 0; i < kept_count; i++) {
		struct kept *k = &kept[i];
		if (k->at != at || !k->out || k->mapped != mapped)
			continue;
		ASAN_POISON_MEMORY_REGION(k->at, k->size);
		k->out = false;
		return true;
	}
	return false;
}

void *
__wrap_calloc(size_t count, size_t size)
{
	size_t bytes = count * size;
	bool keep = size != 0 && bytes / size == count && worth_keeping(bytes);
	uint8_t *at = keep ? kept_take(bytes, false) : NULL;
	if (at != NULL)
		return at;
	at = __real_calloc(count, size);
	if (keep && at != NULL)
		kept_add(at, bytes, false);
	return at;
}

void
__wrap_free(void *at)
{
	if (!kept_return(at, false))
		__real_free(at);
}

void *
__wrap_mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
	bool keep = at == NULL && protection == (PROT_READ | PROT_WRITE) && file == -1 &&
		    worth_keeping(size);
	uint8_t *old = keep ? kept_take(size, true) : NULL;
	if (old != NULL)
		return old;
	void *new = __real_mmap64(at, size, protection, flags, file, offset);
	if (keep && new != MAP_FAILED)
		kept_add(new, size, true);
	return new;
}

int
__wrap_munmap(void *at, size_t size)
{
	return kept_return(at, true) ? 0 : __real_munmap(at, size);
}
