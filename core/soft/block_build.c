/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From code in guest memory to a block: as many instructions as stand on one page, up to one that ends a block.
 */
#include <string.h>

#include "core/soft/block_impl.h"
#include "core/soft/decode.h"

/* The host page holds code from now on: direct writes to it end, in every vCPU's TLB. */
static struct code_page *page_take(struct soft_cpu *c, const uint8_t *host)
{
	bool fresh;
	struct code_page *p = block_cache_page(c->blocks, host, &fresh);

	if (p && fresh)
		soft_tlb_forget_writes(c->m, p->host);
	return p;
}

static struct uop end_uop(uint64_t rip, unsigned off)
{
	return (struct uop){.fn = op_end, .imm = rip, .off = (uint8_t)off};
}

static bool decode(const struct soft_cpu *c, uint64_t rip, const uint8_t *code, unsigned n, struct uop *u)
{
	return decoder_decode(c->decoder, c->code_bits, rip, code, n, u);
}

/* Would it be an instruction but for its length? That is so if it is one without the prefixes that are there more than
 * once or have no say in its length; what follows the 15 bytes may be anything. */
static bool too_long(struct soft_cpu *c, uint64_t at, const uint8_t *code, unsigned n)
{
	uint8_t brief[32] = {0};
	unsigned from = 0, to = 0;
	struct uop u;

	for (; from < n && memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", code[from], 11); from++)
		if ((code[from] == 0x66 || code[from] == 0x67) && !memchr(brief, code[from], to))
			brief[to++] = code[from];
	if (from >= 14)
		return true;
	memcpy(brief + to, code + from, n - from);
	return decode(c, at, brief, 15, &u) && u.len + from - to > 15;
}

/* An instruction that is none, or longer than 15 bytes: #UD, #GP. */
static void bad_code(struct soft_cpu *c, uint64_t at, const uint8_t *code, unsigned n, struct uop *u)
{
	*u = (struct uop){.op = OP_ud, .len = 1, .last = true, .cond = n == 15 && too_long(c, at, code, n)};
}

/* Could what stands at the page's end be the beginning of an instruction? What is none whatever follows is #UD, and the
 * page behind is not looked at. */
static bool may_go_on(struct soft_cpu *c, uint64_t at, const uint8_t *code, unsigned have)
{
	struct uop u;
	uint8_t tried[16];

	for (unsigned fill = 0; fill < 256; fill += 8) {
		memcpy(tried, code, have);
		memset(tried + have, (int)fill, sizeof(tried) - have);
		if (decode(c, at, tried, 15, &u))
			return true;
	}
	return false;
}

/* Decode from rip. 0 with a fetch fault raised and no instruction; else how many. */
static unsigned decode_run(struct soft_cpu *c, uint64_t rip, struct uop *uop, const uint8_t **first, unsigned *bytes)
{
	unsigned n = 0, off = 0;

	while (n < BLOCK_MAX_UOPS && off < BLOCK_MAX_BYTES) {
		uint64_t at = block_wrap_rip(c, rip + off), gpa;
		uint64_t lin = c->code_bits == 64 ? at : (uint32_t)(c->seg_base[SEG_CS] + at);
		uint8_t code[16], *host;
		unsigned have;

		if (n && ((lin & PAGE_OFFSET_MASK) < off || (c->any_plants && soft_planted(c, lin))))
			break;
		if (n && (lin & PAGE_OFFSET_MASK) > PAGE_SIZE_4K - 16)
			break; /* what may reach over the page's end gets a block of its own: a fault is its own then */
		if (soft_fetch(c, lin, code, &have, &host, &gpa))
			return n;
		if (!n)
			*first = host;
		if (!decode(c, at, code, have, &uop[n])) {
			if (have < 15 && may_go_on(c, at, code, have) && soft_fetch_more(c, lin, code, &have))
				return n; /* the page behind is missing: its fault is the instruction's */
			if (!decode(c, at, code, have, &uop[n]))
				bad_code(c, at, code, have, &uop[n]);
		}
		uop[n].fn = exec_handler((enum soft_op)uop[n].op);
		uop[n].off = (uint8_t)off;
		off += uop[n].len;
		if (uop[n++].last)
			break;
	}
	*bytes = off;
	return n;
}

struct block *block_build(struct soft_cpu *c)
{
	struct uop uop[BLOCK_MAX_UOPS + 1];
	const uint8_t *host = NULL;
	unsigned bytes = 0, n;

	if (c->blocks->n_blocks >= BLOCKS_MAX)
		block_cache_flush(c->blocks);
	n = decode_run(c, c->rip, uop, &host, &bytes);
	if (!n)
		return NULL;
	c->event = EVENT_NONE; /* a fetch fault further on belongs to a later instruction */
	uop[n] = end_uop(block_wrap_rip(c, c->rip + bytes), bytes);
	struct block *k = malloc(sizeof(*k) + (n + 1) * sizeof(*uop));
	struct code_page *p = page_take(c, host);
	if (!k || !p) {
		free(k);
		soft_out_of_memory(c);
		return NULL;
	}
	*k = (struct block){.host = host, .rip = c->rip, .n = (uint16_t)n, .bytes = (uint16_t)bytes, .bits = c->code_bits};
	memcpy(k->uop, uop, (n + 1) * sizeof(*uop));
	for (unsigned i = 0; i < n; i++)
		k->uop[i].done = (uint8_t)(i + 1);
	k->uop[n].done = (uint8_t)n;
	block_cache_add(c->blocks, p, k);
	return k;
}
