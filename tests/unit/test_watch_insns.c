/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Instructions and watchpoints, on both backends: which of its bytes an instruction touches, how, and what was and is there.
 * What is expected follows from the operations in Intel SDM vol. 2. With KVM's module parameter force_emulation_prefix each
 * is tried in KVM's emulator as well, as a host does that emulates the kernel.
 */
#include "tests/support/guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/soft/soft.h"
#include "kvmback/host/uffd.h"

/* Bytes at DATA are 0x10, 0x11, 0x12, …; rbx, rsi and rdi lead there, rdi to 0x20 more. rax 3, rcx 2, rdx 5, rbp 0x5100. */
#define DATA 0x5000u
#define SP ((uint64_t)GUEST_STACK)

enum ring { ANY, KERNEL };
struct row {
	const char *name, *code;
	size_t n;
	char kind; /* r, w, a */
	uint64_t addr, len;
	struct stop_touch told, then; /* len 0: no hit; data and old_data by now and old */
	uint64_t old, now;
	struct {
		int reg;
		uint64_t value;
	} set[3]; /* no reg and no value: no more */
	enum ring ring;
	const char *poke;     /* 10 bytes at DATA */
	bool any;	      /* what is written is not ours to say: FCW; the trap page has a GDT of its own */
	bool no_dr;	      /* what KVM does itself no debug register sees, nor QEMU 10 a REP downwards */
	enum stop_reason end; /* where not hit; NONE: the end of the code */
};

#define C(s) s, sizeof(s) - 1
#define R .read = true
#define W .write = true
#define RW .read = true, .write = true
#define TOLD(at, bytes, how, was, is) .told = {.gva = at, .len = bytes, how}, .old = was, .now = is
#define READ(at, bytes, value) TOLD(at, bytes, R, value, value)
#define WROTE(at, bytes, was, is) TOLD(at, bytes, W, was, is)
#define NO_HIT .told = {.len = 0}
#define BOTH_OF(at, bytes, was, is) .told = {.gva = at, .len = bytes, RW}, .old = was, .now = is

