/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What each call of machine.h needs: one row a call, enforced by core/machine/check.c before a backend is asked. A machine
 * that may only be looked at is one without RUN, WRITE, SLOTS and CONTROL; a machine that can answer while its guest runs
 * says so in machine_ops.live. tests/checks/calls.sh holds that every call of machine.h that can fail has its row.
 */
#ifndef KVMSCOPE_CORE_MACHINE_CALLS_H
#define KVMSCOPE_CORE_MACHINE_CALLS_H

#include "core/machine/looks.h"

/* What a call needs of the run state. LIVE_…: while the guest runs it is answered only if machine_ops.live has that bit,
 * then under the backend's walk lock; what is asked is a vCPU, guest memory or the MMU's structures. */
enum machine_ask {
	ASK_ALWAYS,
	ASK_LIVE_VCPU,
	ASK_LIVE_MEMORY,
	ASK_LIVE_MMU,
	ASK_STOPPED, /* not while the guest runs */
	ASK_IDLE,    /* nor while a vCPU stands inside a fault */
};

/* X(name, words, capabilities, operation, ask)
 *
 * name: machine_name() is the call; a second row for one call (memop_write, start_replay) has the needs of what it does with
 * other arguments. words: how an error names what was tried. operation: the member of struct machine_ops without which there
 * is nothing to call; `name`, which is always there, if the wrapper does without it. */
