/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Descriptors: reading them from the guest's tables, checking them, loading segment registers. Intel SDM vol. 3A chapters 3
 * and 5.
 */
#ifndef KVMSCOPE_CORE_SOFT_SEGMENT_H
#define KVMSCOPE_CORE_SOFT_SEGMENT_H

#include "core/soft/exec.h"

#define VEC_DE 0
#define VEC_DB 1
#define VEC_BP 3
#define VEC_OF 4
#define VEC_BR 5
#define VEC_UD 6
#define VEC_NM 7
#define VEC_DF 8
#define VEC_TS 10
#define VEC_NP 11
#define VEC_SS 12
#define VEC_GP 13
#define VEC_PF 14

enum {
	DESC_TSS16 = 1,
	DESC_LDT = 2,
	DESC_TSS16_BUSY = 3,
	DESC_CALL16 = 4,
	DESC_TASK = 5,
	DESC_INT16 = 6,
	DESC_TRAP16 = 7,
	DESC_TSS = 9,
	DESC_TSS_BUSY = 11,
	DESC_CALL = 12,
	DESC_INT = 14,
	DESC_TRAP = 15,
};

struct descriptor {
	uint64_t raw, raw_high;
	uint64_t at; /* its linear address */
	struct seg seg;
};

static inline bool desc_is_code(const struct seg *s)
{
	return s->s && (s->type & 8);
}
static inline bool desc_is_writable(const struct seg *s)
{
	return s->s && !(s->type & 8) && (s->type & 2);
}
static inline bool desc_is_readable(const struct seg *s)
{
	return s->s && (!(s->type & 8) || (s->type & 2));
}
static inline bool desc_conforming(const struct seg *s)
{
	return (s->type & 12) == 12;
}

/* Protected mode outside virtual-8086: descriptors count. */
static inline bool soft_protected(const struct soft_cpu *c)
{
	return (c->r.cr0 & CR0_PE) && !(c->eflags & RFLAGS_VM);
}

/* The descriptor of a selector that is not null. wide: 16 bytes (system descriptors in long mode). 0; -1 with
 * vector(selector & ~3) raised beyond the table's limit, or what reading it raised. */
int desc_read(struct soft_cpu *c, uint16_t selector, uint8_t vector, bool wide, struct descriptor *out);
/* 1 if the table has none there, without raising anything. */
int desc_peek(struct soft_cpu *c, uint16_t selector, bool wide, struct descriptor *out);
/* Set the accessed bit in the guest's table if it is clear. */
int desc_mark_accessed(struct soft_cpu *c, struct descriptor *d);
/* Check a descriptor for SS at a privilege. */
int desc_check_stack(struct soft_cpu *c, uint16_t selector, unsigned cpl, uint8_t vector, struct descriptor *out);
/* CS becomes this; the CPL is given. Bases, widths and paging follow. */
void seg_set_code(struct soft_cpu *c, const struct descriptor *d, uint16_t selector, unsigned cpl);
void seg_set_real(struct soft_cpu *c, enum seg_index seg, uint16_t selector);
/* On return to an outer privilege: data segments that it may not use become null. */
void seg_drop_inner(struct soft_cpu *c);
/* Stack pointer (and, outside long mode, SS) for a privilege from the TSS. ist: 1 to 7 in long mode, 0 for rsp<cpl>. */
int tss_stack(struct soft_cpu *c, unsigned cpl, unsigned ist, uint64_t *sp, uint16_t *ss);

#endif