static const struct row long_rows[] = {
    /* loads and stores */
    {"mov store", C("\x89\x03"), 'w', DATA, 4, WROTE(DATA, 4, 0x13121110, 3)},
    {"mov store, by awatch", C("\x89\x03"), 'a', DATA + 1, 1, WROTE(DATA, 4, 0x13121110, 3)},
    {"mov store, by rwatch", C("\x89\x03"), 'r', DATA, 4, NO_HIT},
    {"mov store beside", C("\x89\x43\x04"), 'w', DATA, 4, NO_HIT},
    {"mov load", C("\x8b\x03"), 'r', DATA, 4, READ(DATA, 4, 0x13121110)},
    {"mov load, by awatch", C("\x8b\x03"), 'a', DATA, 8, READ(DATA, 4, 0x13121110)},
    {"mov load, by watch", C("\x8b\x03"), 'w', DATA, 4, NO_HIT},
    {"mov load over its own address", C("\x48\x8b\x1b"), 'a', DATA, 8, READ(DATA, 8, 0x1716151413121110)},
    {"mov word", C("\x66\x89\x03"), 'w', DATA, 8, WROTE(DATA, 2, 0x1110, 3)},
    {"movzx", C("\x0f\xb6\x43\x02"), 'r', DATA, 8, READ(DATA + 2, 1, 0x12)},
    {"cmovz, not moved", C("\x0f\x44\x03"), 'r', DATA, 4, READ(DATA, 4, 0x13121110)},
    {"lea", C("\x48\x8d\x03"), 'a', DATA, 8, NO_HIT},
    {"nop", C("\x0f\x1f\x03"), 'a', DATA, 8, NO_HIT},
    {"setnz", C("\x0f\x95\x03"), 'w', DATA, 1, WROTE(DATA, 1, 0x10, 1)},
    {"cmp", C("\x3b\x03"), 'a', DATA, 4, READ(DATA, 4, 0x13121110)},
    {"test", C("\x85\x03"), 'w', DATA, 4, NO_HIT},
    {"mul", C("\xf7\x23"), 'a', DATA, 4, READ(DATA, 4, 0x13121110)},
    {"xlat", C("\xd7"), 'r', DATA + 3, 1, READ(DATA + 3, 1, 0x13)},
    /* read, changed, written: whichever is watched */
    {"add, by watch", C("\x01\x03"), 'w', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x13121113)},
    {"add, by rwatch", C("\x01\x03"), 'r', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x13121113)},
    {"add, by awatch", C("\x01\x03"), 'a', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x13121113)},
    {"lock or", C("\xf0\x83\x0b\x01"), 'r', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x13121111)},
    {"adc of nothing", C("\x83\x13\x00"), 'w', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x13121110)},
    {"xadd", C("\x0f\xc1\x03"), 'r', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x13121113)},
    {"lock xadd", C("\xf0\x48\x0f\xc1\x03"), 'a', DATA, 8, BOTH_OF(DATA, 8, 0x1716151413121110, 0x1716151413121113)},
    {"xchg", C("\x87\x03"), 'r', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 3)},
    {"xchg, by watch", C("\x87\x03"), 'w', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 3)},
    {"cmpxchg, equal", C("\xf0\x0f\xb1\x13"), 'r', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 5), .set = {{RAX, 0x13121110}}},
    {"cmpxchg, not equal", C("\x0f\xb1\x13"), 'w', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x13121110)},
    {"cmpxchg8b, not equal", C("\x0f\xc7\x0b"), 'w', DATA, 8, BOTH_OF(DATA, 8, 0x1716151413121110, 0x1716151413121110)},
    {"cmpxchg8b, equal", C("\xf0\x0f\xc7\x0b"), 'r', DATA, 8, BOTH_OF(DATA, 8, 0x1716151413121110, 0x200005000),
     .set = {{RAX, 0x13121110}, {RDX, 0x17161514}}},
    {"cmpxchg16b, equal", C("\xf0\x48\x0f\xc7\x0b"), 'r', DATA + 8, 8, BOTH_OF(DATA + 8, 8, 0x1f1e1d1c1b1a1918, 2),
     .set = {{RAX, 0x1716151413121110}, {RDX, 0x1f1e1d1c1b1a1918}}},
    {"cmpxchg16b, not equal", C("\xf0\x48\x0f\xc7\x0b"), 'w', DATA + 4, 2, BOTH_OF(DATA + 4, 2, 0x1514, 0x1514)},
    {"inc", C("\xff\x03"), 'r', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x13121111)},
    {"neg byte", C("\xf6\x1b"), 'a', DATA, 8, BOTH_OF(DATA, 1, 0x10, 0xf0)},
    {"not word", C("\x66\xf7\x13"), 'w', DATA, 8, BOTH_OF(DATA, 2, 0x1110, 0xeeef)},
    {"shl", C("\xd1\x23"), 'r', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x26242220)},
    {"shld", C("\x0f\xa4\x03\x08"), 'w', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x12111000)},
    {"ror", C("\xd3\x0b"), 'a', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x04c48444)},
    /* bits: the operand-sized bytes that have the bit, however far */
    {"bts far", C("\x48\x0f\xab\x43\xf8"), 'r', DATA, 8, BOTH_OF(DATA, 8, 0x1716151413121110, 0x1716151413121118),
     .set = {{RAX, 67}}},
    {"btr before", C("\x0f\xb3\x4b\x08"), 'w', DATA, 4, BOTH_OF(DATA, 4, 0x13121110, 0x13121100),
     .set = {{RCX, (uint64_t)-60}}},
    {"btc word", C("\x66\x0f\xbb\x03"), 'a', DATA + 4, 1, BOTH_OF(DATA + 4, 2, 0x1514, 0x151c), .set = {{RAX, 35}}},
    {"bt far", C("\x0f\xa3\x03"), 'a', DATA + 4, 4, READ(DATA + 4, 4, 0x17161514), .set = {{RAX, 33}}},
    {"bt far, not here", C("\x0f\xa3\x03"), 'a', DATA, 4, NO_HIT, .set = {{RAX, 33}}},
    {"bt far, by watch", C("\x0f\xa3\x03"), 'w', DATA, 8, NO_HIT, .set = {{RAX, 33}}},
    {"bts by number", C("\x0f\xba\x2b\x23"), 'w', DATA, 8, BOTH_OF(DATA, 4, 0x13121110, 0x13121118)},
    {"lock bts far", C("\xf0\x0f\xab\x03"), 'r', DATA + 0x10, 4, BOTH_OF(DATA + 0x10, 4, 0x23222120, 0x23222121),
     .set = {{RAX, 128}}},
    /* the stack */
    {"push", C("\x50"), 'w', SP - 4, 4, WROTE(SP - 8, 8, 0, 3)},
    {"push mem, its source", C("\xff\x33"), 'a', DATA, 8, READ(DATA, 8, 0x1716151413121110)},
    {"push mem, the stack", C("\xff\x33"), 'w', SP - 8, 8, WROTE(SP - 8, 8, 0, 0x1716151413121110)},
    {"pop mem", C("\x8f\x43\x20"), 'w', DATA + 0x20, 8, WROTE(DATA + 0x20, 8, 0x3736353433323130, 0x1716151413121110),
     .set = {{RSP, DATA}}},
    {"pop mem by rsp", C("\x8f\x04\x24"), 'w', DATA + 8, 8, WROTE(DATA + 8, 8, 0x1f1e1d1c1b1a1918, 0x1716151413121110),
     .set = {{RSP, DATA}}},
    {"pop", C("\x58"), 'a', DATA, 8, READ(DATA, 8, 0x1716151413121110), .set = {{RSP, DATA}}},
    {"call", C("\xe8\x00\x00\x00\x00"), 'w', SP - 8, 8, WROTE(SP - 8, 8, 0, GUEST_CODE + 5)},
    {"enter", C("\xc8\x10\x00\x00"), 'w', SP - 8, 8, WROTE(SP - 8, 8, 0, 0x5100)},
    {"enter, its frame", C("\xc8\x10\x00\x02"), 'w', SP - 24, 8, WROTE(SP - 24, 8, 0, SP - 8)},
    {"enter, the level above", C("\xc8\x10\x00\x02"), 'r', DATA + 8, 8, READ(DATA + 8, 8, 0x1f1e1d1c1b1a1918),
     .set = {{RBP, DATA + 16}}},
    {"leave", C("\xc9"), 'a', DATA, 8, READ(DATA, 8, 0x1716151413121110), .set = {{RBP, DATA}}},
    /* strings */
    {"movsb, both watched", C("\xa4"), 'a', DATA, 0x21, READ(DATA, 1, 0x10),
     .then = {.gva = DATA + 0x20, .len = 1, W, .old_data = {0x30}, .data = {0x10}}},
    {"movsq onto itself", C("\x48\xa5"), 'a', DATA, 8, BOTH_OF(DATA, 8, 0x1716151413121110, 0x1716151413121110),
     .set = {{RDI, DATA}}},
    {"cmpsb, its second", C("\xa6"), 'r', DATA + 0x20, 1, READ(DATA + 0x20, 1, 0x30)},
    {"scasd", C("\xaf"), 'r', DATA + 0x20, 8, READ(DATA + 0x20, 4, 0x33323130)},
    {"lodsw", C("\x66\xad"), 'a', DATA, 8, READ(DATA, 2, 0x1110)},
    {"stosd, by rwatch", C("\xab"), 'r', DATA + 0x20, 4, NO_HIT},
    {"rep movsb, none", C("\xf3\xa4"), 'a', DATA, 0x40, NO_HIT, .set = {{RCX, 0}}},
    {"rep lodsb, none", C("\xf3\xac"), 'a', DATA, 0x40, NO_HIT, .set = {{RCX, 0}}},
    {"rep lodsb", C("\xf3\xac"), 'r', DATA + 8, 4, READ(DATA + 8, 1, 0x18), .set = {{RCX, 32}}},
    {"rep lodsd across", C("\xf3\xad"), 'a', DATA + 6, 1, READ(DATA + 4, 4, 0x17161514), .set = {{RCX, 8}}},
    {"rep stosb of what is there", C("\xf3\xaa"), 'w', DATA + 0x2f, 8, WROTE(DATA + 0x2f, 1, 0x3f, 0x3f),
     .set = {{RCX, 16}, {RAX, 0x3f}}},
    {"rep stosb short of it", C("\xf3\xaa"), 'w', DATA + 0x30, 8, NO_HIT, .set = {{RCX, 16}}},
    {"rep stosw downwards", C("\xfd\x66\xf3\xab"), 'w', DATA + 8, 4, WROTE(DATA + 10, 2, 0x1b1a, 3),
     .set = {{RCX, 16}, {RDI, DATA + 0x10}}, .no_dr = true},
    {"rep movsd, the source", C("\xf3\xa5"), 'r', DATA + 8, 8, READ(DATA + 8, 4, 0x1b1a1918), .set = {{RCX, 4}}},
    {"rep movsd, what is written", C("\xf3\xa5"), 'w', DATA + 0x28, 2, WROTE(DATA + 0x28, 4, 0x3b3a3938, 0x1b1a1918),
     .set = {{RCX, 4}}},
    {"repe cmpsb ends early", C("\xf3\xa6"), 'r', DATA + 0x21, 8, NO_HIT, .set = {{RCX, 16}}},
    {"repe cmpsb", C("\xf3\xa6"), 'r', DATA + 0x20, 8, READ(DATA + 0x20, 1, 0x30), .set = {{RCX, 16}}},
    {"repne scasb up to it", C("\xf2\xae"), 'r', DATA + 4, 1, READ(DATA + 4, 1, 0x14),
     .set = {{RCX, 64}, {RAX, 0x14}, {RDI, DATA}}},
    {"repne scasb ends early", C("\xf2\xae"), 'r', DATA + 5, 8, NO_HIT, .set = {{RCX, 64}, {RAX, 0x14}, {RDI, DATA}}},
    {"rep movsb, its fault", C("\xf3\xa4"), 'w', DATA, 8, NO_HIT, .set = {{RCX, 4}, {RSI, 0x180000}, {RDI, DATA}},
     .end = STOP_EXCEPTION},
    {"rep outsb", C("\xf3\x6e"), 'r', DATA + 2, 2, READ(DATA + 2, 1, 0x12), .set = {{RCX, 8}, {RDX, 0x90}}, .ring = KERNEL},
    {"rep insb", C("\xf3\x6c"), 'w', DATA + 0x22, 2, WROTE(DATA + 0x22, 1, 0x32, 0xff), .set = {{RCX, 8}, {RDX, 0x90}},
     .ring = KERNEL, .no_dr = true},
    {"rep insb short of it", C("\xf3\x6c"), 'w', DATA + 0x22, 2, NO_HIT, .set = {{RCX, 2}, {RDX, 0x90}}, .ring = KERNEL},
    {"rep movsb out of a device", C("\xf3\xa4"), 'w', DATA + 0x22, 1, WROTE(DATA + 0x22, 1, 0x32, 0),
     .set = {{RCX, 8}, {RSI, GUEST_DEVICE}}, .no_dr = true},
    {"rep movsb into a device", C("\xf3\xa4"), 'a', DATA + 2, 1, READ(DATA + 2, 1, 0x12),
     .set = {{RCX, 8}, {RDI, GUEST_DEVICE}}, .no_dr = true},
    {"fxsave", C("\x0f\xae\x03"), 'w', DATA, 2, WROTE(DATA, 2, 0x1110, 0), .any = true},
    {"fxsave, two parts", C("\x0f\xae\x03"), 'a', DATA + 0xc, 8, WROTE(DATA + 0xc, 4, 0x1f1e1d1c, 0),
     .then = {.gva = DATA + 0x10, .len = 4, W, .old_data = {0x20, 0x21, 0x22, 0x23}}},
    /* descriptor tables */
    {"sgdt, the base", C("\x0f\x01\x03"), 'w', DATA + 2, 8, WROTE(DATA + 2, 8, 0x1918171615141312, GUEST_GDT), .any = true},
    {"sgdt, the limit", C("\x0f\x01\x03"), 'a', DATA, 2, WROTE(DATA, 2, 0x1110, 0x47), .any = true},
    {"lgdt", C("\x0f\x01\x13"), 'a', DATA, 2, READ(DATA, 2, 0x47), .set = {{RBX, DATA}}, .ring = KERNEL,
     .poke = "\x47\0\0\5\0\0\0\0\0"},
    /* what faults has touched nothing */
    {"movsb to nowhere", C("\xa4"), 'r', DATA, 8, NO_HIT, .set = {{RDI, 0x180000}}, .end = STOP_EXCEPTION},
    {"push mem to nowhere", C("\xff\x33"), 'a', DATA, 8, NO_HIT, .set = {{RSP, 0x180008}}, .end = STOP_EXCEPTION},
    {"div by zero in memory", C("\xf7\x73\x40"), 'a', DATA + 0x40, 4, NO_HIT, .end = STOP_EXCEPTION},
};

