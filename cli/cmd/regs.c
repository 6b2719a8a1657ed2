/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers, expressions, vCPUs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/data.h"
#include "cli/session/client.h"
#include "views/record.h"

static const struct reg_name *find_reg(const char *name, struct err *e)
{
	const struct reg_name *reg = reg_find(*name == '$' ? name + 1 : name);

	if (!reg)
		err_set(e, -ENOENT, "register %.40s" WHY "there is no register of that name" TRY "info registers -a", name);
	return reg;
}

/* 80 and 128 bits as one hex number in a string, the rest as a number. */
static struct value reg_value(struct pool *p, const struct regs *r, const struct reg_name *reg)
{
	size_t n = 0;
	const uint8_t *bytes = reg_bytes(r, reg, &n);
	char text[2 + 2 * 16 + 1] = "0x";

	if (!bytes)
		return v_hex(reg_get(r, reg));
	for (size_t i = 0; i < n && i < 16; i++)
		snprintf(text + 2 + 2 * i, 3, "%02x", bytes[n - 1 - i]);
	return v_str(p, text);
}

/* A plain number has no room for it, so a person is told otherwise that it is as of the last stop. */
static void one_value(struct call *c, const struct regs *r, const struct reg_name *reg)
{
	c->result = reg_value(c->pool, r, reg);
	if (!c->shown || !reg_is_old(r, reg))
		return;
	struct value d = v_dict(c->pool, 2);
	v_put(c->pool, &d, reg->name, c->result);
	record_old_regs(c->pool, &d, r);
	c->result = d;
	c->view = "registers";
}

static int named_registers(struct call *c, struct machine *m, struct args *a, struct err *e)
{
	struct regs all = {0};

	c->result = v_dict(c->pool, 8);
	while (args_more(a)) {
		const char *name;
		struct regs r;
		int rc = args_word(a, "NAME", &name, e);
		const struct reg_name *reg = rc ? NULL : find_reg(name, e);
		if (!reg)
			return rc ? rc : -ENOENT;
		rc = machine_get_regs(m, c->s->vcpu, reg->part, &r, e);
		if (rc)
			return rc;
		if (!v_get(&c->result, reg->name))
			v_put(c->pool, &c->result, reg->name, reg_value(c->pool, &r, reg));
		all.old |= r.old;
	}
	record_old_regs(c->pool, &c->result, &all);
	return 0;
}

int cmd_info_registers(struct call *c, struct err *e)
{
	struct machine *m;
	struct args a;
	struct regs r;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = session_machine(c->s, &m, e);
	if (rc)
		return rc;
	bool all = args_flag(&a, "-a");
	if (args_more(&a))
		return named_registers(c, m, &a, e);
	rc = machine_get_regs(m, c->s->vcpu, all ? REGS_ALL : REGS_GPR | REGS_SYS, &r, e);
	if (rc)
		return rc;
	c->result = record_regs(c->pool, &r, all);
	if (r.nested.in)
		v_put(c->pool, &c->result, "nested", record_nested(c->pool, &r.nested));
	return 0;
}

/* "0x" and 1 to 32 digits, or any number of 64 bits, into a wide register's bytes. */
static int parse_wide(const char *text, uint8_t *bytes, size_t n, struct err *e)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *p = hex ? text + 2 : text;
	size_t digits = strlen(p);

	if (!hex || !digits || digits > 2 * n || strspn(p, "0123456789abcdefABCDEF") != digits)
		return err_set(e, -EINVAL, "register value %.50s" WHY "not 0x and up to %zu hex digits" TRY "0x1234", text,
			       2 * n);
	memset(bytes, 0, n);
	for (size_t i = 0; i < digits; i++) {
		char c = p[digits - 1 - i];
		unsigned v = c <= '9' ? (unsigned)c - '0' : ((unsigned)c | 0x20) - 'a' + 10;
		bytes[i / 2] |= (uint8_t)(v << (i % 2 ? 4 : 0));
	}
	return 0;
}

