/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Records of the debugger's own tables: breakpoints, instructions, differences.
 */
#include "views/record.h"

/* What a catchpoint's numbers were taken for: one of `catch fault` is a gfn, two are gvas. */
static struct value catch_means(struct pool *p, const struct stop_point *b)
{
	unsigned long long first = b->arg_first, last = b->arg_last;
	const char *unit = b->event == CATCH_MMIO ? "gpa" : b->event == CATCH_PIO ? "port" : "";

	if (b->event == CATCH_EXCEPTION)
		return first == last ? v_strf(p, "vector %llu", first) : v_strf(p, "vectors %llu to %llu", first, last);
	if (b->event == CATCH_MODE && first == CATCH_MODE_CPL)
		return v_lit("another privilege level");
	if (b->event == CATCH_MODE)
		return v_strf(p, "into %s mode", cpu_mode_name((enum cpu_mode)first));
	if (!b->event && b->fault.gva)
		return v_strf(p, "gva 0x%llx to 0x%llx", first, last);
	if (b->event == CATCH_SLOT)
		return first == last ? v_strf(p, "slot %llu", first) : v_strf(p, "slots %llu to %llu", first, last);
	if (!b->event || b->event == CATCH_MMU)
		unit = "gfn";
	return first == last ? v_strf(p, "%s 0x%llx", unit, first) : v_strf(p, "%s 0x%llx to 0x%llx", unit, first, last);
}

struct value record_stop_point(struct pool *p, const struct stop_point *b)
{
	struct value d = v_dict(p, 16);

	v_put(p, &d, "id", v_int(b->id));
	v_put(p, &d, "kind", v_lit(point_kind_name(b->kind)));
	v_put(p, &d, "at", v_str(p, b->at));
	v_put(p, &d, "enabled", v_bool(b->enabled));
	v_put(p, &d, "hits", v_int((int64_t)b->hits));
	v_put(p, &d, "how", b->how ? v_str(p, b->how) : v_null());
	if (b->why)
		v_put(p, &d, "why", v_str(p, b->why));
	v_put(p, &d, "temporary", v_bool(b->temporary));
	if (b->kind != POINT_CATCH) {
		v_put(p, &d, "address", v_hex(b->addr));
		if (b->kind >= POINT_WATCH) {
			v_put(p, &d, "len", v_int((int64_t)b->len));
			v_put(p, &d, "phys", v_bool(b->phys));
		}
	}
	if (b->kind == POINT_CATCH && b->has_arg)
		v_put(p, &d, "means", catch_means(p, b));
	if (b->ignore)
		v_put(p, &d, "ignore", v_int((int64_t)b->ignore));
	if (b->condition)
		v_put(p, &d, "condition", v_str(p, b->condition));
	if (b->commands)
		v_put(p, &d, "commands", v_str(p, b->commands));
	return d;
}

struct value record_backtrace(struct pool *p, const struct backtrace *b, const struct symbols *syms)
{
	struct value list = v_list(p, b->n);
	char sym[128];

	for (size_t i = 0; i < b->n; i++) {
		struct value d = v_dict(p, 5);
		symbols_format(syms, b->v[i].pc, sym, sizeof(sym));
		v_put(p, &d, "level", v_int((int64_t)i));
		v_put(p, &d, "rip", v_hex(b->v[i].pc));
		v_put(p, &d, "symbol", *sym ? v_str(p, sym) : v_null());
		v_put(p, &d, "frame", b->v[i].has_frame ? v_hex(b->v[i].frame) : v_null());
		if (i + 1 == b->n && b->end[0])
			v_put(p, &d, "end", v_str(p, b->end));
		v_push(p, &list, d);
	}
	return list;
}

static struct value record_insn_text(struct pool *p, const struct insn *i)
{
	if (!i->len)
		return v_strf(p, ".byte 0x%02x", i->bytes[0]);
	return v_strf(p, "%s%s%s", i->mnemonic, i->operands[0] ? " " : "", i->operands);
}

struct value record_insn(struct pool *p, const struct insn *i, const char *symbol)
{
	struct value d = v_dict(p, 8);
	unsigned len = !i->len ? 1 : i->len > sizeof(i->bytes) ? sizeof(i->bytes) : i->len;

	v_put(p, &d, "address", v_hex(i->addr));
	v_put(p, &d, "len", v_int(len));
	v_put(p, &d, "bytes", v_bytes(p, i->bytes, len));
	v_put(p, &d, "insn", record_insn_text(p, i));
	if (i->target)
		v_put(p, &d, "target", v_hex(i->target));
	if (symbol && symbol[0])
		v_put(p, &d, "symbol", v_str(p, symbol));
	return d;
}