static bool soft, forced;

static bool possible(void)
{
	const char *why = soft ? NULL : guest_possible() ? uffd_why() : "";

	if (why && *why)
		printf("skip: %s\n", why);
	return !why;
}

static void data(struct guest *g)
{
	uint8_t bytes[0x40];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(0x10 + i);
	guest_poke(g, DATA, bytes, sizeof(bytes));
}

#define FORCE "\x0f\x0bkvm" /* Documentation/admin-guide: kvm.force_emulation_prefix */

static uint64_t prepare(struct guest *g, const struct row *r)
{
	uint8_t code[32];
	size_t at = 0;

	guest_set(g, 0, RAX, 3);
	guest_set(g, 0, RBX, DATA);
	guest_set(g, 0, RCX, 2);
	guest_set(g, 0, RDX, 5);
	guest_set(g, 0, RSI, DATA);
	guest_set(g, 0, RDI, DATA + 0x20);
	guest_set(g, 0, RBP, 0x5100);
	guest_set(g, 0, RSP, SP);
	for (unsigned i = 0; i < 3; i++)
		if (r->set[i].reg || r->set[i].value)
			guest_set(g, 0, (unsigned)r->set[i].reg, r->set[i].value);
	data(g);
	if (r->poke)
		guest_poke(g, DATA, r->poke, 10);
	/* STD stays in front: it is not what is tried. */
	if (r->code[0] == '\xfd')
		code[at++] = 0xfd;
	uint64_t by = GUEST_CODE + at;
	if (forced) {
		memcpy(code + at, FORCE, 5);
		at += 5;
		by += 5;
	}
	size_t skip = r->code[0] == '\xfd';
	memcpy(code + at, r->code + skip, r->n - skip);
	guest_code(g, code, at + r->n - skip);
	return by;
}

