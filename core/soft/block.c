/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The cache of decoded blocks and the loop that runs them. A block is a straight run of instructions on one page, known by
 * where it stands in host memory, by its rip (branch targets are worked out at decoding) and by its width.
 *
 * When a page with code is written, each of its instructions is turned into one that only says "look again", so that even a
 * block that overwrites itself goes on with the new bytes at the next instruction. TLB entries of such pages never allow
 * direct writes, so no write is missed.
 */
#include "core/soft/exec.h"

#define BLOCK_SLOTS 8192
#define BLOCK_MAX_UOPS 48
#define BLOCK_MAX_BYTES 240
#define BLOCKS_MAX 32768
#define PAGE_BUCKETS 4096

struct block {
	const uint8_t *host; /* of its first byte */
	uint64_t rip;
	struct block *page_next; /* blocks of the same host page */
	uint16_t n;		 /* instructions */
	uint16_t bytes;
	uint8_t bits;
	bool dead;
	struct uop uop[]; /* n of them, and the end */
};

struct code_page {
	const uint8_t *host;
	struct block *blocks;
	struct code_page *next;
};

struct block_cache {
	struct block *slot[BLOCK_SLOTS];
	struct code_page *page[PAGE_BUCKETS];
	struct block *graveyard; /* dead ones that may still be running */
	unsigned n_blocks;
};

struct block_cache *block_cache_create(void)
{
	return calloc(1, sizeof(struct block_cache));
}

static unsigned slot_of(uint64_t rip, unsigned bits)
{
	return (unsigned)((rip ^ rip >> 13 ^ bits) & (BLOCK_SLOTS - 1));
}

static const uint8_t *page_start(const uint8_t *host)
{
	return (const uint8_t *)((uintptr_t)host & ~(uintptr_t)PAGE_OFFSET_MASK);
}

static struct code_page **page_bucket(const struct block_cache *b, const uint8_t *page)
{
	return (struct code_page **)&b->page[((uintptr_t)page >> PAGE_SHIFT) & (PAGE_BUCKETS - 1)];
}

static struct code_page *page_find(const struct block_cache *b, const uint8_t *page)
{
	struct code_page *p = *page_bucket(b, page);

	while (p && p->host != page)
		p = p->next;
	return p;
}

bool block_page_has_code(const struct block_cache *b, const uint8_t *host_page)
{
	return page_find(b, host_page) != NULL;
}

static const struct uop *op_look_again(struct soft_cpu *c, const struct uop *u)
{
	c->rip = uop_rip(c, u);
	c->looked_again = true;
	return NULL;
}

static void bury(struct block_cache *b, struct block *k)
{
	struct block **at = &b->slot[slot_of(k->rip, k->bits)];

	if (*at == k)
		*at = NULL;
	for (unsigned i = 0; i <= k->n; i++) {
		k->uop[i].fn = op_look_again;
		k->uop[i].done = (uint8_t)i;
	}
	k->dead = true;
	k->page_next = b->graveyard;
	b->graveyard = k;
	b->n_blocks--;
}

static void free_graveyard(struct block_cache *b)
{
	for (struct block *k = b->graveyard, *next; k; k = next) {
		next = k->page_next;
		free(k);
	}
	b->graveyard = NULL;
}

static void page_drop(struct block_cache *b, struct code_page *p)
{
	struct code_page **at = page_bucket(b, p->host);

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	for (struct block *k = p->blocks, *next; k; k = next) {
		next = k->page_next;
		bury(b, k);
	}
	free(p);
}

void block_cache_written(struct block_cache *b, const uint8_t *host_page)
{
	struct code_page *p = page_find(b, page_start(host_page));

	if (p)
		page_drop(b, p);
}

/* A translation has gone that the rest of the block may have been fetched by: step by step it would be fetched anew. */
void block_cut(struct soft_cpu *c)
{
	struct block *k = c->running, **at;

	if (!k || k->dead)
		return;
	at = &page_find(c->blocks, page_start(k->host))->blocks;
	while (*at != k)
		at = &(*at)->page_next;
	*at = k->page_next;
	bury(c->blocks, k);
}

void block_cache_flush(struct block_cache *b)
{
	for (unsigned i = 0; i < PAGE_BUCKETS; i++)
		while (b->page[i])
			page_drop(b, b->page[i]);
}

void block_cache_destroy(struct block_cache *b)
{
	if (!b)
		return;
	block_cache_flush(b);
	free_graveyard(b);
	free(b);
}

/* ---- building */

static void tlb_forget_writes(struct soft_cpu *c, const uint8_t *page)
{
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < SOFT_TLB_SIZE; i++)
			if (c->tlb_of[k][i].host == page)
				c->tlb_of[k][i].write = ~0ull;
}

/* The host page holds code from now on: direct writes to it end, in every vCPU's TLB. */
static struct code_page *page_take(struct soft_cpu *c, const uint8_t *host)
{
	const uint8_t *page = page_start(host);
	struct code_page *p = page_find(c->blocks, page), **bucket = page_bucket(c->blocks, page);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->host = page;
	p->next = *bucket;
	*bucket = p;
	soft_each_cpu(c->m, tlb_forget_writes, page);
	return p;
}

