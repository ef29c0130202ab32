/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sums behind the zipfian draw. zeta is summed over the first thousand
 * items and continued by the Euler-Maclaurin formula, exact to 14 digits, so
 * that a hundred million records cost no more at start than a thousand.
 */
#include "engine/zipf.h"

#include <assert.h>

#include "engine/check.h"

/* Items whose terms are added one by one: beyond, the formula's error is below 1e-14. */
enum { ZIPF_SUMMED = 1000 };

/* Above the hundredth root of 2^53, which is 1.444. */
#define ROOT_MAX 1.45

static double root_100(double x, double guess);
static double zeta_continued(double zeta, uint64_t from, uint64_t to);
static void set_eta(struct zipf *z);

void
zipf_init(struct zipf *z, uint64_t items_count)
{
	check(items_count >= 1 && items_count <= UINT64_C(1) << 53);
	uint64_t summed = items_count < ZIPF_SUMMED ? items_count : ZIPF_SUMMED;

	z->items_count = 1;
	z->root = 1.0;
	z->zeta = 1.0;
	z->root_2 = root_100(2.0, 1.0);
	z->zeta_2 = 1.0 + z->root_2 / 2.0;
	zipf_grow(z, summed);
	if (items_count > summed) {
		z->zeta = zeta_continued(z->zeta, summed, items_count);
		z->items_count = items_count;
		z->root = root_100((double)items_count, z->root);
		set_eta(z);
	}
}

void
zipf_grow(struct zipf *z, uint64_t items_count)
{
	check(items_count >= z->items_count);
	while (z->items_count < items_count) {
		double n = (double)++z->items_count;
		z->root = root_100(n, z->root);
		z->zeta += z->root / n; /* n^-0.99 = n^0.01 / n */
	}
	set_eta(z);
}

/* With one item or two, eta is not defined and the formula is not reached. */
static void
set_eta(struct zipf *z)
{
	z->eta = 0.0;
	if (z->items_count > 2)
		z->eta = (1.0 - z->root_2 / z->root) / (1.0 - z->zeta_2 / z->zeta);
}

/*
 * The hundredth root of x, 1 <= x <= 2^53, by Newton's method. From below, the
 * first step overshoots, even enormously: it is held at ROOT_MAX. From above,
 * steps shrink the root by at most 1 % each, and near it they converge fast.
 */
static double
root_100(double x, double guess)
{
	debug_check(x >= 1.0 && guess >= 1.0);
	double root = guess;
	for (int i = 0; i < 100; i++) {
		double step = root * (x / zipf_power(root) - 1.0) / 100.0;
		root = root + step < ROOT_MAX ? root + step : ROOT_MAX;
		if (step < 1e-15 && step > -1e-15)
			break;
	}
	debug_check(root >= 1.0 && root < ROOT_MAX);
	return root;
}

/*
 * zeta(to) from zeta(from): the sum of f(i) = i^-theta over from < i <= to is
 * the integral + (f(to) - f(from)) / 2 + (f'(to) - f'(from)) / 12, plus terms
 * of the third derivative, which are below 1e-14 for from >= 1000.
 */
static double
zeta_continued(double zeta, uint64_t from, uint64_t to)
{
	double a = (double)from, b = (double)to;
	double root_a = root_100(a, 1.0), root_b = root_100(b, 1.0);
	double f_a = root_a / a, f_b = root_b / b;

	static_assert(ZIPF_SUMMED >= 1000, "the rest term");
	zeta += (root_b - root_a) / (1.0 - ZIPF_THETA);
	zeta += (f_b - f_a) / 2.0;
	zeta += ZIPF_THETA * (f_a / a - f_b / b) / 12.0;
	return zeta;
}