static unsigned long long little(const uint8_t *bytes, unsigned len)
{
	uint64_t v = 0;

	memcpy(&v, bytes, len < 8 ? len : 8);
	return v;
}

static void say(const struct row *r, unsigned cpl, const struct stop *s, const char *what)
{
	printf("%s at CPL %u%s: %s: %s id %d rip %#llx by %#llx gva %#llx gpa %#llx len %u %s%s old %#llx now %#llx; then "
	       "%#llx len "
	       "%u %s%s %#llx %#llx\n",
	       r->name, cpl, forced ? " by the emulator" : "", what, stop_reason_name(s->reason), s->breakpoint,
	       (unsigned long long)s->rip, (unsigned long long)s->by, (unsigned long long)s->gva, (unsigned long long)s->gpa,
	       s->len, s->read ? "r" : "", s->write ? "w" : "", little(s->old_data, s->len), little(s->data, s->len),
	       (unsigned long long)s->then.gva, s->then.len, s->then.read ? "r" : "", s->then.write ? "w" : "",
	       little(s->then.old_data, s->then.len), little(s->then.data, s->then.len));
}

/* A debug register's hit is told by the watched bytes alone. */
static bool as_told(const struct row *r, const struct plant *p, const struct stop *s, uint64_t by)
{
	struct stop_touch t = r->told;
	uint64_t old = r->old, now = r->now + (forced && r->now == GUEST_CODE + 5 ? 5 : 0), shift = 0;

	if (p->how && !strcmp(p->how, "hw")) {
		uint64_t end = t.gva + t.len < p->addr + p->len ? t.gva + t.len : p->addr + p->len;

		shift = p->addr > t.gva ? p->addr - t.gva : 0;
		t.gva += shift;
		t.len = (uint32_t)(end - t.gva);
	}
	uint64_t mask = t.len < 8 ? (1ull << 8 * t.len) - 1 : ~0ull;
	return s->breakpoint == 1 && s->by == by && s->gva == t.gva && s->gpa == t.gva && s->len == t.len &&
	       s->read == t.read && s->write == t.write && little(s->old_data, s->len) == (old >> 8 * shift & mask) &&
	       (r->any || little(s->data, s->len) == (now >> 8 * shift & mask));
}

