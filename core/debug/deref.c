/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Following what numbers point to. Each step is one walk and one read by the debugger, so that a chain through hostile
 * tables is as short as any other.
 */
#include "core/debug/deref.h"

#include <string.h>

#define NOT_AN_ADDRESS 4096 /* numbers below are none */
#define NEAR_A_SYMBOL 256   /* bytes, in 16-bit code */
#define STRING_LEAST 4

int deref_init(struct deref *d, struct machine *m, unsigned vcpu, const struct symbols *syms, struct disas *disas,
	       struct err *e)
{
	d->m = m;
	d->vcpu = vcpu;
	d->syms = syms;
	d->disas = disas;
	int rc = where_get(m, vcpu, &d->w, e);
	if (!rc)
		rc = machine_env(m, vcpu, &d->env, e);
	if (!rc)
		d->pg = xlate_debug_paging(&d->env);
	return rc;
}

/* ---- addresses */

static bool same_page(uint64_t a, uint64_t b)
{
	return (a ^ b) >> PAGE_SHIFT == 0;
}

/* The segment by which a register addresses memory if no prefix says otherwise; -1: by none. */
static int segment_of(const struct deref *d, unsigned reg)
{
	switch (reg) {
	case DEREF_RIP:
		return SEG_CS;
	case RSP:
	case RBP:
		return SEG_SS;
	case RBX:
	case RSI:
	case RDI:
		return SEG_DS;
	default:
		return d->w.bits == 16 ? -1 : SEG_DS;
	}
}

static uint64_t register_value(const struct deref *d, unsigned reg)
{
	return reg == DEREF_RIP ? d->w.r.rip : d->w.r.gpr[reg];
}

static uint64_t linear_of(const struct deref *d, enum seg_index seg, uint64_t value)
{
	return where_linear(&d->w, &d->w.r.seg[seg], d->w.bits == 16 ? value & 0xffff : value);
}

bool deref_register_address(const struct deref *d, unsigned reg, uint64_t *linear)
{
	int seg = segment_of(d, reg);

	if (seg < 0)
		return false;
	*linear = reg == RSP ? d->w.sp : linear_of(d, (enum seg_index)seg, register_value(d, reg));
	return true;
}

/* What a word of memory is taken for an offset of. */
static enum seg_index word_segment(const struct deref *d)
{
	return d->w.bits == 16 ? SEG_CS : SEG_DS;
}

/* Symbols of assembly have no sizes: any number above the first would be behind one. */
static bool near_symbol(const struct deref *d, uint64_t linear)
{
	const struct symbol *s = symbols_by_addr(d->syms, linear);

	return s && linear - s->addr < (s->size ? s->size : NEAR_A_SYMBOL);
}

/* The linear address that a word of memory is, if it can be one. */
static bool word_address(const struct deref *d, uint64_t value, uint64_t *linear)
{
	*linear = linear_of(d, word_segment(d), value);
	return d->w.bits == 16 ? near_symbol(d, *linear) : value >= NOT_AN_ADDRESS;
}

/* Memory behind a linear address, not a device. */
static bool has_memory(struct deref *d, uint64_t linear, struct walk *w)
{
	uint8_t byte;

	paging_walk(&d->pg, &d->env.mem, linear, ACCESS_READ, false, w);
	return !w->fault.present && !machine_read(d->m, w->gpa, d->env.smm, &byte, 1, NULL);
}

/* ---- what stands there */

static size_t read_some(struct deref *d, uint64_t linear, void *buf, size_t n)
{
	return where_code(d->m, d->vcpu, linear, buf, n);
}

static bool is_text(char c)
{
	return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' || c == '\r';
}

static bool put_string(struct deref *d, uint64_t linear, struct deref_chain *c)
{
	char text[DEREF_STRING_MAX + 1];
	size_t n = read_some(d, linear, text, sizeof(text)), len = 0;

	while (len < n && is_text(text[len]))
		len++;
	if (len < STRING_LEAST || (len < n && text[len]))
		return false;
	c->string_cut = len > DEREF_STRING_MAX;
	len = c->string_cut ? DEREF_STRING_MAX : len;
	memcpy(c->string, text, len);
	c->string[len] = '\0';
	c->end = DEREF_STRING;
	return true;
}

