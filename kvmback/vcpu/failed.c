/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A KVM_RUN that failed, or came back for what nothing handles: the stop says it in words.
 */
#include "kvmback/vcpu/exitwords.h"
#include "kvmback/vcpu/vcpu.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Where the kernel does not tell. */
static const struct slot *slot_to_blame(struct kvcpu *v)
{
	const struct slot_table *t = &v->vm->m.slots;

	for (size_t i = 0; i < t->n; i++)
		if (exit_slot_to_blame(t->by_gfn[i]))
			return t->by_gfn[i];
	return NULL;
}

/* KVM_RUN itself failed. */
static bool run_failed(struct kvcpu *v, int errnum)
{
	struct memory_fault f = exit_memory_fault(v->run);
	struct stop *s = &v->control->stop;

	if (errnum == EFAULT || f.told) {
		exit_memory_words(&f, f.told ? gmem_slot(v, f.gpa) : slot_to_blame(v), errnum, s);
		return vcpu_stop(v, STOP_ERROR);
	}
	snprintf(s->next, sizeof(s->next), "%s",
		 errnum == EIO ? "dmesg for why KVM has given this VM up, then load" : "load, or kvmscope -b soft");
	return vcpu_error(v, "KVM_RUN gave errno %d: %s", errnum, strerror(errnum));
}

bool vcpu_failed(struct kvcpu *v, int rc)
{
	struct stop *s = &v->control->stop;

	s->kvm_exit = v->run->exit_reason;
	if (rc)
		return run_failed(v, -rc);
	/* KVM_EXIT_MEMORY_FAULT comes with an errno today; the manual says that it need not. */
	if (exit_memory_fault(v->run).told)
		return run_failed(v, EFAULT);
	exit_words(v->run, s);
	if (v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR && s->suberror == KVM_INTERNAL_ERROR_EMULATION && !s->n_insn)
		s->n_insn = (unsigned)gmem_read(v, vcpu_linear_rip(v), s->insn, 15);
	return vcpu_stop(v, STOP_ERROR);
}