static struct uop end_uop(uint64_t rip, unsigned off)
{
	return (struct uop){.fn = op_end, .imm = rip, .off = (uint8_t)off};
}

static uint64_t wrap_rip(const struct soft_cpu *c, uint64_t rip)
{
	return c->code_bits == 64 ? rip : c->code_bits == 32 ? (uint32_t)rip : (uint16_t)rip;
}

/* Would it be an instruction but for its length? That is so where it is one without the prefixes that are there more than
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
	return soft_decode(c, at, brief, 15, &u) && u.len + from - to > 15;
}

/* An instruction that is none, or longer than 15 bytes: #UD, #GP. */
static void bad_code(struct soft_cpu *c, uint64_t at, const uint8_t *code, unsigned n, struct uop *u)
{
	*u = (struct uop){.fn = op_ud, .len = 1, .last = true, .cond = n == 15 && too_long(c, at, code, n)};
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
		if (soft_decode(c, at, tried, 15, &u))
			return true;
	}
	return false;
}

/* Decode from rip. 0 with a fetch fault raised and no instruction; else how many. */
static unsigned decode_run(struct soft_cpu *c, uint64_t rip, struct uop *uop, const uint8_t **first, unsigned *bytes)
{
	unsigned n = 0, off = 0;

	while (n < BLOCK_MAX_UOPS && off < BLOCK_MAX_BYTES) {
		uint64_t at = wrap_rip(c, rip + off), gpa;
		uint64_t lin = c->code_bits == 64 ? at : (uint32_t)(c->seg_base[SEG_CS] + at);
		uint8_t code[16], *host;
		unsigned have;

		if (n && ((lin & PAGE_OFFSET_MASK) < off || (c->any_plants && soft_planted(c, lin))))
			break;
		if (n && (lin & PAGE_OFFSET_MASK) > PAGE_SIZE_4K - 16)
			break; /* what may reach over the page's end gets a block of its own, where a fault belongs to it */
		if (soft_fetch(c, lin, code, &have, &host, &gpa))
			return n;
		if (!n)
			*first = host;
		if (!soft_decode(c, at, code, have, &uop[n])) {
			if (have < 15 && may_go_on(c, at, code, have) && soft_fetch_more(c, lin, code, &have))
				return n; /* the page behind is missing: its fault is the instruction's */
			if (!soft_decode(c, at, code, have, &uop[n]))
				bad_code(c, at, code, have, &uop[n]);
		}
		uop[n].off = (uint8_t)off;
		off += uop[n].len;
		if (uop[n++].last)
			break;
	}
	*bytes = off;
	return n;
}

static struct block *build(struct soft_cpu *c)
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
	uop[n] = end_uop(wrap_rip(c, c->rip + bytes), bytes);
	struct block *k = malloc(sizeof(*k) + (n + 1) * sizeof(*uop));
	struct code_page *p = page_take(c, host);
	if (!k || !p) {
		free(k);
		soft_out_of_memory(c);
		return NULL;
	}
	*k = (struct block){.host = host,
			    .rip = c->rip,
			    .n = (uint16_t)n,
			    .bytes = (uint16_t)bytes,
			    .bits = c->code_bits,
			    .page_next = p->blocks};
	memcpy(k->uop, uop, (n + 1) * sizeof(*uop));
	for (unsigned i = 0; i < n; i++)
		k->uop[i].done = (uint8_t)(i + 1);
	k->uop[n].done = (uint8_t)n;
	p->blocks = k;
	c->blocks->n_blocks++;
	c->blocks->slot[slot_of(k->rip, k->bits)] = k;
	return k;
}

/* ---- running */

/* The block at rip: from its slot where the page is in the TLB and the block was made from the same bytes. Blocks that reach
 * over the page's end are not reused: what follows the page may have changed. */
static inline struct block *find(struct soft_cpu *c)
{
	uint64_t lin = c->code_bits == 64 ? c->rip : (uint32_t)(c->seg_base[SEG_CS] + c->rip);
	const struct soft_tlb_entry *t = &c->tlb[lin >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1)];
	struct block *k = c->blocks->slot[slot_of(c->rip, c->code_bits)];

	if (likely(k && t->fetch == (lin & ~PAGE_OFFSET_MASK) && k->rip == c->rip && k->bits == c->code_bits &&
		   k->host == t->host + (lin & PAGE_OFFSET_MASK) && (lin & PAGE_OFFSET_MASK) + k->bytes <= PAGE_SIZE_4K))
		return k;
	return build(c);
}