/* In a page that may be written too: beside the code that runs now, and neither text nor zeroes, as stand between data. */
static bool looks_like_code(struct deref *d, uint64_t linear)
{
	struct deref_chain text;
	uint8_t first = 0;

	return same_page(linear, d->w.pc) && read_some(d, linear, &first, 1) && first && !put_string(d, linear, &text);
}

/* seg: by which the address is one. */
static bool is_code(struct deref *d, enum seg_index seg, uint64_t linear, const struct walk *w)
{
	if (!(w->rights & ACCESS_FETCH) || seg == SEG_SS)
		return false;
	if (seg == SEG_CS)
		return true;
	return d->w.bits != 16 && (!(w->rights & ACCESS_WRITE) || looks_like_code(d, linear));
}

static void put_code(struct deref *d, uint64_t linear, struct deref_chain *c)
{
	uint8_t code[16];
	size_t n = read_some(d, linear, code, sizeof(code));

	disas_one(d->disas, d->w.bits, linear, code, n, &c->insn);
	c->end = DEREF_CODE;
}

static bool was_there(const struct deref_chain *c, uint64_t value)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->value[i] == value)
			return true;
	return false;
}

/* ---- the chain */

/* The value at linear, the address of the last one so far. True: it is an address itself, *linear its own. */
static bool add_word(struct deref *d, uint64_t *linear, struct deref_chain *c)
{
	uint64_t word = 0, next = 0;
	struct walk w;
	bool whole = read_some(d, *linear, &word, d->w.word) == d->w.word;
	bool address = whole && word_address(d, word, &next) && has_memory(d, next, &w);

	if (!address && put_string(d, *linear, c))
		return false;
	if (!whole)
		return false;
	bool loop = was_there(c, word);
	if (c->n == DEREF_LINKS) {
		c->end = address ? DEREF_MORE : DEREF_NUMBER;
		return false;
	}
	c->is_address[c->n] = address;
	c->linear[c->n] = next;
	c->value[c->n++] = word;
	c->end = address && loop ? DEREF_LOOP : DEREF_NUMBER;
	*linear = next;
	return address && !loop;
}

/* From linear, the address that the chain's first value is by seg. */
static void follow(struct deref *d, enum seg_index seg, uint64_t linear, struct deref_chain *c)
{
	struct walk w;
	bool on = has_memory(d, linear, &w);

	while (on) {
		c->linear[c->n - 1] = linear;
		c->is_address[c->n - 1] = true;
		if (is_code(d, seg, linear, &w)) {
			put_code(d, linear, c);
			return;
		}
		seg = word_segment(d);
		on = add_word(d, &linear, c) && has_memory(d, linear, &w);
	}
}

static void begin(struct deref_chain *c, uint64_t value)
{
	c->n = 1;
	c->value[0] = value;
	c->linear[0] = 0;
	c->is_address[0] = false;
	c->end = DEREF_NUMBER;
	c->string[0] = '\0';
	c->string_cut = false;
}

void deref_word(struct deref *d, uint64_t value, struct deref_chain *out)
{
	uint64_t linear;

	begin(out, value);
	if (word_address(d, value, &linear))
		follow(d, word_segment(d), linear, out);
}

bool deref_register_points(const struct deref *d, unsigned reg)
{
	return reg == DEREF_RIP || reg == RSP || register_value(d, reg) >= (d->w.bits == 16 ? 1 : NOT_AN_ADDRESS);
}

void deref_register(struct deref *d, unsigned reg, struct deref_chain *out)
{
	uint64_t value = register_value(d, reg), linear;

	begin(out, value);
	if (!deref_register_address(d, reg, &linear))
		return;
	if (deref_register_points(d, reg))
		follow(d, (enum seg_index)segment_of(d, reg), linear, out);
}