static bool then_told(const struct row *r, const struct stop *s)
{
	const struct stop_touch *t = &r->then;

	return !t->len || (s->then.gva == t->gva && s->then.gpa == t->gva && s->then.len == t->len &&
			   s->then.read == t->read && s->then.write == t->write &&
			   !memcmp(s->then.old_data, t->old_data, t->len) && !memcmp(s->then.data, t->data, t->len));
}

static unsigned try_row(struct guest *g, const struct row *r, unsigned cpl)
{
	enum plant_kind kind = r->kind == 'r' ? PLANT_READ : r->kind == 'w' ? PLANT_WRITE : PLANT_ACCESS;
	struct plant p = {.id = 1, .kind = kind, .addr = r->addr, .len = r->len, .phys = forced};
	uint64_t by = prepare(g, r);
	struct root_list roots;
	bool ok;

	/* Where a kernel is not expected to be emulated nobody looks into KVM for where the emulator began. */
	if (forced && machine_roots(g->m, &roots, &g->e))
		fail_msg("%s: %s", g->e.what, g->e.why);
	if (forced)
		root_list_free(&roots);
	assert_int_equal(machine_plant(g->m, &p, &g->e), 0);
	if (r->no_dr && p.how && !strcmp(p.how, "hw"))
		return 0;
	enum stop_reason reason = guest_continue(g);
	/* KVM's emulator does not have every instruction. */
	if (forced && !r->end && (reason == STOP_ERROR || reason == STOP_EXCEPTION) && g->stop.rip == by)
		ok = true;
	else if (!r->told.len)
		ok = reason == (r->end || cpl ? STOP_EXCEPTION : STOP_HLT);
	else
		ok = reason == STOP_WATCHPOINT && as_told(r, &p, &g->stop, by) && then_told(r, &g->stop);
	if (!ok)
		say(r, cpl, &g->stop, p.how);
	assert_int_equal(machine_unplant(g->m, 1, &g->e), 0);
	return !ok;
}

