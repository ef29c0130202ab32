/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zyzzyva (Kotla, Alvisi, Dahlin, Clement, Wong, SOSP'07 and TOCS'09), with the
 * view change made safe (Abraham, Gueta, Malkhi, Alvisi, Kotla, Martin,
 * arXiv:1712.01367 and 1801.10022). n > 3f replicas, q = floor((n+f)/2) + 1.
 *
 *     client    primary    replicas
 *        REQUEST ->
 *            ORDER-REQ ->                 h of seq - 1 and the batch; executed at once
 *        <----- REPLY (SPEC-RESPONSE)     (view, seq, h, result): all n the same -> done
 *
 *     where q say the same, and the others nothing:
 *        ASK --------------->             for (view, seq, h)
 *        <------------- STATED            with the STATEMENT's signature
 *        COMMIT ------------>             q STATEMENTs: a commit certificate (CC)
 *        <------- LOCAL-COMMIT            q of them -> done
 *
 *     and with its next operations (commit.c):
 *                STATEMENT ->             the primary's, of all up to its seq
 *                 <- STATEMENT ->         q: a CC at each replica
 *        <------- LOCAL-COMMIT            q of them -> done
 *
 *     soon after:       STATEMENT ->      the primary's signature, of all up to its seq
 *     a gap:            FILL-HOLE ->      answered with ORDER-REQs, passed on
 *     on a resend:      <-  VOUCH  ->     for a CC of what the client asks about
 *                       <- WITNESS ->     what the primary signed of it
 *     two that differ:  <-   POM   ->     proof of misbehaviour: a new view at once
 *     every K:          <- STATEMENT ->   a CC at each replica, which then votes:
 *                       <- CHECKPOINT ->  signed: state and history; stable at q
 *     on a timer:       <-  HATE   ->     "I hate the primary"; f + 1: leave the view
 *                       <- VIEW-CHANGE -> signed: CC, history since the stable checkpoint
 *                     NEW-VIEW ->         signed: which VIEW-CHANGEs
 *                       <- STATEMENT ->   (VIEW-CONFIRM) q for the top of the new history:
 *                                         the new view's first CC, and its beginning
 *     now and then:     <- STATUS ->      answered by STABLE, CERTIFICATE and the above
 *                       <- FETCH, BODY -> an ORDER-REQ's body by its digest
 *
 * History by construction: the body of ORDER-REQ(v, s) is h of s - 1 and then the
 * batch, so its digest is h of s = H(h of s - 1, batch). It has the proof that
 * replicas' messages have: MACs, unless --auth says otherwise. All structures are
 * little-endian and multiples of 8 bytes, without padding.
 */
#ifndef OSKR_PROTOCOLS_ZYZZYVA_H
#define OSKR_PROTOCOLS_ZYZZYVA_H

#include "protocols/bft/bft.h"

enum zyzzyva_type {
	ZYZZYVA_ORDER_REQ = BFT_TYPES_END, /* body: h of seq - 1, batch */
	ZYZZYVA_STATEMENT,		   /* no body; digest: h of seq, in this view. Signed */
	ZYZZYVA_ASK,	      /* client -> replicas; seq: its timestamp; body: ask_body */
	ZYZZYVA_STATED,	      /* replica -> client; seq: its timestamp; body: stated_body */
	ZYZZYVA_COMMIT,	      /* client -> replicas; seq: its timestamp; body: a certificate */
	ZYZZYVA_LOCAL_COMMIT, /* replica -> client; no body; digest: h. seq: its timestamp */
	ZYZZYVA_FILL_HOLE,    /* no body: ORDER-REQs of this view from seq on are missing */
	ZYZZYVA_VOUCH,	      /* no body: the STATEMENT of (view, seq) is wanted, or a CC of it */
	ZYZZYVA_WITNESS,      /* body: signed_copy, of the primary's */
	ZYZZYVA_POM,	      /* body: two of signed_copy that contradict each other */
	ZYZZYVA_HATE,	      /* no body: the primary of this view is hated */
	ZYZZYVA_VIEW_CHANGE,  /* see decide.h. Signed */
	ZYZZYVA_NEW_VIEW,     /* body: new_view_head, then a digest a member. Signed */
	ZYZZYVA_STABLE,	      /* body: a stable checkpoint's certificate; no proof else */
	ZYZZYVA_CERTIFICATE,  /* body: a commit certificate; no proof else */
	ZYZZYVA_STATUS,	      /* body: status_body */
	ZYZZYVA_FETCH,	      /* no body; digest: of the wanted ORDER-REQ's body, at seq */
	ZYZZYVA_BODY,	      /* body: as in its ORDER-REQ; no proof: its digest was asked for */
	ZYZZYVA_TYPES_END,
};

/* What a REPLY's body has before the result; both zero in one that is final. */
struct reply_head {
	uint64_t seq;
	uint8_t history32[32];
};
static_assert(sizeof(struct reply_head) == 40, "no padding");

/* Who ASKs in haste is sent LOCAL-COMMITs of so many of its next operations, too. */
enum { ZYZZYVA_PROMISE = 64 };

/* header.view of ASK: the view << 2 | flags: a statement although that is certified, ... */
enum { ZYZZYVA_ASK_AGAIN = 1, ZYZZYVA_ASK_HASTY = 2, ZYZZYVA_ASK_SHIFT = 2 };

struct ask_body {
	uint64_t seq;
	uint8_t history32[32];
};
static_assert(sizeof(struct ask_body) == 40, "no padding");

/* The STATEMENT's header follows from it, from header.sender and header.view. */
struct stated_body {
	uint64_t seq;
	uint8_t history32[32];
	uint8_t signature64[SIGNATURE_SIZE];
};
static_assert(sizeof(struct stated_body) == 104, "no padding");

/*
 * A signed message without its body. The primary's word for h of (view, seq) is a
 * STATEMENT, or an ORDER-REQ where replicas sign all that they say: its digest is h.
 */
struct signed_copy {
	struct message_header header;
	uint8_t signature64[SIGNATURE_SIZE];
};
static_assert(sizeof(struct signed_copy) == 128, "no padding");

struct new_view_head {
	uint64_t members; /* whose VIEW-CHANGEs it stands on, mask */
};

/* Body of STATUS: where its sender stands. header.view is its view. */
struct status_body {
	uint64_t stable;
	uint64_t top;	   /* its history reaches so far */
	uint64_t executed; /* perhaps speculatively */
	uint64_t active;   /* 1: in the view of the header; 0: changing to it */
	uint64_t changes;  /* VIEW-CHANGEs for that view that it holds, mask */
	uint64_t nonce;	   /* of its recovery; 0: it is not recovering */
	uint64_t echo;	   /* the nonce of the replica that this answers */
	uint64_t recovery; /* it is silent until this is stable; 0: not, or not known yet */
};
static_assert(sizeof(struct status_body) == 64, "no padding");

extern const struct machine zyzzyva_replica;
extern const struct machine zyzzyva_client;

/* The name of a type, for traces; NULL for one that is none of Zyzzyva's. */
const char *zyzzyva_type_name(uint8_t type);

#endif
