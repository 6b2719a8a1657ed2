/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The table of commands that look at and change data; handlers are in memory.c, memfile.c, disas.c, regs.c,
 * backtrace.c, display.c, smm.c and snap.c.
 */
#include "cli/cmd/data.h"
#include "cli/cmd/table.h"

#define FMT                                                                                                                 \
	"N is a count; F one of x d u o t c s i a; U one of b h w g (1, 2, 4, 8 bytes). What is left out is as the last "   \
	"time. "

const struct command commands_data[] = {
    {.name = "x",
     .aliases = NULL,
     .group = "data",
     .usage = "[/NFU] [A] [-phys]",
     .summary = "memory through the guest's tables, in gdb's formats",
     .help = FMT
     "Without A it goes on behind what it showed last. Gives address, values (numbers of the unit asked for; strings "
     "for s, instructions for i), unit, format, symbol. Example: x/8gx $sp, x/i $cs:$ip.",
     .flags = CMD_NEEDS_VM | CMD_FORMAT | CMD_REPEATS,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys",
     .view = "dump",
     .run = cmd_x},
    {.name = "xp",
     .aliases = NULL,
     .group = "data",
     .usage = "[/NFU] [GPA]",
     .summary = "guest physical memory, in gdb's formats",
     .help = FMT "As x, by guest physical address.",
     .flags = CMD_NEEDS_VM | CMD_FORMAT | CMD_REPEATS,
     .complete = COMPLETE_ADDRESS,
     .view = "dump",
     .run = cmd_xp},
    {.name = "mem read",
     .aliases = NULL,
     .group = "data",
     .usage = "A LEN [-phys]",
     .summary = "bytes of guest memory",
     .help = "Gives address, len, and data: the bytes in memory order as hex. LEN is 1 to 16 MiB.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys",
     .view = "bytes",
     .run = cmd_mem_read},
    {.name = "mem write",
     .aliases = NULL,
     .group = "data",
     .usage = "A HEX [-phys]",
     .summary = "write bytes to guest memory",
     .help = "HEX are the bytes in memory order. Reaches READONLY slots and pages that the guest's tables make read-only. "
	     "Nothing is "
	     "written if a page of the range does not translate. Gives address and len.",
     .flags = CMD_NEEDS_VM,
     .needs = NEEDS(WRITE),
     .complete = COMPLETE_ADDRESS,
     .words = "-phys",
     .run = cmd_mem_write},
    {.name = "find",
     .aliases = NULL,
     .group = "data",
     .usage = "A LEN HEX [-phys]",
     .summary = "search guest memory for bytes",
     .help = "Gives the list of addresses where HEX stands, overlapping ones too. Pages that cannot be read are skipped.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys",
     .run = cmd_find},
    {.name = "dump",
     .aliases = NULL,
     .group = "data",
     .usage = "FILE A LEN [-phys]",
     .summary = "write guest memory to a file",
     .help = "The file appears whole or not at all; one that is there keeps its permissions, and a symbolic link stays one. "
	     "Gives file, address, len.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_FILE,
     .words = "-phys",
     .run = cmd_dump},
    {.name = "restore",
     .aliases = NULL,
     .group = "data",
     .usage = "FILE A [-phys]",
     .summary = "fill guest memory from a file",
     .help = "Looks first whether all of the file has a place at A, and writes nothing else. It is then written a MiB at a "
	     "time: "
	     "where Ctrl-C or an error ends that, the error says how many bytes are written. Gives file, address, len.",
     .flags = CMD_NEEDS_VM,
     .needs = NEEDS(WRITE),
     .complete = COMPLETE_FILE,
     .words = "-phys",
     .run = cmd_restore},
    {.name = "disas",
     .aliases = "disassemble",
     .group = "data",
     .usage = "[A] [N] [-bits 16|32|64] [-phys]",
     .summary = "disassemble",
     .help = "N instructions (10) at A, or where the vCPU stands, in the width of its mode. Each is a dict: address, len, "
	     "bytes, insn, "
	     "and where they apply target, target_symbol, symbol, current, breakpoint (its id).",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "-bits -phys",
     .view = "disas",
     .run = cmd_disas},
    {.name = "backtrace",
     .aliases = "bt where",
     .group = "data",
     .usage = "[N]",
     .summary = "who called what runs now, the innermost N frames",
     .help =
	 "Follows the chain of frame pointers in the current vCPU's mode. Only addresses behind a call count, and frames "
	 "that ascend; where that ends is said, for code without frame pointers is the rule in small guests.\n"
	 "\nGives a list, the innermost first: level, rip (where it stands or will go on), symbol, frame (where the saved "
	 "frame pointer stands; null if the function has none); the last has end, why there are no more. N is 64 by "
	 "default.",
     .flags = CMD_NEEDS_VM,
     .view = "backtrace",
     .run = cmd_backtrace},
    {.name = "info registers",
     .aliases = "i_r",
     .group = "data",
     .usage = "[-a] [NAME...]",
     .summary = "registers of the current vCPU",
     .help =
	 "A dict from name to value: general, segment, table and control registers; with -a hidden parts of segments, debug "
	 "registers, MSRs and the FPU too. xmm and st registers are hex strings. Of a vCPU that stands inside a fault, "
	 "of_last_stop names those that cannot be known there, a star marks them for people: they are as of the last stop. "
	 "MSRs and the FPU are always among them. On VT-x so are the descriptor tables and whatever KVM has not asked the "
	 "processor for, mostly rip, rsp, rflags, segments, cr3 and the bits of cr0 and cr4 that the guest may change by "
	 "itself; without the right to read the kernel's memory all are. What a debugger does by registers (walk, x, disas, "
	 "$rip in an expression) goes by these, too.\n\nnested is there while the vCPU is in a guest that the guest runs, "
	 "whose "
	 "the registers are then: kind (svm, vmx), control (gpa of the VMCB or VMCS), paging, l1_root (gpa of the topmost "
	 "nested "
	 "table), l1_rip, l1_cr3.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_REGISTER,
     .words = "-a",
     .view = "registers",
     .run = cmd_info_registers},
    {.name = "reg",
     .aliases = NULL,
     .group = "data",
     .usage = "NAME [VALUE]",
     .summary = "read or write one register",
     .help = "Gives its value (after the write). Writing eax clears the upper half of rax; ax, al and ah leave the rest. "
	     "A plain number does not say whether it is as of the last stop: `info registers NAME` does.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_REGISTER,
     .run = cmd_reg},
    {.name = "set",
     .aliases = NULL,
     .group = "data",
     .usage = "$REG = VALUE | SETTING VALUE",
     .summary = "write a register, or change a setting",
     .help =
	 "set $rax = 5 writes a register. set context on changes a setting: `show` lists them, with the values that each "
	 "takes. Any other `set name value` is Tcl's, also that of a setting's name with a value that the setting does not "
	 "take; in a script's procs every one is. A script's `set context on` outside of them, as in a file for -x or "
	 "init.tcl, does both.",
     .flags = CMD_CHANGES_GUEST | CMD_SHADOWS_TCL,
     .complete = COMPLETE_SETTING,
     .run = cmd_set},
    {.name = "print",
     .aliases = "p inspect",
     .group = "data",
     .usage = "[/F] EXPR",
     .summary = "the value of an expression",
     .help = "Numbers, $registers, symbols, seg:off and C's operators on 64 bits: help expressions. F: x a (hex), d u "
	     "(decimal), o, t, c. A plain number.",
     .flags = CMD_FORMAT,
     .complete = COMPLETE_ADDRESS,
     .run = cmd_print},
    {.name = "vcpu",
     .aliases = "thread",
     .group = "data",
     .usage = "[N]",
     .summary = "the current vCPU, or another one from now on",
     .help = "Gives id, mode, cpl, rip, smm, state, current.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_VCPU,
     .run = cmd_vcpu},
    {.name = "info vcpus",
     .aliases = "i_threads i_cpus",
     .group = "data",
     .usage = "",
     .summary = "all vCPUs",
     .help = "A list of: id, mode (real, vm86, prot16, prot32, compat, long), cpl, rip, smm, state (running, stopped, "
	     "halted, in "
	     "a fault), current; nested and of_last_stop as in info registers.",
     .flags = CMD_NEEDS_VM,
     .view = "vcpus",
     .run = cmd_info_vcpus},
    {.name = "snap",
     .aliases = NULL,
     .group = "data",
     .usage = "[NAME] [-memory]",
     .summary = "remember the machine's state at this moment",
     .help =
	 "Slots, shadow pages, sptes, rmaps, MMIO caches, registers (without the time-stamp counter); with -memory also a "
	 "hash of "
	 "each page that is not all zeroes. Gives name and how many there are of each; n/a with the reason for what cannot "
	 "be read.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_SNAP,
     .words = "-memory",
     .run = cmd_snap},
    {.name = "diff",
     .aliases = NULL,
     .group = "data",
     .usage = "[A [B]]",
     .summary = "what changed between two snapshots",
     .help = "Without B: between A and now; without A: between the newest and now. Inside a fault and with no snapshot at "
	     "all: between the stage before and this one, or after the fault from its last stage. A list of: part (slot, "
	     "shadow-page, "
	     "spte, rmap, mmio, "
	     "register, memory), kind (added, removed, changed), what, before, after; empty if nothing changed. Parts that "
	     "could "
	     "not be read on a side are not compared, and what the kernel changed under a read is torn: notes say which.",
     .flags = 0,
     .complete = COMPLETE_SNAP,
     .view = "diff",
     .run = cmd_diff},
    {.name = NULL},
};
