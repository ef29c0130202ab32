/* SPDX-License-Identifier: Apache-2.0 */
/* See signals.h. Everything that the handler does is safe in a signal handler. */
#include "lcore/signals.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "usable in a signal handler");
static_assert(ATOMIC_INT_LOCK_FREE == 2, "usable in a signal handler");

static atomic_int received;
static atomic_bool *stop_flag;

/* SA_RESETHAND has put the default action of this signal back: a second one ends the process. */
static void
on_signal(int number)
{
	int none = 0;
	if (!atomic_compare_exchange_strong(&received, &none, number)) {
		/* The first was the other of the two. */
		raise(number);
		return;
	}
	if (stop_flag != NULL)
		atomic_store(stop_flag, true);
}

int
signals_open(atomic_bool *stop)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	/* In the handler the signal is not blocked, so that its default action acts at once. */
	action.sa_flags = (int)(SA_RESTART | SA_RESETHAND | SA_NODEFER);
	sigemptyset(&action.sa_mask);
	sigemptyset(&ignore.sa_mask);
	stop_flag = stop;
	if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0 ||
	    sigaction(SIGPIPE, &ignore, NULL) != 0)
		return -errno;
	return 0;
}

int
signals_received(void)
{
	return atomic_load_explicit(&received, memory_order_relaxed);
}