static int store_reg(struct call *c, struct machine *m, const struct reg_name *reg, const char *text, struct err *e)
{
	struct regs r;
	uint64_t v;
	size_t n = 0;
	int rc = machine_get_regs(m, c->s->vcpu, reg->part, &r, e);

	if (rc)
		return rc;
	/* The pointer is into r, which is ours. */
	uint8_t *wide = (uint8_t *)(uintptr_t)reg_bytes(&r, reg, &n);
	if (wide) {
		rc = parse_wide(text, wide, n, e);
	} else {
		rc = client_eval(c->client, text, &v, e);
		if (!rc)
			rc = reg_set(&r, reg, v, e);
	}
	if (!rc)
		rc = machine_set_regs(m, c->s->vcpu, reg_stored_in(reg), &r, e);
	if (!rc)
		c->result = reg_value(c->pool, &r, reg);
	return rc;
}

int cmd_reg(struct call *c, struct err *e)
{
	const char *name, *text;
	struct machine *m;
	struct args a;
	struct regs r;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = session_machine(c->s, &m, e);
	if (!rc)
		rc = args_word(&a, "NAME", &name, e);
	if (rc)
		return rc;
	const struct reg_name *reg = find_reg(name, e);
	if (!reg)
		return -ENOENT;
	if (args_more(&a)) {
		rc = args_rest(&a, "VALUE", &text, e);
		return rc ? rc : store_reg(c, m, reg, text, e);
	}
	rc = machine_get_regs(m, c->s->vcpu, reg->part, &r, e);
	if (!rc)
		one_value(c, &r, reg);
	return rc;
}

static int set_setting(struct call *c, struct args *a, const struct setting *st, struct err *e)
{
	const char *value;
	int rc = args_word(a, "VALUE", &value, e);

	if (!rc)
		rc = args_end(a, e);
	return rc ? rc : setting_set(&c->client->settings, st, value, e);
}

/* set $rax = V, as gdb has it; set context on. */
int cmd_set(struct call *c, struct err *e)
{
	const char *name, *equals, *text;
	struct machine *m;
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = args_word(&a, "$REG", &name, e);
	if (!rc && setting_find(name))
		return set_setting(c, &a, setting_find(name), e);
	if (!rc)
		rc = session_machine(c->s, &m, e);
	if (!rc)
		rc = args_word(&a, "=", &equals, e);
	if (!rc && strcmp(equals, "=") != 0)
		rc = err_set(e, -EINVAL, "set %.40s" WHY "'%.20s' stands where = should" TRY "set $rax = 5", name, equals);
	if (!rc)
		rc = args_rest(&a, "VALUE", &text, e);
	if (rc)
		return rc;
	const struct reg_name *reg = find_reg(name, e);
	return reg ? store_reg(c, m, reg, text, e) : -ENOENT;
}

/* ---- p */

/* A lone wide register, as typed ("$xmm0") or substituted by the line ("0x" and more digits than 64 bits have). */
static bool wide_value(struct call *c, const char *text, struct value *out)
{
	const struct reg_name *reg = *text == '$' ? reg_find(text + 1) : NULL;
	struct regs r;
	size_t n = 0;

	if (reg && reg->bits > 64 && c->s->d.m && !machine_get_regs(c->s->d.m, c->s->vcpu, reg->part, &r, NULL) &&
	    reg_bytes(&r, reg, &n)) {
		*out = reg_value(c->pool, &r, reg);
		return true;
	}
	if (strncmp(text, "0x", 2) || strlen(text) <= 18 || strspn(text + 2, "0123456789abcdef") != strlen(text + 2))
		return false;
	*out = v_str(c->pool, text);
	return true;
}

/* A lone "$rip" that is as of the last stop. */
static bool old_value(struct call *c, const char *text)
{
	const struct reg_name *reg = c->shown && !c->format && *text == '$' ? reg_find(text + 1) : NULL;
	struct regs r;

	if (!reg || !c->s->d.m || machine_get_regs(c->s->d.m, c->s->vcpu, reg->part, &r, NULL) || !reg_is_old(&r, reg))
		return false;
	one_value(c, &r, reg);
	return true;
}

