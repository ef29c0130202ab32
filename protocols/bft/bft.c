/* SPDX-License-Identifier: Apache-2.0 */
/* See bft.h. */
#include "protocols/bft/bft.h"

#include "protocols/bft/mutant.h"

#ifdef BFT_MUTANTS
unsigned bft_mutant;
#endif

const char *
bft_type_name(uint8_t type)
{
	static const char *const names[BFT_TYPES_END - MESSAGE_PROTOCOL] = {
	    "READ", "REPLY-DIGEST", "MUST-SIGN", "COMPLAINT", "CHECKPOINT"};
	return type >= MESSAGE_PROTOCOL && type < BFT_TYPES_END ? names[type - MESSAGE_PROTOCOL]
								: NULL;
}
