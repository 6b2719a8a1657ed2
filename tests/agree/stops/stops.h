/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Agreement on stops: a random guest with random breakpoints, watchpoints and catchpoints, of which the list of stops must
 * be the same whoever makes it.
 *
 *   guest.c    memory, tables and registers of a guest     code.c, piece.c  its code
 *   points.c   what it is stopped at
 *   decode.c   what an instruction accesses                walk.c   where an address leads
 *   oracle.c   the list that follows from single steps of a machine that nothing is planted in
 *   judge.c    points asked by the oracle              prompt.c  the same by hand
 *   list.c     the list that a debugger gives              compare.c  two lists   main.c   seeds, options
 *
 * decode.c, walk.c and judge.c share nothing with core: they are written after the manuals for what these guests execute.
 */
#ifndef KVMSCOPE_TESTS_AGREE_STOPS_H
#define KVMSCOPE_TESTS_AGREE_STOPS_H

#include <stdio.h>

#include "core/board/board.h"
#include "core/cpu/disas.h"
#include "core/debug/debugger.h"
#include "core/soft/soft.h"
#include "tests/agree/rng.h"

/* ---- what waits for a mend in core: 1 leaves it out, 0 compares it. Each is to become 0 with the mend, and then to go. */
/* On kvm: the guest's own debugging (TF, debug registers, INT n) is not kept while it is debugged. */
#ifndef S_WAITS_KVM_OWN
#define S_WAITS_KVM_OWN 1
#endif
/* On kvm: catch mode does not see that an exception has changed the privilege level. */
#ifndef S_WAITS_KVM_MODE
#define S_WAITS_KVM_MODE 1
#endif

/* ---- memory. gpa, and gva of the identity mapping: */
enum {
	S_RAM = 0x50000,
	S_COUNT = 0xf00, /* of exceptions; the handlers end the guest when it is high */
	S_COUNT_MAX = 400,
	S_GDT = 0x1000,
	S_TSS = 0x1800,
	S_IDT = 0x2000,
	S_HANDLERS = 0x3000,
	S_SYS_STACK = 0x5000, /* grows down */
	S_STACK = 0x7800,     /* of the code, grows down */
	S_CODE = 0x8000,      /* 4 pages */
	S_COPY = 0xc000,      /* code is copied to here */
	S_DATA = 0x10000,     /* 6 pages */
	S_DATA_PAGES = 6,
	S_LOOPS = 0x17f00,	   /* counters of loops */
	S_LATE_FRAMES = 0x18000,   /* of the pages at S_LATE */
	S_SWITCH_FRAMES = 0x1c000, /* of those at S_SWITCH: two a root */
	S_PT1 = 0x20000,
	S_PT2 = 0x21000,
	S_ROOTS = 0x22000, /* PD, PD, PDPT, PDPT, PML4, PML4: of the first and of the second root */
	S_MMIO = 0xa0000,
	S_MMIO_SIZE = 0x10000,
	/* gva alone: */
	S_ALIAS_CODE = 0x60000, /* S_CODE to S_DATA once more */
	S_ALIAS_DATA = 0x70000,
	S_LATE = 0x80000, /* two pages of data, two of code, present after the first fault */
	S_LATE_CODE = 0x82000,
	S_SWITCH = 0x88000, /* data, then code: other frames under the other root */
	S_SWITCH_CODE = 0x89000,
};
/* Services: UD2 and one of these. */
enum { SERVICE_CR3 = 1, SERVICE_ENTRY = 2, SERVICE_DR0 = 3, SERVICE_DR1 = 4, SERVICE_END = 0xff };

enum s_paging { S_FLAT, S_PAGE32, S_PAE, S_LONG };
struct s_mode {
	const char *name;
	uint8_t bits, handler_bits, cpl;
	enum s_paging paging;
	bool real;
};
extern const struct s_mode s_modes[];
extern const unsigned s_n_modes;