#define MACHINE_CALLS(X)                                                                                                    \
	X(facts, "info kvm", 0, name, ASK_ALWAYS)                                                                           \
	X(look_begin, "look at the machine", 0, get_regs, ASK_LIVE_VCPU)                                                    \
	X(slot_add, "slot add", NEEDS(SLOTS), slot_change, ASK_IDLE)                                                        \
	X(slot_delete, "slot del", NEEDS(SLOTS), slot_change, ASK_IDLE)                                                     \
	X(slot_move, "slot move", NEEDS(SLOTS), slot_change, ASK_IDLE)                                                      \
	X(slot_flags, "slot flags", NEEDS(SLOTS), slot_change, ASK_IDLE)                                                    \
	X(slot_dirty, "slot dirty", 0, slot_dirty, ASK_STOPPED)                                                             \
	X(slot_dirty_views, "slot dirty", 0, slot_dirty, ASK_STOPPED)                                                       \
	X(slot_dirty_clear, "slot dirty", NEEDS(SLOTS), slot_dirty, ASK_IDLE)                                               \
	X(slot_dirty_ring, "slot dirty -ring", 0, slot_dirty, ASK_STOPPED)                                                  \
	X(slot_dirty_set, "restore a dirty log", NEEDS(SLOTS), slot_dirty, ASK_IDLE)                                        \
	X(slot_prefault, "slot prefault", NEEDS(SLOTS), slot_prefault, ASK_IDLE)                                            \
	X(slot_list, "list slots", 0, name, ASK_LIVE_MMU)                                                                   \
	X(slot_info, "slot", 0, name, ASK_LIVE_MMU)                                                                         \
	X(read, "read memory", 0, name, ASK_LIVE_MEMORY)                                                                    \
	X(write, "write memory", NEEDS(WRITE), wrote, ASK_IDLE)                                                             \
	X(write_pages, "restore memory", NEEDS(WRITE), wrote, ASK_IDLE)                                                     \
	X(read_gva, "read memory", 0, get_regs, ASK_LIVE_VCPU)                                                              \
	X(write_gva, "write memory", NEEDS(WRITE), wrote, ASK_IDLE)                                                         \
	X(writable, "write memory", NEEDS(WRITE), wrote, ASK_IDLE)                                                          \
	X(writable_gva, "write memory", NEEDS(WRITE), wrote, ASK_IDLE)                                                      \
	X(env, "read registers", 0, get_regs, ASK_LIVE_VCPU)                                                                \
	X(memop, "memop", 0, get_regs, ASK_LIVE_VCPU)                                                                       \
	X(memop_write, "memop", NEEDS(WRITE), wrote, ASK_IDLE)                                                              \
	X(memop_inject, "memop", NEEDS(CONTROL), inject, ASK_IDLE)                                                          \
	X(hva, "host virtual address", 0, name, ASK_LIVE_MEMORY)                                                            \
	X(hpa, "host physical address", NEEDS(HPA), hpa, ASK_LIVE_MEMORY)                                                   \
	X(get_regs, "read registers", 0, get_regs, ASK_LIVE_VCPU)                                                           \
	X(set_regs, "write registers", NEEDS(CONTROL), set_regs, ASK_IDLE)                                                  \
	X(inject, "inject an exception", NEEDS(CONTROL), inject, ASK_IDLE)                                                  \
	X(smi, "smi", NEEDS(CONTROL), smi, ASK_IDLE)                                                                        \
	X(smbase, "read SMBASE", 0, smbase, ASK_LIVE_VCPU)                                                                  \
	X(set_smbase, "set SMBASE", NEEDS(CONTROL), set_smbase, ASK_IDLE)                                                   \
	X(nested_take, "checkpoint", 0, name, ASK_LIVE_VCPU)                                                                \
	X(nested_leave, "restore a nested guest", NEEDS(CONTROL), name, ASK_IDLE)                                           \
	X(nested_put, "restore a nested guest", NEEDS(CONTROL), name, ASK_IDLE)                                             \
	X(reset, "reset", NEEDS(CONTROL), reset, ASK_IDLE)                                                                  \
	X(run, "run", NEEDS(RUN), run, ASK_STOPPED)                                                                         \
	X(run_job, "run", NEEDS(RUN), run, ASK_STOPPED)                                                                     \
	X(start, "run", NEEDS(RUN), run, ASK_STOPPED)                                                                       \
	X(start_replay, "going back", NEEDS(RUN) | NEEDS(REVERSE), position, ASK_IDLE)                                      \
	X(check_watch, "watchpoint", NEEDS(RUN) | NEEDS(WATCH), name, ASK_LIVE_VCPU)                                        \
	X(plant, "breakpoint", NEEDS(RUN), plant, ASK_STOPPED)                                                              \
	X(unplant, "remove breakpoint", NEEDS(RUN), unplant, ASK_STOPPED)                                                   \
	X(plants_now, "breakpoint", NEEDS(RUN), plants_now, ASK_STOPPED)                                                    \
	X(catch, "catch", NEEDS(RUN), set_catch, ASK_STOPPED)                                                               \
	X(mmu_catch, "catch mmu", NEEDS(RUN) | NEEDS(SHADOW), mmu_catch, ASK_STOPPED)                                       \
	X(mmu_events, "list MMU events", 0, name, ASK_STOPPED)                                                              \
	X(fault_catch, "catch fault", NEEDS(RUN) | NEEDS(FAULT_STEP), fault_catch, ASK_STOPPED)                             \
	X(fault_step, "fault step", NEEDS(RUN) | NEEDS(FAULT_STEP), fault_catch, ASK_STOPPED)                               \
	X(fault_check, "fault step", NEEDS(RUN) | NEEDS(FAULT_STEP), fault_catch, ASK_STOPPED)                              \
	X(fault_stages, "list fault stages", NEEDS(FAULT_STEP), fault_stages, ASK_STOPPED)                                  \
	X(rmap_each, "read all rmaps", NEEDS(RMAP), name, ASK_LIVE_MMU)

/* Looks have rows of their own (looks.h), which all ask the MMU. */
enum machine_call {
#define CALL_ID(name, words, needs, op, ask) CALL_##name,
#define LOOK_ID(name, words, needs, list, shape) CALL_##name,
	MACHINE_CALLS(CALL_ID) MACHINE_LOOK_LIST(LOOK_ID) MACHINE_CALL_COUNT
#undef CALL_ID
#undef LOOK_ID
};

#endif
