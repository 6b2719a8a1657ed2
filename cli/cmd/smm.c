/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * smi and info smm: raising an SMI, and what the save area, SMBASE and the slots' visibility say.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/data.h"
#include "core/cpu/smm.h"
#include "views/record.h"

/* Fields of the save area by name; n/a if no SMI has ever written one there. */
static struct value save_area(struct call *c, struct machine *m, uint32_t smbase)
{
	uint8_t area[SMM_SAVE_SIZE];
	struct err why = {0};
	size_t n;

	if (machine_read(m, (uint64_t)smbase + SMM_SAVE_OFFSET, true, area, sizeof(area), &why))
		return v_na(c->pool, err_reason(&why));
	const struct smm_field *f = smm_fields(area, &n);
	if (!f)
		return v_na(c->pool, "no state has been saved there: the revision is none of 0x30064, 0x20064, 0x20000");
	struct value d = v_dict(c->pool, n);
	for (size_t i = 0; i < n; i++) {
		uint64_t v = 0;
		memcpy(&v, area + f[i].offset, f[i].size < 8 ? f[i].size : 8);
		v_put(c->pool, &d, f[i].name, v_hex(v));
	}
	return d;
}

/* Slots by what each side sees of them. */
static struct value visibility(struct call *c, struct machine *m)
{
	struct slot_table *t = machine_slots(m);
	struct value list = v_list(c->pool, t->n);

	for (size_t i = t->n; i--;) {
		const struct slot *s = t->by_gfn[i];
		if (s->own)
			continue;
		struct value d = v_dict(c->pool, 4);
		v_put(c->pool, &d, "id", v_int(s->id));
		v_put(c->pool, &d, "gpa", v_hex(s->gpa));
		v_put(c->pool, &d, "size", v_hex(s->size));
		v_put(c->pool, &d, "visible", v_lit(slot_vis_name(s->vis)));
		v_push(c->pool, &list, d);
	}
	return list;
}

static int smm_record(struct call *c, struct machine *m, unsigned vcpu, struct err *e)
{
	struct err why = {0};
	uint32_t smbase;
	struct regs r;
	const char *native;
	int rc = machine_get_regs(m, vcpu, REGS_GPR | REGS_SYS, &r, e);

	if (rc)
		return rc;
	bool known = !machine_smbase(m, vcpu, &smbase, &why);
	struct value na = known ? v_null() : v_na(c->pool, err_reason(&why));
	c->result = v_dict(c->pool, 8);
	v_put(c->pool, &c->result, "vcpu", v_int(vcpu));
	v_put(c->pool, &c->result, "smm", v_bool(r.smm));
	v_put(c->pool, &c->result, "rip", v_hex(r.rip));
	v_put(c->pool, &c->result, "smbase", known ? v_hex(smbase) : na);
	v_put(c->pool, &c->result, "entry", known ? v_hex((uint64_t)smbase + SMM_ENTRY_OFFSET) : na);
	v_put(c->pool, &c->result, "by",
	      machine_can(m, MACHINE_CAP_SMM_NATIVE, &native) ? v_lit("cpu") : v_strf(c->pool, "debugger (%s)", native));
	v_put(c->pool, &c->result, "saved", known ? save_area(c, m, smbase) : na);
	v_put(c->pool, &c->result, "slots", visibility(c, m));
	return 0;
}

static int smm_vcpu(struct call *c, struct machine **m, unsigned *vcpu, struct err *e)
{
	struct args a;
	uint64_t n = c->s->vcpu;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = session_machine(c->s, m, e);
	if (!rc && args_more(&a))
		rc = args_number(&a, "VCPU", 0, machine_vcpus(*m) - 1, &n, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc)
		*vcpu = (unsigned)n;
	return rc;
}

int cmd_info_smm(struct call *c, struct err *e)
{
	struct machine *m;
	unsigned vcpu;
	int rc = smm_vcpu(c, &m, &vcpu, e);

	return rc ? rc : smm_record(c, m, vcpu, e);
}

int cmd_smi(struct call *c, struct err *e)
{
	struct machine *m;
	unsigned vcpu;
	int rc = smm_vcpu(c, &m, &vcpu, e);

	if (!rc)
		rc = machine_smi(m, vcpu, e);
	/* The VM's state is no longer the one that was loaded: run starts afresh. */
	if (!rc)
		c->s->d.has_run = true;
	return rc ? rc : smm_record(c, m, vcpu, e);
}