/* What a guest's code may have; -x NAME leaves one out. */
enum s_class {
	S_MEMORY = 1 << 0,
	S_STRING = 1 << 1,
	S_STACKS = 1 << 2,
	S_BITS = 1 << 3,
	S_SSE = 1 << 4,
	S_SERVICE = 1 << 5, /* CR3, table entries */
	S_CALLS = 1 << 6,   /* subroutines: at home, by an alias, copied, mapped late, of the root */
	S_FAULTS = 1 << 7,
	S_TRAPS = 1 << 8, /* int3, int1, INT n */
	S_TF = 1 << 9,
	S_DR = 1 << 10,
	S_SELFMOD = 1 << 11,
	S_PORTS = 1 << 12,
	S_DEVICE = 1 << 13,
	S_MIDDLE = 1 << 14, /* jumps behind a prefix, instructions that jump to themselves */
	S_CLASSES = 15,
};
const char *s_class_name(unsigned bit);

#define S_POINTS_MAX 16
struct s_point {
	enum point_kind kind;
	uint64_t addr, len;
	bool phys, temporary;
	uint32_t event;
	uint64_t first, last; /* of what is caught */
	bool has_arg;
	unsigned ignore;
	unsigned modulus, rest; /* a condition: RBP % modulus == rest; modulus 0: none */
	/* the oracle's own count */
	uint64_t hits;
	unsigned ignored;
	bool gone;
};

#define S_CODE_MAX 0x1c00
#define S_INSNS_MAX 512
struct s_guest {
	uint64_t seed;
	const struct s_mode *mode;
	uint32_t classes;
	struct rng rng;
	struct regs r;
	uint8_t *ram;
	/* code as it is made: at S_CODE + len */
	size_t len;
	uint32_t insn[S_INSNS_MAX]; /* offsets of instructions, of what is behind a prefix, of subroutines */
	unsigned n_insns, n_loops;
	uint32_t hot[S_INSNS_MAX]; /* of those that touch memory, repeat, raise something, and what is behind them */
	unsigned n_hot;
	struct {
		uint32_t at, len;
	} sub[6];
	unsigned n_subs;
	bool for_kvm;
	bool one_round; /* no REP: KVM's emulator makes all rounds in one go, and tells one hit */
	bool moves;	/* what is made now is executed at other addresses too */
	struct s_point point[S_POINTS_MAX];
	unsigned n_points;
	/* Caught as well, on soft: stops of the MMU's own doings, which the oracle knows nothing of. They are not in the
	 * list, and must change nothing in it. */
	struct {
		bool faults, mmu;
		struct fault_filter fault;
		struct mmu_filter events;
	} beside;
};

/* mode -1: by the seed. for_kvm: as kvm can be asked to run it. */
int s_guest_make(struct s_guest *g, uint64_t seed, int mode, uint32_t without, bool for_kvm) MUST_USE;
void s_guest_free(struct s_guest *g);
int s_guest_open(const struct s_guest *g, const struct machine_ops *backend, unsigned maxphyaddr, struct machine **m,
		 struct err *e) MUST_USE;
uint64_t s_root(const struct s_guest *g, unsigned which); /* for CR3 */
unsigned s_entry_size(const struct s_guest *g);
void s_code_make(struct s_guest *g);
void s_points_make(struct s_guest *g);
/* What is left out of a guest: points, instructions (made NOPs) by their number. */
struct s_less {
	uint32_t points;
	bool insn[S_INSNS_MAX];
};
void s_leave_out(struct s_guest *g, const struct s_less *less);

/* ---- code.c */
void s_byte(struct s_guest *g, unsigned b);
void s_bytes(struct s_guest *g, const char *b, size_t n);
void s_le(struct s_guest *g, uint64_t v, unsigned bytes);
void s_begin(struct s_guest *g); /* an instruction begins here */
void s_hot(struct s_guest *g);	 /* ... or has ended, and breakpoints are of interest here */
/* The prefix for operands of 2 or 4 bytes, if the mode takes one. */
void s_opsize(struct s_guest *g, unsigned size);
void s_mov_imm(struct s_guest *g, unsigned reg, uint64_t v); /* of the widest of the mode, at least 32 bits */
/* An operand in memory at the linear address: loads what it needs first, so that the instruction is begun by emit, which
 * puts its prefixes and opcode. imm: how many bytes of immediates follow. False: no segment reaches it. */