int cmd_print(struct call *c, struct err *e)
{
	struct xsticky fresh = {'x', 8};
	struct xformat f;
	const char *text;
	struct args a;
	uint64_t v;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = xformat_parse(c->format, 8, &fresh, &f, e);
	if (!rc && (f.count != 1 || f.format == 'i' || f.format == 's'))
		rc = err_set(e, -EINVAL, "p" WHY "it shows one number, not memory" TRY "x/%.20s", c->format);
	if (!rc)
		rc = args_rest(&a, "EXPR", &text, e);
	if (rc || old_value(c, text) || wide_value(c, text, &c->result))
		return rc;
	rc = client_eval(c->client, text, &v, e);
	/* gdb's p/c shows a byte; all others the whole number. */
	if (!rc)
		c->result = number_value(c->pool, v, f.format, f.format == 'c' ? 1 : 8);
	return rc;
}

/* ---- vCPUs */

static const char *vcpu_state(const struct machine *m, unsigned vcpu, const struct regs *r)
{
	unsigned parked;

	if (machine_parked(m, &parked) && parked == vcpu)
		return "in a fault";
	if (r->valid & REGS_EVENTS && r->halted)
		return "halted";
	return machine_running(m) ? "running" : "stopped";
}

static void put_old(struct call *c, struct value *d, const struct regs *r)
{
	const struct {
		const char *key;
		bool old;
	} of[] = {{"mode", regs_mode_is_old(r)},
		  {"cpl", regs_cpl_is_old(r)},
		  {"rip", r->old >> REGS_OLD_RIP & 1},
		  {"smm", r->old >> REGS_OLD_SMM & 1}};
	struct value old = v_list(c->pool, ARRAY_LEN(of));

	for (size_t i = 0; i < ARRAY_LEN(of); i++)
		if (of[i].old)
			v_push(c->pool, &old, v_lit(of[i].key));
	if (old.n)
		v_put(c->pool, d, "of_last_stop", old);
}

static struct value vcpu_record(struct call *c, struct machine *m, unsigned vcpu)
{
	struct value d = v_dict(c->pool, 8);
	struct err why = {0};
	struct regs r;

	v_put(c->pool, &d, "id", v_int(vcpu));
	if (machine_get_regs(m, vcpu, REGS_GPR | REGS_SYS | REGS_EVENTS, &r, &why)) {
		struct value na = v_na(c->pool, err_reason(&why));
		v_put(c->pool, &d, "mode", na);
		v_put(c->pool, &d, "cpl", na);
		v_put(c->pool, &d, "rip", na);
		v_put(c->pool, &d, "smm", na);
		r.valid = 0;
	} else {
		v_put(c->pool, &d, "mode", v_lit(cpu_mode_name(regs_mode(&r))));
		v_put(c->pool, &d, "cpl", v_int(regs_cpl(&r)));
		v_put(c->pool, &d, "rip", v_hex(r.rip));
		v_put(c->pool, &d, "smm", v_bool(r.smm));
		if (r.nested.in)
			v_put(c->pool, &d, "nested", record_nested(c->pool, &r.nested));
	}
	v_put(c->pool, &d, "state", v_lit(vcpu_state(m, vcpu, &r)));
	v_put(c->pool, &d, "current", v_bool(vcpu == c->s->vcpu));
	if (r.valid)
		put_old(c, &d, &r);
	return d;
}

int cmd_vcpu(struct call *c, struct err *e)
{
	struct machine *m;
	struct args a;
	uint64_t n;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = session_machine(c->s, &m, e);
	n = c->s->vcpu;
	if (!rc && args_more(&a))
		rc = args_number(&a, "N", 0, machine_vcpus(m) - 1, &n, e);
	if (!rc)
		rc = args_end(&a, e);
	if (rc)
		return rc;
	c->s->vcpu = (unsigned)n;
	c->result = vcpu_record(c, m, c->s->vcpu);
	return 0;
}

int cmd_info_vcpus(struct call *c, struct err *e)
{
	struct machine *m;
	int rc = args_none(c, e);

	if (!rc)
		rc = session_machine(c->s, &m, e);
	if (rc)
		return rc;
	c->result = v_list(c->pool, machine_vcpus(m));
	for (unsigned i = 0; i < machine_vcpus(m); i++)
		v_push(c->pool, &c->result, vcpu_record(c, m, i));
	return 0;
}