static void by_rows(const struct row *rows, size_t n, enum guest_mode mode)
{
	unsigned bad = 0;

	if (!possible())
		skip();
	for (size_t i = 0; i < n; i++)
		for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
			struct guest g;

			if ((cpl && (rows[i].ring == KERNEL || mode == GUEST_REAL)) || (!cpl && rows[i].end && forced))
				continue;
			guest_open(&g, mode, cpl, false, 1);
			bad += try_row(&g, &rows[i], cpl);
			guest_close(&g);
		}
	assert_int_equal(bad, 0);
}

static void in_long_mode(void **state)
{
	(void)state;
	by_rows(long_rows, ARRAY_LEN(long_rows), GUEST_LONG);
}

/* PUSHA from AX down; CALL far: CS, then IP; the last of all words first. */
static const struct row prot_rows[] = {
    {"pusha", C("\x60"), 'w', SP - 8, 8, WROTE(SP - 4, 4, 0, 3), .then = {.gva = SP - 8, .len = 4, W, .data = {2}}},
    {"popa", C("\x61"), 'r', DATA + 4, 4, READ(DATA + 4, 4, 0x17161514), .set = {{RSP, DATA}}},
    {"call far", C("\x9a\x07\x80\x00\x00\x38\x00"), 'w', SP - 8, 4, WROTE(SP - 8, 4, 0, GUEST_CODE + 7), .ring = KERNEL},
    {"les", C("\xc4\x03"), 'r', DATA + 4, 2, READ(DATA + 4, 2, 0x10), .ring = KERNEL, .poke = "\0\0\0\0\x10\0\0\0\0"},
    {"push word", C("\x66\x50"), 'w', SP - 2, 2, WROTE(SP - 2, 2, 0, 3)},
    {"rep stosb, 16-bit addresses", C("\x67\xf3\xaa"), 'w', DATA + 0x22, 1, WROTE(DATA + 0x22, 1, 0x32, 3),
     .set = {{RCX, 0x10004}, {RDI, 0x70000 + DATA + 0x20}}},
    {"bound", C("\x62\x03"), 'r', DATA + 4, 4, READ(DATA + 4, 4, 0x17161514), .set = {{RAX, 0x14000000}}},
};

