/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A guest that runs a guest. The machine's guest is L1, and what it runs is L2: while a vCPU is in L2 its registers are
 * L2's, and L2's physical addresses are L1's (which are the machine's) only by way of the nested tables that L1 has made, if
 * it has. AMD APM vol. 2, 15.25; Intel SDM vol. 3C, 29.
 */
#ifndef KVMSCOPE_CORE_CPU_NESTED_H
#define KVMSCOPE_CORE_CPU_NESTED_H

#include <stdbool.h>
#include <stdint.h>

enum nested_kind { NESTED_SVM, NESTED_VMX };
struct nested_guest {
	bool in; /* the vCPU is in L2; else nothing here means anything */
	enum nested_kind kind;
	bool control_old; /* L2 was entered since the last stop: control and l1_rip are not known */
	uint64_t control; /* gpa of L1's VMCB or VMCS */
	bool paging;	  /* L1 has nested tables; else L2's physical addresses are L1's */
	uint64_t root;	  /* gpa of the topmost one, with paging */
	unsigned levels;  /* of EPT; NPT has those of L1's own paging */
	bool l1_known;	  /* where L1 goes on is known: */
	uint64_t l1_rip, l1_cr0, l1_cr3, l1_cr4, l1_efer;
};

#endif
