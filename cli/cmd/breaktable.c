/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The table of commands about breakpoints.
 */
#include "cli/cmd/breaks.h"
#include "cli/cmd/table.h"

#define KEYS "Gives the breakpoint: id, kind, at, enabled, hits, how (hw, int3, hw+int3, trap, page, step, soft), condition."

const struct command commands_break[] = {
    {.name = "break",
     .aliases = "b br brea",
     .group = "breakpoints",
     .usage = "[A] [if COND]",
     .summary = "stop before the instruction at an address is executed",
     .help = "A is a linear address: *0x7c00, a symbol, an expression, 0x7c0:0x10; without it the current one. Of two "
	     "symbols of "
	     "one name say which: file.c:helper or helper@2. There is no limit to how many. COND is a Tcl expression, "
	     "evaluated at each hit: b main if {$rax == 5}. A need not be mapped yet: it hits wherever the tables lead when "
	     "that is executed. On kvm it is a debug register where one hits, else an int3 in memory while the guest runs: "
	     "the guest reads and writes the right bytes there, but for reads of a page that it has executed; info "
	     "breakpoints says that, and what else is not as it should be. In the middle of an instruction (inside: where "
	     "that begins) nothing ever stops. " KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF | CMD_SHADOWS_TCL,
     .complete = COMPLETE_ADDRESS,
     .view = "breakpoint",
     .run = cmd_break},
    {.name = "tbreak",
     .aliases = "tb",
     .group = "breakpoints",
     .usage = "[A] [if COND]",
     .summary = "a breakpoint that is deleted when it stops",
     .help = KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF,
     .complete = COMPLETE_ADDRESS,
     .view = "breakpoint",
     .run = cmd_tbreak},
    {.name = "hbreak",
     .aliases = "hb",
     .group = "breakpoints",
     .usage = "[A] [if COND]",
     .summary = "a breakpoint in a debug register of the CPU",
     .help = "There are four, and a host may deliver them in some modes only (info kvm says which). Where an IRET leads to "
	     "that loads RF, as a fault handler's does, the CPU does not hit one; break does. " KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF,
     .complete = COMPLETE_ADDRESS,
     .view = "breakpoint",
     .run = cmd_hbreak},
    {.name = "watch",
     .aliases = "wa",
     .group = "breakpoints",
     .usage = "A [LEN] [-phys] [if COND]",
     .summary = "stop when memory is written",
     .help =
	 "LEN is the size of A if that is a symbol with one, else 8 in 64-bit code, 4 or 2; there is no limit to how many "
	 "or "
	 "how long. A is linear, mapped or not yet, and goes where the tables of CR3 take it; with -phys guest physical, "
	 "whatever address the guest used. Every write stops, also one that leaves the value as it was (a CMPXCHG that "
	 "fails "
	 "puts back what is there). The stop tells instruction, gva, gpa, len, read, write (both: it changed what was "
	 "there, "
	 "whichever is watched), data and old_data: all of an access of up to 8 bytes, the watched part of a wider one; "
	 "then "
	 "has the instruction's next access to watched bytes. What KVM does in one go (a REP instruction at CPL 0 on some "
	 "hosts) is one hit, told by the first bytes touched; an instruction that faults is none. Of a debug register's hit "
	 "the watched bytes are told, and read, write and instruction only where they are beyond doubt. "
	 "A write to READONLY memory and a device's answer are MMIO: catch mmio. The debugger's own writes are no hits. "
	 "how: hw a debug register, page an armed page (full speed everywhere else), step single steps. why says what keeps "
	 "it from more, or from following the guest's tables. " KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys if",
     .view = "breakpoint",
     .run = cmd_watch},
    {.name = "rwatch",
     .aliases = "rw",
     .group = "breakpoints",
     .usage = "A [LEN] [-phys] [if COND]",
     .summary = "stop when memory is read",
     .help = "As watch; reading READONLY memory stops too. " KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys if",
     .view = "breakpoint",
     .run = cmd_rwatch},
    {.name = "awatch",
     .aliases = "aw",
     .group = "breakpoints",
     .usage = "A [LEN] [-phys] [if COND]",
     .summary = "stop when memory is read or written",
     .help = "As watch; reading READONLY memory stops too. " KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys if",
     .view = "breakpoint",
     .run = cmd_awatch},
    {.name = "catch",
     .aliases = NULL,
     .group = "breakpoints",
     .usage = "fault|mmio|pio|exception|smi|mode|slot|mmu [ARG [LAST]] [if COND]",
     .summary = "stop at an event",
     .help =
	 "catch fault [GFN | FIRST LAST]: inside guest faults, of one gfn or of a range of gvas (end inclusive); where this "
	 "host lets only the first of a page be caught, a note says why and what to do (with EPT and NPT KVM sees no fault "
	 "of "
	 "the guest's tables, but those of its own: of the page, and of a table that the processor's walk reads). catch "
	 "mmio "
	 "[GPA [LAST]], pio [PORT [LAST]]: before the device sees the access, each one that an instruction makes (the read "
	 "and the write of an add, both operands of cmps, every round of a REP, pieces of at most 8 bytes within a page) "
	 "that touches the range; instruction is the address of its instruction, rip what the machine has: KVM has moved it "
	 "on before most writes. catch exception [VECTOR|PF|GP...]: below. catch smi: at the handler's first "
	 "instruction and after RSM. catch mode [real|prot32|long...]: paging, width "
	 "or "
	 "privilege changed. catch slot [ID]: a slot was added, deleted, moved, flipped or hidden; told before the guest "
	 "runs "
	 "on.\n"
	 "\ncatch exception tells, in every mode and at every privilege level, what an instruction raises, before the "
	 "guest's "
	 "handler has it: faults and INT3, INTO and INT1 at their own address, the #DB of the guest's TF and data "
	 "breakpoints "
	 "behind the instruction. The next c or si delivers it. INT n is no exception, whatever n, and is not told. What "
	 "the "
	 "guest has no handler for (its IDT ends before the vector; in real mode the entry is 0000:0000 in a table at 0, "
	 "where a "
	 "processor would execute the table) stops without a catchpoint too: INT3, INTO and INT1 with rip behind them and "
	 "instruction their address, INT n at itself, as a software interrupt; c goes on behind both. A fault is met "
	 "again.\n"
	 "\ncatch mmu [zap|unsync|sync|spte|tdp...] [GFN | FIRST LAST]: KVM took the shadow page of a guest table apart, "
	 "let it "
	 "go "
	 "unsync, brought it up to date, set an spte for the gfn, or (tdp) changed an entry of the TDP MMU's tables. With "
	 "EPT "
	 "or NPT no guest table is shadowed: there are spte and tdp, else there is no tdp. On kvm the kernel's tracepoints "
	 "tell; they cannot stop "
	 "a "
	 "vCPU where it stands, so a signal fetches it out of KVM_RUN before it enters the guest again (why says how long "
	 "that "
	 "took). The stop has event, gfn, level, role or spte and sptep (tdp: spte, old_spte, as: the address space); "
	 "events lists all that happened until the vCPU "
	 "stood, "
	 "in order.\n"
	 "\nGives the breakpoint; means says what the numbers were taken for.",
     .flags = CMD_NEEDS_VM | CMD_RAW_IF | CMD_SHADOWS_TCL,
     .complete = COMPLETE_WORDS,
     .words = "fault mmio pio exception smi mode slot mmu zap unsync sync spte tdp",
     .view = "breakpoint",
     .run = cmd_catch},
    {.name = "delete",
     .aliases = "d",
     .group = "breakpoints",
     .usage = "[N...]",
     .summary = "delete breakpoints; without a number all of them",
     .help = "Takes watchpoints and catchpoints too. Numbers are not used again.",
     .flags = 0,
     .complete = COMPLETE_BREAKPOINT,
     .run = cmd_delete},
    {.name = "enable",
     .aliases = "en",
     .group = "breakpoints",
     .usage = "[N...]",
     .summary = "enable breakpoints; without a number all of them",
     .help = "They are planted again where they were.",
     .flags = 0,
     .complete = COMPLETE_BREAKPOINT,
     .run = cmd_enable},
    {.name = "disable",
     .aliases = NULL,
     .group = "breakpoints",
     .usage = "[N...]",
     .summary = "disable breakpoints; without a number all of them",
     .help = "They stay in the list, and nothing of them stays in the guest.",
     .flags = 0,
     .complete = COMPLETE_BREAKPOINT,
     .run = cmd_disable},
    {.name = "condition",
     .aliases = NULL,
     .group = "breakpoints",
     .usage = "N [EXPR]",
     .summary = "stop only where an expression is true",
     .help = "EXPR is a Tcl expression over registers and variables, evaluated at each hit, in braces or not: condition 1 "
	     "$rax == "
	     "5. It may only look: what runs or changes the guest belongs into commands. Without EXPR the breakpoint is "
	     "unconditional again. Gives the breakpoint.",
     .flags = CMD_RAW,
     .complete = COMPLETE_BREAKPOINT,
     .view = "breakpoint",
     .run = cmd_condition},
    {.name = "ignore",
     .aliases = NULL,
     .group = "breakpoints",
     .usage = "N COUNT",
     .summary = "pass a breakpoint COUNT times before it stops",
     .help = "Hits are counted all the same; a hit whose condition is false is none. Gives the breakpoint.",
     .flags = 0,
     .complete = COMPLETE_BREAKPOINT,
     .view = "breakpoint",
     .run = cmd_ignore},
    {.name = "commands",
     .aliases = NULL,
     .group = "breakpoints",
     .usage = "[N] {SCRIPT}",
     .summary = "run a script at each stop at a breakpoint",
     .help = "SCRIPT is lines as at the prompt: commands 1 {x/i $pc; c}. {} takes it away. Without N: the newest "
	     "breakpoint. Gives "
	     "the breakpoint.",
     .flags = 0,
     .complete = COMPLETE_BREAKPOINT,
     .view = "breakpoint",
     .run = cmd_commands},
    {.name = "info breakpoints",
     .aliases = "i_b i_watchpoints",
     .group = "breakpoints",
     .usage = "",
     .summary = "breakpoints, watchpoints and catchpoints",
     .help =
	 "A list of: id, kind, at, enabled, hits, how, and where set temporary, ignore, condition, commands; why: "
	 "what keeps it from more than single steps, that it is not mapped now, or what the guest could see of it; inside: "
	 "the instruction in whose middle it is; address for those that have one, len and phys for watchpoints.",
     .flags = 0,
     .view = "breakpoints",
     .run = cmd_info_breakpoints},
    {.name = NULL},
};