static void in_protected_mode(void **state)
{
	(void)state;
	by_rows(prot_rows, ARRAY_LEN(prot_rows), GUEST_PROT);
}

static const struct row real_rows[] = {
    {"mov store", C("\x89\x07"), 'w', DATA, 2, WROTE(DATA, 2, 0x1110, 3)},
    {"add", C("\x01\x07"), 'r', DATA, 2, BOTH_OF(DATA, 2, 0x1110, 0x1113)},
    {"pusha", C("\x60"), 'w', SP - 16, 2, WROTE(SP - 16, 2, 0, DATA + 0x20)},
    {"enter", C("\xc8\x10\x00\x00"), 'w', SP - 2, 2, WROTE(SP - 2, 2, 0, 0x5100)},
    {"rep lodsb", C("\xf3\xac"), 'r', DATA + 8, 4, READ(DATA + 8, 1, 0x18), .set = {{RCX, 32}}},
    {"rep stosb of what is there", C("\xf3\xaa"), 'w', DATA + 0x2f, 8, WROTE(DATA + 0x2f, 1, 0x3f, 0x3f),
     .set = {{RCX, 16}, {RAX, 0x3f}}},
    {"bts far", C("\x0f\xab\x07"), 'r', DATA + 4, 2, BOTH_OF(DATA + 4, 2, 0x1514, 0x151c), .set = {{RAX, 35}}},
    {"call far", C("\x9a\x05\x80\x00\x00"), 'w', SP - 4, 2, WROTE(SP - 4, 2, 0, GUEST_CODE + 5)},
};

static void in_real_mode(void **state)
{
	(void)state;
	if (forced)
		skip(); /* it would take another stack to deliver what it is not */
	by_rows(real_rows, ARRAY_LEN(real_rows), GUEST_REAL);
}

/* ---- frames */

/* An exception at CPL 3 pushes SS, RSP, RFLAGS, CS, RIP and an error code onto the kernel's stack: the write is a hit by the
 * instruction that faulted, whose own accesses are none. */
