/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rule in the device (rte_flow) by which what comes to one UDP port lands in one
 * queue: for devices with several queues that do not spread as senders reckon
 * (steer.h). Which device takes which rule is found out by asking. At start only,
 * main lcore, on a port that has been started; the rule goes with the port.
 */
#ifndef OSKR_LCORE_DEVICE_FLOW_H
#define OSKR_LCORE_DEVICE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

/* False: the device takes no such rule, and frames land where it likes. */
bool device_flow_set(uint16_t port, uint16_t udp_port, uint16_t queue);

#endif