/* After the handler of `last` has ended the block. */
static void account(struct soft_cpu *c, const struct uop *last)
{
	uint64_t done = last->done;

	if (c->event == EVENT_EXCEPTION || c->event == EVENT_STOP || c->event == EVENT_RESTART) {
		c->rip = uop_rip(c, last);
		if (c->event == EVENT_EXCEPTION && c->not_canonical && last->seg == SEG_SS)
			c->vector = 12;
		done -= last->fn != op_end && last->fn != op_look_again;
	} else if (last->fn == op_look_again && !c->looked_again) {
		done++; /* it ended the block and buried it as well */
	}
	if (c->stop_soon)
		c->by = uop_rip(c, c->looked_again && last->done ? last - 1 : last);
	c->looked_again = false;
	c->icount += done;
	c->budget -= done < c->budget ? done : c->budget;
}

/* Whole blocks, one after the other. A block that jumps to its own start is run again without being looked up, as long as
 * nothing was flushed meanwhile and no breakpoint stands at it: that is what tight loops do. */
static void run_blocks(struct soft_cpu *c, struct block *k)
{
	const struct uop *u, *last;
	uint32_t flushes = c->flushes;
	bool again =
	    !c->any_plants || !soft_planted(c, c->code_bits == 64 ? c->rip : (uint32_t)(c->seg_base[SEG_CS] + c->rip));

	c->running = k;
	do {
		u = k->uop;
		do {
			last = u;
			u = u->fn(c, u);
		} while (likely(u != NULL));
		account(c, last);
	} while (again && c->rip == c->block_rip && c->event == EVENT_NONE && c->budget >= k->n && !k->dead &&
		 c->flushes == flushes && !c->stop_soon && !(c->eflags & (RFLAGS_TF | RFLAGS_RF)));
	c->running = NULL;
}

static void run_one(struct soft_cpu *c, const struct block *k)
{
	const struct uop *u = k->uop, *next = u->fn(c, u);

	c->by = uop_rip(c, u);
	if (next) {
		c->rip = wrap_rip(c, uop_rip(c, next));
		c->icount++;
		c->budget--;
	} else {
		account(c, u);
	}
}

/* The #DB of the trap flag and of data and port breakpoints comes behind the instruction, unless that raised something
 * itself. A load of SS holds it back: then a breakpoint's comes behind the next one, the trap flag's does not come. */
static void trap_after(struct soft_cpu *c, bool tf)
{
	uint64_t bits = c->db_pending | (tf ? 1ull << 14 : 0);

	if (c->event != EVENT_NONE && c->event != EVENT_YIELD) {
		c->db_pending = 0;
		return;
	}
	if (!bits || soft_ss_shadow(c))
		return;
	c->db_pending = 0;
	c->r.dr[6] |= bits;
	c->trap_behind = true;
	soft_raise(c, 1);
}

/* SYSCALL and SYSRET look at TF when they are done, everything else before it begins. */
static bool traps(const struct soft_cpu *c, const struct uop *u, uint64_t flags_before)
{
	bool after = u->fn == op_syscall || u->fn == op_sysret;

	return (after ? c->eflags : flags_before) & RFLAGS_TF;
}

/* One instruction with what only some of them meet: RF, which ends with it unless it is what sets it, and traps. */
static void run_with_traps(struct soft_cpu *c, const struct block *k)
{
	uint64_t flags = c->eflags, rip = c->rip;
	struct uop u = k->uop[0];

	run_one(c, k);
	if ((c->event == EVENT_NONE || c->event == EVENT_YIELD) && u.fn != op_iret && !(u.rep && c->rip == rip))
		c->eflags &= ~RFLAGS_RF;
	trap_after(c, traps(c, &u, flags));
}

static bool within_limit(const struct soft_cpu *c, const struct block *k)
{
	return c->code_bits == 64 || c->rip + k->bytes - 1 <= c->r.seg[SEG_CS].limit;
}

/* A block that reaches beyond CS's limit goes one instruction at a time, up to the one that faults. */
static bool first_within_limit(struct soft_cpu *c, const struct block *k)
{
	if (c->rip + k->uop[0].len - 1 <= c->r.seg[SEG_CS].limit)
		return true;
	soft_raise_error(c, 13, 0);
	return false;
}

void soft_execute(struct soft_cpu *c)
{
	c->event = EVENT_NONE;
	while (c->budget && c->event == EVENT_NONE && !c->stop_soon) {
		if (unlikely(c->blocks->graveyard))
			free_graveyard(c->blocks);
		if (unlikely(c->any_plants) && soft_stop_at_plant(c))
			return;
		c->skip_plant = false;
		struct block *k = find(c);
		if (unlikely(!k))
			return;
		bool alone = c->eflags & (RFLAGS_TF | RFLAGS_RF) || c->db_pending, whole = within_limit(c, k);
		if (!whole && !first_within_limit(c, k))
			return;
		c->block_rip = c->rip;
		/* While stages are watched each instruction goes alone: a vCPU that stands still has an exact rip. So does
		 * one whose fetch was an event to stop behind. */
		if (likely(!alone && whole && c->budget >= k->n && !c->shadow.stage && !c->stop_soon))
			run_blocks(c, k);
		else if (alone)
			run_with_traps(c, k);
		else
			run_one(c, k);
		if (unlikely(c->db_pending))
			trap_after(c, false);
	}
}
