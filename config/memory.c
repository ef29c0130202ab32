/* SPDX-License-Identifier: Apache-2.0 */
/* Adds up what will be taken, and shows it. Start only, main lcore. */
#include "config/memory.h"

#include "engine/check.h"

#include <inttypes.h>

static uint64_t
term_size(const struct memory_term *term)
{
	uint64_t size;
	return __builtin_mul_overflow(term->count, term->size_each, &size) ? UINT64_MAX : size;
}

void
memory_plan_add(struct memory_plan *plan, struct memory_term term)
{
	check(plan->terms_count < LIMIT_MEMORY_TERMS);
	check(term.name != NULL);
	check(term.reason != NULL);
	plan->terms[plan->terms_count++] = term;
}

uint64_t
memory_plan_total(const struct memory_plan *plan)
{
	check(plan->terms_count <= LIMIT_MEMORY_TERMS);
	uint64_t total = 0;
	for (uint32_t i = 0; i < plan->terms_count; i++) {
		if (__builtin_add_overflow(total, term_size(&plan->terms[i]), &total))
			return UINT64_MAX;
	}
	return total;
}

/* "1.5 MiB": a size with one decimal in the largest unit that keeps it at 1 or more. */
struct memory_text {
	char text[24];
};

static struct memory_text
format_size(uint64_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	struct memory_text result;
	double value = (double)size;
	size_t unit = 0;
	for (; value >= 1024.0 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024.0;
	snprintf(result.text, sizeof(result.text), unit == 0 ? "%.0f %s" : "%.1f %s", value,
	    units[unit]);
	return result;
}

void
memory_plan_print(const struct memory_plan *plan, FILE *file)
{
	check(plan->terms_count <= LIMIT_MEMORY_TERMS);
	fprintf(file, "%-24s %10s %12s %12s  %s\n", "memory", "count", "each", "total", "reason");
	for (uint32_t i = 0; i < plan->terms_count; i++) {
		const struct memory_term *term = &plan->terms[i];
		fprintf(file, "%-24s %10" PRIu64 " %12s %12s  %s\n", term->name, term->count,
		    format_size(term->size_each).text, format_size(term_size(term)).text,
		    term->reason);
	}
	fprintf(file, "%-24s %10s %12s %12s\n", "sum", "", "",
	    format_size(memory_plan_total(plan)).text);
}
