/* SPDX-License-Identifier: Apache-2.0 */
/* See sim_modes.h. */
#include "sim_modes.h"

#include <stdio.h>
#include <string.h>

#include "hotstuff_parts.h"
#include "lie_hotstuff.h"
#include "lie_zyzzyva.h"
#include "protocols/pbft/pbft.h"
#include "protocols/registry.h"
#include "protocols/zyzzyva/zyzzyva.h"
#include "quorum.h"

enum { MODES_MAX = 32, OPERATIONS_DEFAULT = 300, STEPS_DEFAULT = 3000000 };

#define TYPE(type) (1u << ((type)-MESSAGE_PROTOCOL))

/* The phases differ, the messages do not. */
#define HOTSTUFF(mode_)                                                                            \
	{                                                                                          \
		.mode = (mode_), .type_name = hotstuff_type_name, .types_end = HOTSTUFF_TYPES_END, \
		.leader_type = HOTSTUFF_PROPOSAL, .vote_type = HOTSTUFF_VOTE,                      \
		.timeout_type = HOTSTUFF_TIMEOUT, .checkpoint_type = BFT_CHECKPOINT,               \
		.view_votes = TYPE(HOTSTUFF_PROPOSAL) | TYPE(HOTSTUFF_VOTE), .rotates = true,      \
		.leader = hotstuff_leader, .reads = true, .instances = true,                       \
		.certificates = hotstuff_certificates, .lies = &hotstuff_lies,                     \
	}

static const struct sim_knowledge nothing;

static const struct sim_knowledge knowledge[] = {
    {
	.mode = "pbft",
	.type_name = pbft_type_name,
	.types_end = PBFT_TYPES_END,
	.leader_type = PBFT_PRE_PREPARE,
	.vote_type = PBFT_PREPARE,
	.checkpoint_type = BFT_CHECKPOINT,
	.leader = bft_primary,
	.slot_votes = TYPE(PBFT_PRE_PREPARE) | TYPE(PBFT_PREPARE) | TYPE(PBFT_COMMIT),
	.tentative = true,
	.reads = true,
	.watch_primary = true,
	.instances = true,
    },
    HOTSTUFF("hotstuff"),
    HOTSTUFF("hotstuff2"),
    {
	.mode = "zyzzyva",
	.type_name = zyzzyva_type_name,
	.types_end = ZYZZYVA_TYPES_END,
	.leader_type = ZYZZYVA_ORDER_REQ,
	.vote_type = ZYZZYVA_STATEMENT,
	.checkpoint_type = ZYZZYVA_STABLE,
	.leader = bft_primary,
	.slot_votes = TYPE(ZYZZYVA_ORDER_REQ) | TYPE(ZYZZYVA_STATEMENT) | TYPE(BFT_CHECKPOINT),
	.lies = &zyzzyva_lies,
    },
    {
	.mode = "quorum",
	.type_name = quorum_type_name,
    },
};

static const struct sim_knowledge *
knowledge_of(const struct protocol *protocol)
{
	for (size_t i = 0; i < sizeof(knowledge) / sizeof(knowledge[0]); i++) {
		if (strcmp(knowledge[i].mode, protocol->name) == 0)
			return &knowledge[i];
	}
	return &nothing;
}

/* The least replicas say what a protocol is made against: 3f + 1 survive liars. */
bool
sim_mode_at(uint32_t index, struct sim_protocol *protocol)
{
	const struct protocol *p = registry_at(index);
	*protocol = (struct sim_protocol){.protocol = p, .index = (uint8_t)index};
	if (p != NULL) {
		protocol->byzantine = p->replicas_per_fault >= 3;
		protocol->amnesia = protocol->byzantine;
		protocol->client_lies = true;
		protocol->known = knowledge_of(p);
		return true;
	}
	if (index > registry_count())
		return false;
	protocol->protocol = &quorum_protocol;
	protocol->amnesia = true;
	protocol->needed = 1; /* the one proposer */
	protocol->known = knowledge_of(&quorum_protocol);
	return true;
}

const struct options_program *
sim_program(void)
{
	static struct options_mode modes[MODES_MAX];
	static struct options_program program = {
	    .name = "oskr-sim",
	    .version = "0.1.0",
	    .summary = "Runs a replication protocol in virtual time, with faults, from a seed.",
	    .program = PROGRAM_CLUSTER, /* the options of the engine are the cluster's */
	    .modes = modes,
	};
	struct sim_protocol p;
	for (uint32_t i = 0; sim_mode_at(i, &p); i++) {
		check(i < MODES_MAX);
		modes[i] = (struct options_mode){
		    .name = p.protocol->name,
		    .alias = p.protocol->alias,
		    .replicas_per_fault = p.protocol->replicas_per_fault,
		    .replicas_base = p.protocol->replicas_base,
		    .replies_signed = (p.protocol->flags & PROTOCOL_REPLIES_SIGNED) != 0,
		    .speculative = (p.protocol->flags & PROTOCOL_SPECULATIVE) != 0,
		    .votes_signed = (p.protocol->flags & PROTOCOL_VOTES_SIGNED) != 0,
		};
		program.modes_count = i + 1;
	}
	return &program;
}

bool
sim_options(struct sim_config *config, int argc, char **argv, struct config_error *error)
{
	const struct options_program *program = sim_program();
	if (options_parse(&config->options, program, argc, argv, error) != OPTIONS_RUN ||
	    options_resolve(&config->options, program, error) != 0)
		return false;
	for (uint32_t i = 0; sim_mode_at(i, &config->protocol); i++) {
		if (strcmp(config->protocol.protocol->name, config->options.mode->name) == 0)
			break;
	}
	if (config->options.replicas > SIM_REPLICAS_MAX) {
		config_error_set(
		    error, 0, "oskr-sim: at most %d replicas; lower -n or -f", SIM_REPLICAS_MAX);
		return false;
	}
	if (config->options.pillars > SIM_PILLARS_MAX) {
		config_error_set(
		    error, 0, "oskr-sim: at most %d pillars; lower --pillars", SIM_PILLARS_MAX);
		return false;
	}
	if (config->options.clients > SIM_SLOTS_MAX) {
		config_error_set(error, 0, "oskr-sim: at most %d clients; lower -t", SIM_SLOTS_MAX);
		return false;
	}
	return true;
}

bool
sim_config_make(struct sim_config *config, const char *mode, uint32_t faults)
{
	struct config_error error;
	char number[16];
	char name[64];
	snprintf(number, sizeof(number), "%u", faults);
	snprintf(name, sizeof(name), "%s", mode);
	char *argv[] = {"oskr-sim", "-m", name, "-f", number, "-w", "ycsb-a", "--records", "100",
	    "--app-memory", "4", NULL};
	*config = (struct sim_config){
	    .seed = 1,
	    .preset = PRESET_ALL,
	    .workload = SIM_MIX,
	    .operations = OPERATIONS_DEFAULT,
	    .steps_max = STEPS_DEFAULT,
	    .drawn = true,
	};
	bool ok = sim_options(config, sizeof(argv) / sizeof(argv[0]) - 1, argv, &error);
	if (!ok)
		fprintf(stderr, "%s\n", error.text);
	config->options.given =
	    1ull << OPTION_FAULTS | 1ull << OPTION_REPLICAS | 1ull << OPTION_INSTANCES;
	return ok;
}