static void put_end(struct pool *p, struct value *d, const struct deref_chain *c)
{
	switch (c->end) {
	case DEREF_CODE:
		v_put(p, d, "insn", record_insn_text(p, &c->insn));
		break;
	case DEREF_STRING:
		v_put(p, d, "string", v_str(p, c->string));
		if (c->string_cut)
			v_put(p, d, "cut", v_bool(true));
		break;
	case DEREF_LOOP:
		v_put(p, d, "loop", v_bool(true));
		break;
	case DEREF_MORE:
		v_put(p, d, "more", v_bool(true));
		break;
	case DEREF_NUMBER:
		break;
	}
}

struct value record_chain(struct pool *p, const struct deref_chain *c, const struct symbols *syms)
{
	struct value list = v_list(p, c->n);
	char sym[128];

	for (unsigned i = 0; i < c->n; i++) {
		struct value d = v_dict(p, 4);
		v_put(p, &d, "value", v_hex(c->value[i]));
		if (c->is_address[i] && *symbols_format(syms, c->linear[i], sym, sizeof(sym)))
			v_put(p, &d, "symbol", v_str(p, sym));
		if (i + 1 == c->n)
			put_end(p, &d, c);
		v_push(p, &list, d);
	}
	return list;
}

static struct value diff_side(struct pool *p, const char *text)
{
	return text[0] ? v_str(p, text) : v_null();
}

struct value record_diff(struct pool *p, const struct diff_list *l)
{
	struct value list = v_list(p, l->n);

	for (size_t i = 0; i < l->n; i++) {
		const struct diff_row *r = &l->v[i];
		struct value d = v_dict(p, 5);
		v_put(p, &d, "part", v_lit(diff_part_name(r->part)));
		v_put(p, &d, "kind", v_lit(diff_kind_name(r->kind)));
		v_put(p, &d, "what", v_str(p, r->what));
		v_put(p, &d, "before", diff_side(p, r->before));
		v_put(p, &d, "after", diff_side(p, r->after));
		v_push(p, &list, d);
	}
	return list;
}

struct value record_stall(struct pool *p, const struct stall *s, const char *why)
{
	static const char *const kinds[] = {
	    [STALL_SPIN] = "spin", [STALL_ACCESS] = "access", [STALL_EXCEPTION] = "exception"};
	struct value d = v_dict(p, 10);

	v_put(p, &d, "vcpu", v_int(s->vcpu));
	v_put(p, &d, "kind", v_lit(kinds[s->kind]));
	v_put(p, &d, "at", v_hex(s->first));
	v_put(p, &d, "ms", v_int((int64_t)(s->ns / 1000000)));
	if (s->kind == STALL_SPIN) {
		v_put(p, &d, "last", v_hex(s->last));
	} else {
		v_put(p, &d, "count", v_int((int64_t)s->count));
	}
	if (s->kind == STALL_ACCESS) {
		v_put(p, &d, s->port ? "port" : "gpa", v_hex(s->address));
		v_put(p, &d, "len", v_int(s->len));
		v_put(p, &d, "write", v_bool(s->write));
	}
	if (s->kind == STALL_EXCEPTION) {
		v_put(p, &d, "vector", v_int(s->vector));
		v_put(p, &d, "cr2", s->vector == 14 ? v_hex(s->address) : v_null());
	}
	v_put(p, &d, "why", v_str(p, why));
	return d;
}

struct value record_trace_stop(struct pool *p, const struct stop_row *r)
{
	struct value d = v_dict(p, 12), chains = v_list(p, RMAP_BUCKETS), missing = v_na(p, r->missing);

	for (unsigned i = 0; i < RMAP_BUCKETS; i++)
		v_push(p, &chains, v_int((int64_t)r->chains[i]));
	v_put(p, &d, "reason", v_lit(stop_reason_name(r->reason)));
	v_put(p, &d, "vcpu", v_int(r->vcpu));
	v_put(p, &d, "rip", r->reason == STOP_NONE ? v_null() : v_hex(r->rip));
	v_put(p, &d, "why", v_str(p, r->why));
	v_put(p, &d, "shadow_pages", r->counts_known ? v_int((int64_t)r->shadow_pages) : missing);
	v_put(p, &d, "sptes", r->counts_known ? v_int((int64_t)r->sptes) : missing);
	v_put(p, &d, "rmaps", r->counts_known ? v_int((int64_t)r->rmaps) : missing);
	v_put(p, &d, "chains", r->chains_known ? chains : v_na(p, "reverse maps cannot be read now"));
	v_put(p, &d, "longest", r->chains_known ? v_int((int64_t)r->longest) : v_na(p, "reverse maps cannot be read now"));
	v_put(p, &d, "longest_gfn", r->longest ? v_hex(r->longest_gfn) : v_null());
	v_put(p, &d, "changed", v_int((int64_t)r->n_changes));
	v_put(p, &d, "changes", record_diff(p, &r->changes));
	return d;
}