static void frame_of_a_fault(void **state)
{
	struct guest g;
	struct plant p = {.id = 1, .kind = PLANT_WRITE, .addr = GUEST_KSTACK - 40, .len = 8},
		     own = {.id = 2, .kind = PLANT_READ, .addr = DATA, .len = 8};

	(void)state;
	if (!possible())
		skip();
	guest_open(&g, GUEST_LONG, 3, true, 1);
	guest_code(&g, "\xa4", 1);
	guest_set(&g, 0, RSI, 0x180000);
	if (machine_run(g.m, RUN_STEP, 0, 1, &g.stop, &g.e) || g.stop.rip != GUEST_HANDLERS + 14 * 16) {
		printf("skip: this host cannot be stepped into a handler\n");
		guest_close(&g);
		skip();
	}
	guest_close(&g);
	guest_open(&g, GUEST_LONG, 3, true, 1);
	guest_code(&g, "\xa4", 1);
	guest_set(&g, 0, RSI, DATA);
	guest_set(&g, 0, RDI, 0x180000);
	assert_int_equal(machine_plant(g.m, &p, &g.e), 0);
	assert_int_equal(machine_plant(g.m, &own, &g.e), 0);
	if (guest_continue(&g) != STOP_WATCHPOINT)
		fail_msg("%s at %#llx: %s", stop_reason_name(g.stop.reason), (unsigned long long)g.stop.rip, g.stop.error);
	assert_int_equal(g.stop.breakpoint, 1);
	assert_int_equal(g.stop.n_causes, 0);
	assert_int_equal(g.stop.gva, GUEST_KSTACK - 40);
	assert_int_equal(little(g.stop.data, 8), GUEST_CODE);
	assert_true(g.stop.write && !g.stop.read);
	assert_int_equal(g.stop.by, GUEST_CODE);
	assert_int_equal(g.stop.rip, GUEST_HANDLERS + 14 * 16);
	guest_close(&g);
}

/* Two watchpoints, by different accesses of one instruction: both are named. */
static void two_of_one_instruction(void **state)
{
	struct guest g;
	struct plant src = {.id = 1, .kind = PLANT_READ, .addr = DATA, .len = 1},
		     dst = {.id = 2, .kind = PLANT_WRITE, .addr = DATA + 0x20, .len = 1};

	(void)state;
	if (!possible())
		skip();
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		guest_open(&g, GUEST_LONG, cpl, false, 1);
		data(&g);
		guest_code(&g, "\xa4", 1);
		guest_set(&g, 0, RSI, DATA);
		guest_set(&g, 0, RDI, DATA + 0x20);
		assert_int_equal(machine_plant(g.m, &src, &g.e), 0);
		assert_int_equal(machine_plant(g.m, &dst, &g.e), 0);
		assert_int_equal(guest_continue(&g), STOP_WATCHPOINT);
		assert_int_equal(g.stop.n_causes, 2);
		assert_int_equal(g.stop.cause[0].id, 1);
		assert_int_equal(g.stop.cause[1].id, 2);
		assert_int_equal(g.stop.gva, DATA);
		assert_int_equal(g.stop.then.gva, DATA + 0x20);
		assert_true(g.stop.read && !g.stop.write && g.stop.then.write && !g.stop.then.read);
		guest_close(&g);
	}
}

static int on_kvm(void **state)
{
	(void)state;
	soft = forced = false;
	guest_backend = NULL;
	return 0;
}

static int on_soft(void **state)
{
	(void)state;
	soft = true;
	forced = false;
	guest_backend = &soft_backend;
	return 0;
}

static bool emulator_can_be_forced(void)
{
	FILE *f = fopen("/sys/module/kvm/parameters/force_emulation_prefix", "r");
	int on = f ? fgetc(f) : '0';

	if (f)
		fclose(f);
	return on == '1' || on == 'Y';
}

static int on_emulator(void **state)
{
	(void)state;
	soft = false;
	forced = true;
	guest_backend = NULL;
	return 0;
}

static void emulated(void **state)
{
	if (!emulator_can_be_forced()) {
		printf("skip: kvm's parameter force_emulation_prefix is not set\n");
		skip();
	}
	in_long_mode(state);
}

#define BOTH(test)                                                                                                          \
	{#test " kvm", test, on_kvm, NULL, NULL},                                                                           \
	{                                                                                                                   \
#test " soft", test, on_soft, NULL, NULL                                                                    \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(in_long_mode),	    BOTH(in_protected_mode),	  BOTH(in_real_mode),
	    BOTH(frame_of_a_fault), BOTH(two_of_one_instruction), {"emulated kvm", emulated, on_emulator, NULL, NULL},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
