/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers as Tcl variables: a read trace fetches the current vCPU's value, a write trace stores it. An unset variable
 * comes back.
 */
#include "cli/tcl/interp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/tcl/tclvalue.h"

#define TRACED (TCL_GLOBAL_ONLY | TCL_TRACE_READS | TCL_TRACE_WRITES | TCL_TRACE_UNSETS)

struct register_variable {
	struct tcl *tcl;
	const struct reg_name *reg;
};

/* xmm and st registers are wider than 64 bits: one big number, highest byte first. */
static Tcl_Obj *wide_register(const uint8_t *bytes, size_t len)
{
	char text[2 + 2 * 16 + 1] = "0x";

	for (size_t i = 0; i < len && i < 16; i++)
		snprintf(text + 2 + 2 * i, 3, "%02x", bytes[len - 1 - i]);
	return Tcl_NewStringObj(text, -1);
}

static int read_register(const struct register_variable *v, Tcl_Obj **out, struct err *e)
{
	struct session *s = v->tcl->client->s;
	const struct reg_name *reg = v->reg;
	const uint8_t *bytes;
	struct machine *m;
	struct regs r;
	size_t len;
	int ret = session_machine(s, &m, e);

	if (ret)
		return ret;
	ret = machine_get_regs(m, s->vcpu, reg->part, &r, e);
	if (ret)
		return ret;
	bytes = reg_bytes(&r, reg, &len);
	*out = bytes ? wide_register(bytes, len) : tcl_from_u64(reg_get(&r, reg));
	return 0;
}

/* A number as Tcl has it: negative ones wrap to 64 bits, text past 63 bits is decimal or hex. */
static int number_of(Tcl_Obj *o, const struct reg_name *reg, uint64_t *out, struct err *e)
{
	Tcl_WideInt wide;
	char *end;

	if (o && Tcl_GetWideIntFromObj(NULL, o, &wide) == TCL_OK) {
		*out = (uint64_t)wide;
		if (wide < 0 && reg->bits < 64)
			*out &= (1ull << reg->bits) - 1;
		return 0;
	}
	const char *text = o ? Tcl_GetString(o) : "";
	errno = 0;
	*out = strtoull(text, &end, 0);
	if (!errno && *text && !*end)
		return 0;
	return err_set(e, -EINVAL, "set %s" WHY "'%.60s' is no number of 64 bits" TRY "set %s 0x1234", reg->name, text,
		       reg->name);
}

static int write_register(const struct register_variable *var, Tcl_Obj *o, struct err *e)
{
	struct session *s = var->tcl->client->s;
	const struct reg_name *reg = var->reg;
	struct machine *m;
	struct regs r;
	uint64_t v;
	int ret = session_machine(s, &m, e);

	if (!ret)
		ret = number_of(o, reg, &v, e);
	if (!ret)
		ret = machine_get_regs(m, s->vcpu, reg->part, &r, e);
	if (!ret)
		ret = reg_set(&r, reg, v, e);
	return ret ? ret : machine_set_regs(m, s->vcpu, reg_stored_in(reg), &r, e);
}

static char *complain(struct tcl *t, const struct err *e)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", e->code);
	Tcl_SetErrorCode(t->interp, "KVMSCOPE", number, e->what, e->why, e->next, NULL);
	snprintf(t->complaint, sizeof(t->complaint), "%.150s: %.300s; try %.120s", e->what, e->why, e->next);
	return t->complaint;
}

static char *on_trace(ClientData data, Tcl_Interp *interp, const char *name, const char *index, int flags)
{
	const struct register_variable *v = data;
	Tcl_Obj *value = NULL;
	struct err e;

	(void)index;
	if (flags & TCL_TRACE_UNSETS) {
		if ((flags & TCL_TRACE_DESTROYED) && !(flags & TCL_INTERP_DESTROYED))
			Tcl_TraceVar2(interp, name, NULL, TRACED, on_trace, data);
		return NULL;
	}
	err_clear(&e);
	if (flags & TCL_TRACE_WRITES) {
		int ret = write_register(v, Tcl_GetVar2Ex(interp, name, NULL, 0), &e);
		if (ret)
			return complain(v->tcl, &e);
	}
	if (read_register(v, &value, &e))
		return complain(v->tcl, &e);
	Tcl_SetVar2Ex(interp, name, NULL, value, 0);
	return NULL;
}

int tclreg_init(struct tcl *t, struct err *e)
{
	static const char *const short_names[] = {"pc", "sp", "fp"};
	size_t n, more = ARRAY_LEN(short_names);
	const struct reg_name *all = reg_names(&n);

	t->registers = calloc(n + more, sizeof(*t->registers));
	if (!t->registers)
		return err_nomem(e, "registers");
	for (size_t i = 0; i < n + more; i++) {
		const char *name = i < n ? all[i].name : short_names[i - n];
		struct register_variable *v = &t->registers[i];
		*v = (struct register_variable){.tcl = t, .reg = i < n ? &all[i] : reg_find(name)};
		/* A variable that exists reads as one: give it something to be traced on. */
		if (!v->reg || Tcl_TraceVar2(t->interp, name, NULL, TRACED, on_trace, v) == TCL_OK)
			continue;
		return err_set(e, -EINVAL, "register %s" WHY "%s" TRY "another build", name, Tcl_GetStringResult(t->interp));
	}
	return 0;
}
