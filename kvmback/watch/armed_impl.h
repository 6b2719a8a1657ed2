/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What armed.c (which pages are armed and opened) and pagefault.c (who answers their faults) share. Nobody else includes
 * this.
 */
#ifndef KVMSCOPE_KVMBACK_ARMED_IMPL_H
#define KVMSCOPE_KVMBACK_ARMED_IMPL_H

#include "core/base/lock.h"
#include "kvmback/watch/armed.h"

#include <sched.h>

/* A part of a watched range that is contiguous in a slot's memory. */
struct watched_part {
	uint64_t hva, len, gva, gpa;
	int id;
	unsigned vcpu;
	bool drop; /* reads are watched */
	bool write;
	bool table;	      /* an entry of a guest table by which an address is reached; id 0, len its size */
	bool code;	      /* an int3 byte of ours; id 0 */
	const uint8_t *alias; /* of hva */
};

struct armed_range {
	uint64_t hva, len; /* whole pages */
	bool drop;
};

/* A page with int3 bytes of ours that are seen by reads. */
struct code_page {
	uint64_t hva;
	unsigned reads; /* that were stepped so far */
	bool open;	/* it has been executed, or read too often: its reads are not armed any more */
};

struct opened_page {
	uint64_t hva;
	const uint8_t *alias;
	uint8_t before[PAGE_SIZE_4K];
};

/* A fault, and where its vCPU was when it was read. */
struct message {
	struct uffd_fault f;
	unsigned entry; /* vcpu_entry() */
	bool sure;	/* that is the entry which the fault was in */
};

struct armed {
	struct kvm_vm *vm;
	struct uffd uffd;
	struct lock lock;   /* armed, opened */
	struct lock reader; /* who reads faults */
	bool direct;
	pthread_t thread;
	bool has_thread, quit;
	atomic_int error;   /* why the thread has ended by itself; 0: it has not */
	bool polling, hold; /* the thread is in poll() on the userfaultfd; it is not to be */
	pthread_cond_t out;
	cpu_set_t allowed; /* CPUs the thread may run on, */
	int cpu;	   /* and where it keeps itself; -1: anywhere */
	atomic_uint last;  /* the vCPU that was answered last */
	int wake;	   /* eventfd */
	struct watched_part *part;
	size_t n_parts, cap_parts;
	struct armed_range *range; /* ascending, apart from each other */
	size_t n_ranges;
	unsigned range_gen; /* of uffd; another: nothing is armed */
	struct code_page *code;
	size_t n_code, cap_code;
	struct opened_page **opened;
	size_t n_opened, cap_opened;
	struct message *deferred; /* faults read while waiting for others, for whoever reads next */
	size_t n_deferred, cap_deferred;
	unsigned entry[KVM_MAX_VCPUS_HERE]; /* before a message is read */
};

/* Room for one more of size bytes in an array of n. */
bool armed_grow(void *array, size_t n, size_t *cap, size_t size);
/* With plant_lock held: a part of the slot's memory at gpa, c filled but for where it is. NULL, or why it cannot be. */
const char *armed_add_part(struct kvcpu *v, const struct slot *s, uint64_t gpa, const struct watched_part *c);
/* For whoever reads next. */
void armed_defer_message(struct armed *p, const struct message *m);
/* Where the answer to a message of an armed page is: kvm_vm.answering is called there. */
enum answer_at { ANSWER_READ, ANSWER_OTHERS_KICKED, ANSWER_SIGNALLED, ANSWER_OPENED, ANSWER_DONE };
/* With lock held: what is armed at this page, NULL for nothing. */
const struct armed_range *armed_find(const struct armed *p, uint64_t hva);
/* Where the debugger's view has a byte of the guest's; NULL if it has none. */
const uint8_t *armed_alias(const struct kvm_vm *vm, uint64_t hva);
/* With lock held: remember what is in the page, which is about to be opened. */
void armed_save_page(struct armed *p, uint64_t hva);

#endif