struct s_operand {
	unsigned seg, prefix; /* prefix 0: none */
	uint8_t modrm[8];     /* with reg 0, SIB, displacement */
	unsigned n;
	bool rex_x, rex_b, addr_prefix;
	bool rip; /* the displacement is relative to the end */
	uint64_t target;
};
bool s_operand_make(struct s_guest *g, uint64_t linear, unsigned len, struct s_operand *out);
struct s_insn_spec {
	unsigned size;	 /* operand size, 2 gives 66 (or 4 in 16-bit code); 8 REX.W */
	unsigned prefix; /* mandatory or REP, LOCK */
	uint32_t op;	 /* 0x0fXX, 0x0f38XX or one byte */
	unsigned reg, imm_len;
	uint64_t imm;
};
void s_emit_mem(struct s_guest *g, const struct s_insn_spec *i, const struct s_operand *m);
uint64_t s_any_data(struct s_guest *g, unsigned len); /* an address for data */
bool s_paged(const struct s_guest *g);

/* ---- walk.c */
struct s_machine_view {
	struct machine *m;
	struct regs r;
};
/* gva to gpa by the tables, whatever rights say. False: not present. */
bool s_walk(struct machine *m, const struct regs *r, uint64_t gva, uint64_t *gpa);

/* ---- decode.c */
#define S_ACCESSES_MAX 8
struct s_access {
	uint64_t linear;
	unsigned len;
	bool read, write;
};
struct s_insn {
	unsigned len, n;
	struct s_access access[S_ACCESSES_MAX];
	bool several;	  /* one of access[] stands for several, one behind the other */
	bool string, rep; /* a string instruction; with REP and a count that is not 0 */
	bool trap;	  /* INT n, INT3, INTO, INT1: what it goes to is no fault */
	bool int_n;	  /* it is INT n */
	bool port, port_write;
	uint16_t port_at;
	unsigned port_len;
};
/* False: nothing that these guests are made of. */
bool s_decode(const struct regs *r, const uint8_t code[16], bool outer,
	      struct s_insn *out); /* outer: an IRET goes to CPL 3 */
unsigned s_code_bits(const struct regs *r);
uint64_t s_linear_pc(const struct regs *r);

/* ---- lists of stops */
#define S_STOPS_MAX 600
#define S_STEPS_MAX 30000
extern unsigned s_steps_max;
struct s_list {
	char **line;
	unsigned n, max;
	bool cut; /* at S_STOPS_MAX */
	struct regs end;
	const char *why;	     /* oracle: why it knows no more; NULL */
	uint64_t beside;	     /* stops for s_guest.beside */
	uint64_t hits[S_POINTS_MAX]; /* of each point; all ones: it is gone */
};
void PRINTF_LIKE(2, 3) s_list_add(struct s_list *l, const char *fmt, ...);
void s_list_free(struct s_list *l);

/* judge.c: one stop of the oracle's. Each point that is matched is asked once. */
struct s_scene {
	struct s_guest *g;
	struct s_list *l;
	uint64_t rbp;
	uint64_t rip; /* linear, where the vCPU stands */
	char what[S_POINTS_MAX + 4][160];
	int id[S_POINTS_MAX + 4];
	unsigned rank[S_POINTS_MAX + 4];
	char detail[120]; /* of a watchpoint's access; " [?]" is not compared */
	unsigned n;
};
void s_scene_begin(struct s_scene *sc, struct s_guest *g, struct s_list *l, uint64_t rbp, uint64_t rip);
/* The point has matched. True: it is told. */
bool s_scene_match(struct s_scene *sc, unsigned i, const char *what);
void s_scene_own(struct s_scene *sc, const char *what);
void s_scene_end(struct s_scene *sc); /* a line, if anything is told */

int s_oracle(struct s_guest *g, struct machine *m, struct s_list *l, struct err *e) MUST_USE;
/* The debugger's: continuing, or step by step. */
int s_debug_list(const struct s_guest *g, struct machine *m, bool steps, struct s_list *l, struct err *e) MUST_USE;

/* compare.c. 0: alike; 1: not, told. */
int s_compare(FILE *f, const struct s_guest *g, struct machine *am, const struct s_list *a, const char *an,
	      struct machine *bm, const struct s_list *b, const char *bn);
void s_print_guest(FILE *f, const struct s_guest *g); /* points, code */

/* prompt.c: what is typed at the prompt for a point, and for all of the guest as it begins; its memory goes to a file. */
void s_print_point(FILE *f, const struct s_point *p, unsigned id);
void s_print_prompt(FILE *f, const struct s_guest *g, const char *backend);

#endif
